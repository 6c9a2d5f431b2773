// SPDX-License-Identifier: MIT
#include "charts.hpp"

#include "../text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace padding_report {

using namespace examples;

namespace {

// ---- drawing ---------------------------------------------------------------------------------------------------------

struct box {
    double left;
    double top;
    double right;
    double bottom;
};

class drawing {
public:
    drawing(const paper& on, double height, std::string_view description)
    {
        text_ = "<svg class=\"" + std::string(on.name) + "\" viewBox=\"0 0 " + number(on.width) + ' ' + number(height) +
                "\" role=\"img\" aria-label=\"" + escaped(description) + "\">\n";
    }

    void line(std::string_view style, double x1, double y1, double x2, double y2)
    {
        text_ += begin("line", style) + at("x1", x1) + at("y1", y1) + at("x2", x2) + at("y2", y2) + "/>\n";
    }
    // `hint` is what a pointer that rests on it shows.
    void bar(std::string_view style, const box& of, std::string_view hint)
    {
        text_ += begin("rect", style) + at("x", of.left) + at("y", of.top) + at("width", std::max(of.right - of.left, 0.0)) +
                 at("height", std::max(of.bottom - of.top, 0.0)) + ">" +
                 title(hint) + "</rect>\n";
    }
    void dot(std::string_view style, double x, double y, double radius, std::string_view hint)
    {
        text_ += begin("circle", style) + at("cx", x) + at("cy", y) + at("r", radius) + ">" + title(hint) + "</circle>\n";
    }
    void path(std::string_view style, const std::vector<std::array<double, 2>>& points)
    {
        text_ += begin("polyline", style) + " points=\"" +
                 joined(points, " ", [](const auto& p) { return number(p[0]) + ',' + number(p[1]); }) + "\"/>\n";
    }
    // anchor: start, middle or end
    void words(std::string_view style, std::string_view anchor, double x, double y, std::string_view what)
    {
        std::string look(style);
        look.append(" ").append(anchor);
        text_ += begin("text", look) + at("x", x) + at("y", y) + ">" + escaped(what) + "</text>\n";
    }

    std::string finish() { return text_ + "</svg>\n"; }

private:
    static std::string number(double value)
    {
        std::string digits = fixed_point(value, 1);
        if (digits.ends_with(".0"))
            digits.erase(digits.size() - 2);
        return digits;
    }
    static std::string begin(std::string_view tag, std::string_view style)
    {
        std::string text("<");
        return text.append(tag).append(" class=\"").append(style).append("\"");
    }
    static std::string at(std::string_view name, double value)
    {
        std::string text(" ");
        return text.append(name).append("=\"").append(number(value)).append("\"");
    }
    static std::string title(std::string_view hint) { return "<title>" + escaped(hint) + "</title>"; }

    std::string text_;
};

// A generous guess at how wide a label is.
double width_of(std::string_view label)
{
    return 6.8 * static_cast<double>(label.size());
}

// ---- axes ------------------------------------------------------------------------------------------------------------

// From values to places.
struct scale {
    double first;  // values
    double last;
    double from;  // places
    double to;
    bool is_log = false;

