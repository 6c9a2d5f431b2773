// SPDX-License-Identifier: MIT
// The comparison as a picture: an SVG file that stands alone, for light and dark.
#ifndef BATTEN_EXAMPLES_SERVING_SIMULATION_CHART_HPP_INCLUDED
#define BATTEN_EXAMPLES_SERVING_SIMULATION_CHART_HPP_INCLUDED

#include "simulation.hpp"

#include <string>
#include <vector>

namespace serving_simulation {

// What the strategies come to at one load.
struct load_point {
    double speed = 1;  // of the trace's own pace
    double rate = 0;   // requests a second
    std::vector<outcome> outcomes{};
};

// `at_pace` and `saturated`: as they come, and all at once. `curve` is in order of load; empty: there is no load to speak of.
std::string chart(const std::string& title, const std::vector<outcome>& at_pace, const std::vector<outcome>& saturated,
                  const std::vector<load_point>& curve);

}  // namespace serving_simulation

#endif
