// SPDX-License-Identifier: MIT
// The three charts of the page, as SVG text. Colours are classes, which the page's style gives a value for light and for dark.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_CHARTS_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_CHARTS_HPP_INCLUDED

#include "strategies.hpp"

#include <batten/plan/histogram.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace padding_report {

// Each is drawn twice, at the width of a page and of a phone, so that text has one size on both.
struct paper {
    std::string_view name;  // the class under which the style shows it
    double width;
    bool is_narrow;
};

std::string length_chart(const batten::plan::histogram& lengths, const std::vector<std::size_t>& edges, const paper& on);
std::string strategy_chart(const comparison& found, const paper& on);
// `shapes` is the number of edges that was asked for.
std::string shape_chart(const std::vector<curve>& curves, std::size_t shapes, const paper& on);

}  // namespace padding_report

#endif