    double operator()(double value) const
    {
        const auto along = [&](double v) { return is_log ? std::log(v) : v; };
        return last <= first ? from : from + (to - from) * (along(value) - along(first)) / (along(last) - along(first));
    }
};

constexpr double pixels_each_upward = 36;  // between ticks, at the least
constexpr double pixels_each_along = 48;

// 1, 2 or 5 times a power of ten: the smallest such step that is at least as large.
double nice_step(double least)
{
    double power = std::pow(10.0, std::floor(std::log10(least)));
    for (const double times : {1.0, 2.0, 5.0})
        if (times * power >= least * (1 - 1e-9))
            return times * power;
    return 10 * power;
}

double step_of(const scale& along, double pixels_each)
{
    const double most = std::max(1.0, std::abs(along.to - along.from) / pixels_each);
    return std::max(1.0, nice_step(std::max(along.last - along.first, 1.0) / most));
}

// From 0 up to the first tick that is at least as large as `most`.
scale scale_up_to(double most, const box& plot)
{
    scale up{0, most, plot.bottom, plot.top};
    const double step = step_of(up, pixels_each_upward);
    up.last = std::max(1.0, std::ceil(most / step)) * step;
    return up;
}

std::vector<double> ticks(const scale& along, double pixels_each)
{
    const double most = std::max(1.0, std::abs(along.to - along.from) / pixels_each);
    std::vector<double> at;
    if (!along.is_log) {
        const double step = step_of(along, pixels_each);
        for (double value = std::ceil(along.first / step) * step; value <= along.last; value += step)
            at.push_back(value);
        return at;
    }
    for (const std::vector<double>& times : {std::vector<double>{1, 2, 5}, std::vector<double>{1}}) {
        at.clear();
        for (double power = 1; power <= along.last; power *= 10)
            for (const double t : times)
                if (t * power >= along.first && t * power <= along.last)
                    at.push_back(t * power);
        if (static_cast<double>(at.size()) <= most)
            break;
    }
    return at;
}

// Horizontal lines with their values, and what they are above them. The scale goes up: from the bottom to the top.
void draw_upward_axis(drawing& on, const scale& up, const box& plot, std::string_view name)
{
    for (const double value : ticks(up, pixels_each_upward)) {
        on.line(value == 0 ? "axis" : "grid", plot.left, up(value), plot.right, up(value));
        on.words("tick", "end", plot.left - 7, up(value) + 4, short_number(value));
    }
    on.words("name", "start", 0, 12, name);
}

void draw_axis_below(drawing& on, const scale& along, const box& plot, std::string_view name)
{
    for (const double value : ticks(along, pixels_each_along)) {
        on.line("axis", along(value), plot.bottom, along(value), plot.bottom + 4);
        on.words("tick", "middle", along(value), plot.bottom + 17, short_number(value));
    }
    on.words("name", "middle", (plot.left + plot.right) / 2, plot.bottom + 36, name);
}

// ---- lengths ---------------------------------------------------------------------------------------------------------

// Lengths [from, to), and how many sequences have them.
struct column {
    std::size_t from;
    std::size_t to;
    std::uint64_t count;
};

// About `most` columns, equally wide on the scale, each of at least one whole length.
std::vector<column> columns_of(const batten::plan::histogram& lengths, const scale& along, std::size_t most)
{
    std::vector<column> columns;
    const auto end_of = [&](std::size_t i) {
        const double share = static_cast<double>(i) / static_cast<double>(most);
        return along.is_log ? along.first * std::pow(along.last / along.first, share)
                            : along.first + (along.last - along.first) * share;
    };
    auto from = static_cast<std::size_t>(along.first);
    for (std::size_t i = 1; i <= most; ++i) {
        const auto to = static_cast<std::size_t>(std::llround(end_of(i)));
        if (to > from) {
            columns.push_back({from, to, 0});
            from = to;
        }
    }
    auto into = columns.begin();
    for (const auto& b : lengths.bins()) {
        while (into + 1 != columns.end() && b.length >= into->to)
            ++into;
        into->count += b.count;
    }
    return columns;
}

// Flags at the upper ends of the edges' lines. A line that rises to its flag must not cross a flag to its left, so flags step
// down while they are in each other's way; where there is no step left, the line goes without.
void draw_edges(drawing& on, const std::vector<std::size_t>& edges, const scale& along, const box& plot, double top)
{
    constexpr double step = 14;
    std::vector<double> taken(static_cast<std::size_t>((plot.top - top) / step), 0.0);  // up to which place, highest flag first
    for (const std::size_t edge : edges) {
        const double x = along(static_cast<double>(edge));
        const std::string label = grouped(edge);
        std::size_t level = taken.size();
        while (level > 0 && taken[level - 1] <= x)
            --level;
        double end = plot.top;
        if (level < taken.size()) {
            end = top + step * static_cast<double>(level);
            on.words("flag", "start", x + 3, end + 10, label);
            taken[level] = x + 6 + width_of(label);
        }
        on.line("edge", x, end, x, plot.bottom);
    }
}

std::string point_name(std::size_t shapes, double padding)
{
    return std::to_string(shapes) + (shapes == 1 ? " shape: " : " shapes: ") + percent(padding) + " %";
}

}  // namespace

