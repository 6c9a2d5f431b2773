// SPDX-License-Identifier: MIT
// Numbers and text as people, and their browsers, read them.
#ifndef BATTEN_EXAMPLES_TEXT_HPP_INCLUDED
#define BATTEN_EXAMPLES_TEXT_HPP_INCLUDED

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

// Ends the program with a sentence that says what to change.
[[noreturn]] inline void refuse(const std::string& reason)
{
    throw std::runtime_error(reason);
}

// 1234567 as 1,234,567
template <std::unsigned_integral Number>
std::string grouped(Number number)
{
    std::string digits = std::to_string(number);
    for (std::size_t i = digits.size(); i > 3; i -= 3)
        digits.insert(i - 3, 1, ',');
    return digits;
}

inline std::string fixed_point(double number, int digits)
{
    std::ostringstream text;
    text << std::fixed << std::setprecision(digits) << number;
    return text.str();
}

// 1500 as 1,500; 20000 as 20k
inline std::string short_number(double value)
{
    struct unit {
        double size;
        std::string_view name;
    };
    for (const unit& u : {unit{1e9, "G"}, unit{1e6, "M"}, unit{1e3, "k"}})
        if (value >= 10 * u.size || (value >= u.size && u.size > 1e3)) {
            std::string digits = fixed_point(value / u.size, 1);
            return (digits.ends_with(".0") ? digits.substr(0, digits.size() - 2) : digits) + std::string(u.name);
        }
    return grouped(static_cast<std::uint64_t>(std::llround(value)));
}

// A share as a percentage with one digit, without the sign: 12.3
inline std::string percent(double share)
{
    return fixed_point(100.0 * share, 1);
}

// a, b, c
template <class Parts, class ToText>
std::string joined(const Parts& parts, std::string_view between, ToText to_text)
{
    std::string text;
    for (const auto& part : parts) {
        if (!text.empty())
            text += between;
        text += to_text(part);
    }
    return text;
}
inline std::string joined(const std::vector<std::string>& parts, std::string_view between)
{
    return joined(parts, between, [](const std::string& part) { return part; });
}

// What stands in a message about a file: short, and nothing that a terminal would act on.
inline std::string in_quotes(std::string_view text)
{
    constexpr std::size_t most = 40;
    std::string shown = "'";
    for (const char c : text.substr(0, most))
        shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    return shown + (text.size() > most ? "...'" : "'");
}

// In lines of at most 128 columns.
inline void print_wrapped(std::ostream& out, std::string_view text)
{
    constexpr std::size_t columns = 128;
    while (text.size() > columns) {
        const std::size_t end = text.rfind(' ', columns);
        out << text.substr(0, end) << '\n';
        text.remove_prefix(end + 1);
    }
    out << text << '\n';
}

// Text between tags, or in an attribute between double quotes.
inline std::string escaped(std::string_view text)
{
    std::string safe;
    for (const char c : text) {
        switch (c) {
        case '&': safe += "&amp;"; break;
        case '<': safe += "&lt;"; break;
        case '>': safe += "&gt;"; break;
        case '"': safe += "&quot;"; break;
        default: safe += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;  // controls are no text
        }
    }
    return safe;
}

}  // namespace examples

#endif
