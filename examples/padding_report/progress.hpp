// SPDX-License-Identifier: MIT
// Lines on stderr while long input is at work.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_PROGRESS_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_PROGRESS_HPP_INCLUDED

#include "../text.hpp"

#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

namespace padding_report {

using namespace examples;

// Silent on work of fewer than 100,000 items (sequences, distinct lengths), and as long as nobody has waited for a second.
class progress {
public:
    // While reading: how many sequences there are so far. Cheap enough for every line.
    void read(std::uint64_t sequences)
    {
        if (sequences % 8192 == 0 && is_due(sequences)) {
            say("read " + grouped(sequences) + " sequences");
            patience_ *= 2;  // a line after 1 second, after 2 more, after 4 more
        }
    }

    void at(std::string_view stage, std::uint64_t items)
    {
        if (is_due(items))
            say(stage);
    }

private:
    using clock = std::chrono::steady_clock;

    [[nodiscard]] bool is_due(std::uint64_t items) const { return items >= 100'000 && clock::now() - last_ >= patience_; }
    void say(std::string_view what)
    {
        std::cerr << "padding_report: " << what << std::endl;
        last_ = clock::now();
    }

    clock::time_point last_ = clock::now();
    std::chrono::seconds patience_{1};
};

}  // namespace padding_report

#endif