std::string length_chart(const batten::plan::histogram& lengths, const std::vector<std::size_t>& edges, const paper& on)
{
    constexpr double height = 300;
    constexpr double flags = 26;  // where they begin
    const box plot{46, flags + 58, on.width - 50, height - 44};
    const auto shortest = static_cast<double>(std::max<std::size_t>(lengths.bins().front().length, 1));
    const auto widest = static_cast<double>(std::max(edges.back(), lengths.longest()));
    const bool is_log = widest >= 30.0 * static_cast<double>(std::max<std::size_t>(lengths.percentile(1), 1));
    const scale along{is_log ? shortest : 0, widest + 1, plot.left, plot.right, is_log};
    const std::vector<column> columns = columns_of(lengths, along, on.is_narrow ? 40 : 80);
    const auto tallest = std::max_element(columns.begin(), columns.end(),
                                          [](const column& a, const column& b) { return a.count < b.count; });
    const scale up = scale_up_to(static_cast<double>(tallest->count), plot);

    drawing chart(on, height, "How many sequences have which length, with the optimal bucket edges");
    draw_upward_axis(chart, up, plot, "sequences");
    for (const column& c : columns) {
        if (c.count == 0)
            continue;
        const box bar{along(static_cast<double>(c.from)) + 0.4, up(static_cast<double>(c.count)),
                      along(static_cast<double>(c.to)) - 0.4, plot.bottom};
        chart.bar("bar", bar,
                  (c.to - c.from == 1 ? grouped(c.from) : grouped(c.from) + " to " + grouped(c.to - 1)) + " tokens: " +
                      grouped(c.count) + (c.count == 1 ? " sequence" : " sequences"));
    }
    draw_edges(chart, edges, along, plot, flags);
    draw_axis_below(chart, along, plot, is_log ? "length, tokens (logarithmic)" : "length, tokens");
    return chart.finish();
}

// ---- strategies ------------------------------------------------------------------------------------------------------

std::string strategy_chart(const comparison& found, const paper& on)
{
    const double step = on.is_narrow ? 38 : 27;
    constexpr double thickness = 16;
    constexpr double top = 6;
    const auto count = static_cast<double>(found.strategies.size());
    const box plot{on.is_narrow ? 1.0 : 188.0, top, on.width - 62, top + step * count};
    double most = 0.1;
    for (const strategy& s : found.strategies)
        most = std::max(most, s.waste.padding());
    const scale along{0, std::min(100.0, std::ceil(10 * most) * 10), plot.left, plot.right};

    drawing chart(on, plot.bottom + 44, "Padding of each strategy, in percent of its cells");
    for (const double value : ticks(along, pixels_each_along))
        chart.line(value == 0 ? "axis" : "grid", along(value), plot.top, along(value), plot.bottom);
    for (std::size_t i = 0; i < found.strategies.size(); ++i) {
        const strategy& s = found.strategies[i];
        const bool is_chosen = i == found.recommended;
        const double row = plot.top + step * static_cast<double>(i);
        const double bar_top = on.is_narrow ? row + 17 : row + (step - thickness) / 2;
        const double base = bar_top + thickness - 4;
        if (on.is_narrow)
            chart.words(is_chosen ? "label chosen" : "label", "start", plot.left + 3, row + 13, s.name);
        else
            chart.words(is_chosen ? "label chosen" : "label", "end", plot.left - 9, base, s.name);
        if (!s.left_out.empty()) {
            chart.words("tick", "start", plot.left + 6, base, "left out: " + s.left_out);
            continue;
        }
        const std::uint64_t lost = s.lost();
        const std::string hint = s.name + ": " + percent(s.waste.padding()) + " % padding";
        chart.bar(is_chosen ? "bar chosen" : "bar", {plot.left, bar_top, along(100 * s.waste.padding()), bar_top + thickness},
                  lost == 0 ? hint : hint + ", " + grouped(lost) + " tokens cut off");
        chart.words(is_chosen ? "value chosen" : "value", "start", along(100 * s.waste.padding()) + 6, base,
                    percent(s.waste.padding()) + " %" + (lost == 0 ? "" : ", cuts"));
    }
    draw_axis_below(chart, along, plot, "padding, % of cells");
    return chart.finish();
}

