// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include "words.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <string_view>

namespace serving_simulation {

namespace {

// Orange and blue are told apart by every kind of colour vision, and each line bears its name. No variables: viewers other than
// browsers do not know them, and show the light colours.
constexpr std::string_view style = R"(
svg {
  color-scheme: light dark; background: #fdfdfc; font-size: 12px;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
text { paint-order: stroke; stroke-width: 3px; stroke-linejoin: round; }
.start { text-anchor: start; } .middle { text-anchor: middle; } .end { text-anchor: end; }
.title { font-size: 18px; font-weight: 600; } .heading { font-size: 14px; font-weight: 600; } .label { font-size: 13px; }
.value { font-weight: 600; } .value, .tick { font-variant-numeric: tabular-nums; }
.pace { stroke-dasharray: 2 3; }
polyline { stroke-width: 2.5; stroke-linejoin: round; } .tail { stroke-width: 1.5; stroke-dasharray: 6 4; }
.paper { fill: #fdfdfc; } text { fill: #1b1c1e; stroke: #fdfdfc; } .quiet { fill: #5d6066; }
.grid { stroke: #e3e3de; } .axis, .pace { stroke: #a9aba8; }
.s0 { fill: #b84a00; } .s1 { fill: #6b6e73; } .s2 { fill: #0a5ea8; }
polyline.s0 { stroke: #b84a00; } polyline.s1 { stroke: #6b6e73; } polyline.s2 { stroke: #0a5ea8; }
@media (prefers-color-scheme: dark) {
  svg { background: #15171a; }
  .paper { fill: #15171a; } text { fill: #e9eaec; stroke: #15171a; } .quiet { fill: #a2a6ac; }
  .grid { stroke: #2c3035; } .axis, .pace { stroke: #5c6269; }
  .s0 { fill: #f5a15a; } .s1 { fill: #9aa0a6; } .s2 { fill: #6cb4f5; }
  polyline.s0 { stroke: #f5a15a; } polyline.s1 { stroke: #9aa0a6; } polyline.s2 { stroke: #6cb4f5; }
}
polyline.s0, polyline.s1, polyline.s2 { fill: none; }
)";

struct point {
    double x;
    double y;
};

class drawing {
public:
    drawing(double width, double height, std::string_view description)
    {
        text_ = R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 )" + number(width) + ' ' + number(height) +
                R"(" role="img" aria-label=")" + escaped(description) + "\">\n<style>" + std::string(style) + "</style>\n";
        rectangle("paper", {0, 0}, {width, height}, "");
    }

    void line(std::string_view look, point from, point to)
    {
        text_ += begin("line", look) + at("x1", from.x) + at("y1", from.y) + at("x2", to.x) + at("y2", to.y) + "/>\n";
    }
    // `hint` is what a pointer that rests on it shows.
    void rectangle(std::string_view look, point corner, point opposite, std::string_view hint)
    {
        text_ += begin("rect", look) + at("x", corner.x) + at("y", corner.y) + at("width", opposite.x - corner.x) +
                 at("height", opposite.y - corner.y) + ">" + title(hint) + "</rect>\n";
    }
    void dot(std::string_view look, point centre, std::string_view hint)
    {
        text_ += begin("circle", look) + at("cx", centre.x) + at("cy", centre.y) + at("r", 3.5) + ">" + title(hint) +
                 "</circle>\n";
    }
    void path(std::string_view look, const std::vector<point>& points)
    {
        text_ += begin("polyline", look) + " points=\"" +
                 joined(points, " ", [](point p) { return number(p.x) + ',' + number(p.y); }) + "\"/>\n";
    }
    // look: the last word of it is start, middle or end, where `where` lies in the text
    void words(std::string_view look, point where, std::string_view what)
    {
        text_ += begin("text", look) + at("x", where.x) + at("y", where.y) + ">" + escaped(what) + "</text>\n";
    }

    std::string finish() { return text_ + "</svg>\n"; }

private:
    static std::string number(double value) { return fixed_point(value, 1); }
    static std::string begin(std::string_view tag, std::string_view look)
    {
        std::string text("<");
        return text.append(tag).append(" class=\"").append(look).append("\"");
    }
    static std::string at(std::string_view name, double value)
    {
        std::string text(" ");
        return text.append(name).append("=\"").append(number(value)).append("\"");
    }
    static std::string title(std::string_view hint)
    {
        return hint.empty() ? std::string() : "<title>" + escaped(hint) + "</title>";
    }

    std::string text_{};
};

// From values to places, by their logarithms.
struct scale {
    double first;  // values
    double last;
    double from;  // places
    double to;

    double operator()(double value) const
    {
        return from + (to - from) * std::log(std::clamp(value, first, last) / first) / std::log(last / first);
    }
};

std::string style_of(std::size_t strategy)
{
    return std::string("s").append(std::to_string(strategy));
}

double seconds(nanoseconds time)
{
    return static_cast<double>(time) / 1e9;
}

// ---- waits against load ----------------------------------------------------------------------------------------------

std::string whole(double number)
{
    return grouped(static_cast<std::uint64_t>(std::llround(number)));
}

std::string time_of_tick(double seconds)
{
    return seconds < 0.5 ? duration(static_cast<nanoseconds>(std::llround(1e9 * seconds))) : whole(seconds) + " s";
}

std::string rate_of_tick(double rate)
{
    return rate < 9.95 ? fixed_point(rate, rate < 0.995 ? 2 : 1) : whole(rate);
}

// Ends of lines are labelled with their names, which make room for each other.
void draw_names(drawing& on, const std::vector<outcome>& outcomes, std::vector<point> ends)
{
    constexpr double apart = 16;
    std::vector<std::size_t> order(ends.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ends[a].y < ends[b].y; });
    for (int round = 0; round < 20; ++round)
        for (std::size_t i = 1; i < order.size(); ++i) {
            double& above = ends[order[i - 1]].y;
            double& below = ends[order[i]].y;
            const double lacking = std::max(above + apart - below, 0.0);
            above -= lacking / 2;
            below += lacking / 2;
        }
    for (const std::size_t s : order)
        on.words("label " + style_of(s) + " start", {ends[s].x + 9, ends[s].y + 4}, outcomes[s].name);
}

void draw_waits(drawing& on, const std::vector<load_point>& curve, point corner, point opposite)
{
    double shortest = 1e9;
    double longest = 0;
    for (const load_point& load : curve)
        for (const outcome& o : load.outcomes) {
            shortest = std::min(shortest, seconds(percentile(o.waits, 50)));
            longest = std::max(longest, seconds(percentile(o.waits, 99)));
        }
    const double floor = std::pow(10, std::floor(std::log10(shortest)));
    const double ceiling = std::max(std::pow(10, std::ceil(std::log10(longest))), 10 * floor);
    const scale up{floor, ceiling, opposite.y, corner.y};
    const scale along{curve.front().rate, curve.back().rate, corner.x, opposite.x};

    for (double value = floor; value < 1.5 * ceiling; value *= 10) {
        on.line(value < 1.5 * floor ? "axis" : "grid", {corner.x, up(value)}, {opposite.x, up(value)});
        on.words("quiet tick end", {corner.x - 8, up(value) + 4}, time_of_tick(value));
    }
    for (const load_point& load : curve) {
        const double x = along(load.rate);
        if (load.speed == 1) {
            on.line("pace", {x, corner.y}, {x, opposite.y});
            on.words("quiet start", {x + 5, opposite.y - 6}, "as they come");
        }
        const double octaves = std::log2(load.speed);
        if (octaves == std::round(octaves)) {
            on.line("axis", {x, opposite.y}, {x, opposite.y + 4});
            on.words("quiet tick middle", {x, opposite.y + 18}, rate_of_tick(load.rate));
        }
    }
    on.words("quiet middle", {(corner.x + opposite.x) / 2, opposite.y + 37}, "requests a second");

    std::vector<point> ends;
    for (std::size_t s = 0; s < curve.front().outcomes.size(); ++s) {
        std::vector<point> middle;
        std::vector<point> tail;
        for (const load_point& load : curve) {
            middle.push_back({along(load.rate), up(seconds(percentile(load.outcomes[s].waits, 50)))});
            tail.push_back({along(load.rate), up(seconds(percentile(load.outcomes[s].waits, 99)))});
        }
        on.path("tail " + style_of(s), tail);
        on.path(style_of(s), middle);
        for (std::size_t i = 0; i < curve.size(); ++i) {
            const outcome& o = curve[i].outcomes[s];
            on.dot(style_of(s), middle[i],
                   o.name + ", " + fixed_point(curve[i].rate, 2) + " requests a second: median " +
                       duration(percentile(o.waits, 50)) + ", 99th percentile " + duration(percentile(o.waits, 99)));
        }
        ends.push_back(middle.back());
    }
    draw_names(on, curve.front().outcomes, ends);
}

// ---- bars ------------------------------------------------------------------------------------------------------------

// The longest bar there may be stands for `most`.
template <class Value, class ToText>
void draw_bars(drawing& on, std::string_view heading, std::string_view below, const std::vector<outcome>& outcomes,
               point corner, double most, Value value, ToText to_text)
{
    constexpr double longest = 184;
    constexpr double step = 40;
    constexpr double thickness = 14;
    on.words("heading start", corner, heading);
    on.words("quiet start", {corner.x, corner.y + 17}, below);
    for (std::size_t s = 0; s < outcomes.size(); ++s) {
        const double top = corner.y + 46 + step * static_cast<double>(s);
        const std::string shown = to_text(value(outcomes[s]));
        const double end = corner.x + longest * value(outcomes[s]) / most;
        on.words("label start", {corner.x, top - 5}, outcomes[s].name);
        on.rectangle(style_of(s), {corner.x, top}, {end, top + thickness}, outcomes[s].name + ": " + shown);
        on.words("value start", {end + 6, top + thickness - 3}, shown);
    }
}

}  // namespace

std::string chart(const std::string& title, const std::vector<outcome>& at_pace, const std::vector<outcome>& saturated,
                  const std::vector<load_point>& curve)
{
    constexpr double width = 880;
    constexpr double margin = 28;
    const double bars = curve.empty() ? 98 : 474;
    drawing on(width, bars + 184, "Static batches, dynamic batches in buckets and iteration-level steps compared: " + title);
    on.words("title start", {margin, 38}, title);
    on.words("quiet start", {margin, 57}, "Simulated. What a step costs is assumed, not measured.");
    if (!curve.empty()) {
        on.words("heading start", {margin, 92}, "Wait for the first token against load");
        on.words("quiet start", {margin, 109},
                 "Median; dashed: 99th percentile. Beyond what a strategy can serve, waits grow as long as requests come.");
        draw_waits(on, curve, {margin + 62, 126}, {width - margin - 122, 388});
    }

    constexpr double column = (width - 2 * margin) / 3;
    double most = 0;
    for (const outcome& o : saturated)
        most = std::max(most, o.tokens_a_second());
    const auto as_percent = [](double share) { return percent(share) + " %"; };
    draw_bars(on, "Answers, tokens a second", "all requests at once", saturated, {margin, bars}, most,
              [](const outcome& o) { return o.tokens_a_second(); }, amount);
    draw_bars(on, "Padding", "of tokens computed, as they come", at_pace, {margin + column, bars}, 1,
              [](const outcome& o) { return o.padding(); }, as_percent);
    draw_bars(on, "KV cache wasted", "of what is reserved, as they come", at_pace, {margin + 2 * column, bars}, 1,
              [](const outcome& o) { return o.kv_wasted(); }, as_percent);
    return on.finish();
}

}  // namespace serving_simulation
