// SPDX-License-Identifier: MIT
// CSV files (RFC 4180), by libcsv.
#ifndef BATTEN_EXAMPLES_CSV_HPP_INCLUDED
#define BATTEN_EXAMPLES_CSV_HPP_INCLUDED

#include "text.hpp"

#include <csv.h>

#include <cstddef>
#include <istream>
#include <string>
#include <utility>
#include <vector>

namespace examples {

// Record by record: whoever has enough of them reads no further. Fields come without their quotes and the blanks around them;
// blank lines are skipped.
//
// Errors   std::runtime_error, with the file's name and the line.
class csv_reader {
public:
    csv_reader(std::istream& in, std::string name) : in_(in), name_(std::move(name)) { csv_init(&parser_, CSV_STRICT); }
    csv_reader(const csv_reader&) = delete;
    csv_reader& operator=(const csv_reader&) = delete;
    ~csv_reader() { csv_free(&parser_); }

    // False at the end of the file.
    bool next()
    {
        fields_.clear();
        is_whole_ = false;
        bool has_begun = false;
        while (!is_whole_ && std::getline(in_, text_)) {
            if (read_++ == 0 && text_.starts_with("\xEF\xBB\xBF"))  // a byte order mark, as spreadsheets write it
                text_.erase(0, 3);
            if (!has_begun && text_.find_first_not_of(" \t\r") == std::string::npos)
                continue;
            if (!std::exchange(has_begun, true))
                line_ = read_;
            text_ += '\n';
            const std::size_t parsed = csv_parse(&parser_, text_.data(), text_.size(), add_field, end_record, this);
            if (parsed != text_.size())
                refuse(read_, "character " + std::to_string(parsed + 1) +
                                  ": quotes stand around a whole field, and are doubled within");
        }
        if (has_begun && !is_whole_)
            refuse(line_, "a quote is opened and never closed");
        return is_whole_;
    }

    // Of the record that next read. The line is that in which it begins.
    [[nodiscard]] const std::vector<std::string>& fields() const { return fields_; }
    [[nodiscard]] std::size_t line() const { return line_; }
    [[noreturn]] void refuse(const std::string& reason) const { refuse(line_, reason); }

private:
    [[noreturn]] void refuse(std::size_t line, const std::string& reason) const
    {
        examples::refuse(name_ + ":" + std::to_string(line) + ": " + reason);
    }

    // What libcsv calls.
    static void add_field(void* text, std::size_t length, void* self)
    {
        static_cast<csv_reader*>(self)->fields_.emplace_back(static_cast<const char*>(text), length);
    }
    static void end_record(int, void* self) { static_cast<csv_reader*>(self)->is_whole_ = true; }

    std::istream& in_;
    std::string name_;
    csv_parser parser_{};
    std::vector<std::string> fields_{};
    bool is_whole_ = false;
    std::size_t line_ = 0;
    std::size_t read_ = 0;  // lines
    std::string text_{};
};

}  // namespace examples

#endif