// ---- shapes ----------------------------------------------------------------------------------------------------------

std::string shape_chart(const std::vector<curve>& curves, std::size_t shapes, const paper& on)
{
    constexpr double height = 300;
    const box plot{40, 26, on.width - (on.is_narrow ? 104 : 116), height - 44};
    const auto last = static_cast<double>(curves.front().padding.size());
    const scale along{1, last, plot.left, plot.right};
    double most = 0.05;
    for (const curve& c : curves)
        most = std::max(most, *std::max_element(c.padding.begin(), c.padding.end()));
    const scale up = scale_up_to(100 * most, plot);

    drawing chart(on, height, "Padding against the number of shapes, for optimal edges, percentile edges and powers of two");
    draw_upward_axis(chart, up, plot, "padding, % of cells");
    const double step = on.is_narrow ? 8 : 4;
    for (double value = 1; value <= last; value = value == 1 ? step : value + step) {
        chart.line("axis", along(value), plot.bottom, along(value), plot.bottom + 4);
        chart.words("tick", "middle", along(value), plot.bottom + 17, fixed_point(value, 0));
    }
    chart.words("name", "middle", (plot.left + plot.right) / 2, plot.bottom + 36, "shapes (widths that a batch can have)");

    constexpr std::array<std::string_view, 3> styles{"optimal", "percentile", "doubling"};
    for (std::size_t i = curves.size(); i-- > 0;) {  // the optimal ones on top
        const curve& c = curves[i];
        std::vector<std::array<double, 2>> points;
        for (std::size_t k = 1; k <= c.padding.size(); ++k)
            points.push_back({along(static_cast<double>(k)), up(100 * c.padding[k - 1])});
        chart.path("line " + std::string(styles[i]), points);
        for (std::size_t k = 1; k <= c.padding.size(); ++k)
            chart.dot("target", points[k - 1][0], points[k - 1][1], 5, c.name + ", " + point_name(k, c.padding[k - 1]));
        // No curve lies under the optimal one: where two names would meet, the other makes room.
        const double end = points.back()[1] + 4;
        const double optimal_end = up(100 * curves.front().padding.back()) + 4;
        const bool is_free = i == 0 || c.padding.size() < curves.front().padding.size() || end < optimal_end - 15;
        chart.words("curve " + std::string(styles[i]), "start", points.back()[0] + 7, is_free ? end : optimal_end - 15, c.name);
    }
    if (shapes >= 1 && shapes <= curves.front().padding.size()) {
        const double padding = curves.front().padding[shapes - 1];
        const double x = along(static_cast<double>(shapes));
        const double y = up(100 * padding);
        chart.line("picked", x, y, x, plot.bottom);
        chart.dot("picked", x, y, 4.5, "the edges that are shown above");
        const std::string label = point_name(shapes, padding);
        if (x - width_of(label) > plot.left && y < plot.bottom - 18)  // below the curve nothing is in the way
            chart.words("value chosen", "end", x - 7, y + 14, label);
        else
            chart.words("value chosen", "start", x + 7, y - 8, label);
    }
    return chart.finish();
}

}  // namespace padding_report
