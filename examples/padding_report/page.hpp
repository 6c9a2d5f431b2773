// SPDX-License-Identifier: MIT
// The report as one HTML file that needs nothing else: no network, no script.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_PAGE_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_PAGE_HPP_INCLUDED

#include "strategies.hpp"

#include <string>

namespace padding_report {

std::string page(const measured& of, const settings& chosen, const comparison& found);

}  // namespace padding_report

#endif
