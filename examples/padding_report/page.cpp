// SPDX-License-Identifier: MIT
#include "page.hpp"

#include "charts.hpp"
#include "table.hpp"
#include "../text.hpp"

#include <batten/version.hpp>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace padding_report {

using namespace examples;

namespace {

// Blue and orange are told apart by every kind of colour vision, and by their darkness; lines differ in their dashes, too.
constexpr std::string_view style = R"(
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --raised: #f4f4f1; --ink: #1b1c1e; --quiet: #5d6066; --hair: #e3e3de; --rule: #a9aba8;
  --plain: #a9b4c0; --strong: #0a5ea8; --other: #b84a00; --third: #6b6e73; --picked: #dcebf8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --raised: #1f2226; --ink: #e9eaec; --quiet: #a2a6ac; --hair: #2c3035; --rule: #5c6269;
    --plain: #56616d; --strong: #6cb4f5; --other: #f5a15a; --third: #9aa0a6; --picked: #18324a;
  }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --raised: #f4f4f1; --ink: #000; --quiet: #444; --hair: #ddd; --rule: #888;
    --plain: #a9b4c0; --strong: #0a5ea8; --other: #b84a00; --third: #555; --picked: #dcebf8;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, .advice, .figures { break-inside: avoid; }
  h2 { break-after: avoid; }
  body { font-size: 11pt; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
main { max-width: 880px; margin: 0 auto; padding: 40px 32px 56px; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 44px 0 4px; }
p { margin: 6px 0; }
.quiet, figcaption, footer { color: var(--quiet); font-size: 0.9rem; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px 24px; margin: 28px 0 32px; padding: 0; }
.figures div { border-top: 2px solid var(--hair); padding-top: 8px; }
.figures dt { color: var(--quiet); font-size: 0.85rem; }
.figures dd { margin: 0; font-size: 1.6rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures .less { color: var(--strong); }
.figures dd.more { font-size: 0.85rem; font-weight: 400; color: var(--quiet); }
.advice { background: var(--raised); border-left: 4px solid var(--strong); padding: 16px 20px; }
.advice h2 { margin: 0 0 4px; }
pre {
  margin: 10px 0; padding: 10px 12px; background: var(--paper); border: 1px solid var(--hair); border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: 0.84rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
pre span { display: inline-block; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--quiet); font-size: 0.9rem; }
figure { margin: 10px 0 0; }
figcaption { margin-top: 4px; }
svg { display: block; width: 100%; height: auto; overflow: visible; font-family: inherit; font-size: 12px; }
svg.phone { display: none; }
text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.start { text-anchor: start; } .middle { text-anchor: middle; } .end { text-anchor: end; }
.tick, .name { fill: var(--quiet); }
.tick, .flag, .value { font-variant-numeric: tabular-nums; }
.label { font-size: 13px; }
.grid { stroke: var(--hair); } .axis { stroke: var(--rule); }
.bar { fill: var(--plain); } .bar.chosen { fill: var(--strong); }
text.chosen { font-weight: 600; fill: var(--strong); }
.edge { stroke: var(--strong); stroke-width: 1.25; } .flag { fill: var(--strong); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.optimal { stroke: var(--strong); stroke-width: 2.5; }
.line.percentile { stroke: var(--other); stroke-dasharray: 7 3; }
.line.doubling { stroke: var(--third); stroke-dasharray: 2 3; }
.curve.optimal { fill: var(--strong); font-weight: 600; }
.curve.percentile { fill: var(--other); } .curve.doubling { fill: var(--third); }
.target { fill: transparent; }
line.picked { stroke: var(--strong); stroke-dasharray: 2 3; } circle.picked { fill: var(--strong); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.86rem; font-variant-numeric: tabular-nums; margin-top: 8px; }
th, td {
  padding: 6px 0 6px 14px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--hair); font-weight: 400;
}
thead th { color: var(--quiet); border-bottom-color: var(--rule); vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 8px; } td:last-child, th:last-child { padding-right: 8px; }
td.left-out { text-align: left; color: var(--quiet); }
tr.chosen th, tr.chosen td { background: var(--picked); font-weight: 600; }
footer { margin-top: 40px; border-top: 1px solid var(--hair); padding-top: 12px; }
@media (max-width: 600px) {
  main { padding: 24px 16px 40px; }
  .figures { grid-template-columns: repeat(2, 1fr); }
  .figures dd { font-size: 1.35rem; }
  .advice { padding: 14px 14px; }
  svg.wide { display: none; } svg.phone { display: block; }
}
@media (max-width: 600px) and (min-width: 440px) { svg.phone { max-width: 440px; } }
)";

constexpr paper wide{"wide", 816, false};
constexpr paper phone{"phone", 360, true};

std::string element(std::string_view tag, std::string_view text)
{
    std::string all("<");
    return all.append(tag).append(">").append(escaped(text)).append("</").append(tag).append(">\n");
}

// A line of C++ that breaks between options, and within one only where it is longer than the line.
std::string code(std::string_view line)
{
    std::string text = "<pre>";
    while (!line.empty()) {
        const std::size_t end = std::min(line.find(" .", 1), line.size());
        text += "<span>" + escaped(line.substr(0, end)) + "</span>";
        line.remove_prefix(end);
    }
    return text + "</pre>\n";
}

std::string key_figure(std::string_view name, std::string_view value, std::string_view more, std::string_view look = "")
{
    return "<div>" + element("dt", name) + "<dd class=\"" + std::string(look) + "\">" + escaped(value) + "</dd>\n" +
           "<dd class=\"more\">" + escaped(more) + "</dd></div>\n";
}

std::string key_figures(const measured& of, const comparison& found)
{
    const strategy& before = found.strategies[found.as_they_come];
    const strategy& after = found.strategies[found.recommended];
    const auto cells_before = static_cast<double>(before.cells());
    const auto cells_after = static_cast<double>(after.cells());
    const auto& lengths = of.histogram;
    return "<dl class=\"figures\">\n" +
           key_figure("Padding as they come", percent(before.waste.padding()) + " %", before.name) +
           key_figure("Padding, recommended", percent(after.waste.padding()) + " %", after.name, "less") +
           key_figure("Cells saved", percent(1 - cells_after / cells_before) + " %",
                      short_number(cells_before) + " become " + short_number(cells_after)) +
           key_figure("Median length", grouped(lengths.percentile(50)),
                      "95th percentile " + grouped(lengths.percentile(95)) + ", longest " + grouped(lengths.longest())) +
           "</dl>\n";
}

std::string advice(const comparison& found)
{
    const strategy& best = found.strategies[found.recommended];
    std::string text = "<section class=\"advice\">\n" + element("h2", "Recommended: " + best.name) +
                       element("p", "It fits where " + best.condition + ". " + found.reason) + code(best.code);
    if (!found.otherwise.empty()) {
        text += "<details open=\"open\">" + element("summary", "Where that does not fit");
        for (const std::size_t s : found.otherwise) {
            const strategy& other = found.strategies[s];
            const std::string waste = percent(other.waste.padding()) + " % padding.";
            text += element("p", "Where " + other.condition + ": " + other.name + ", " + waste) + code(other.code);
        }
        text += "</details>\n";
    }
    return text + "</section>\n";
}

template <class Draw>
std::string figure(std::string_view heading, std::string_view caption, Draw draw)
{
    return "<section>\n" + element("h2", heading) + "<figure>\n" + draw(wide) + draw(phone) + element("figcaption", caption) +
           "</figure>\n</section>\n";
}

std::string table(const comparison& found)
{
    const std::string left_out = "<td class=\"left-out\" colspan=\"" + std::to_string(headings().size() - 1) + "\">";
    std::string text = "<section>\n" + element("h2", "All figures") + "<div class=\"scroll\"><table>\n<thead><tr>";
    for (const std::string& heading : headings())
        text += "<th scope=\"col\">" + escaped(heading) + "</th>";
    text += "</tr></thead>\n<tbody>\n";
    for (std::size_t i = 0; i < found.strategies.size(); ++i) {
        const std::vector<std::string> line = cells(found.strategies[i]);
        text += i == found.recommended ? "<tr class=\"chosen\">" : "<tr>";
        text += "<th scope=\"row\">" + escaped(line[0]) + "</th>";
        for (std::size_t c = 1; c < line.size(); ++c)
            text += (line.size() == 2 ? left_out : "<td>") + escaped(line[c]) + "</td>";
        text += "</tr>\n";
    }
    return text + "</tbody>\n</table></div>\n";
}

}  // namespace

std::string page(const measured& of, const settings& chosen, const comparison& found)
{
    const std::string edges = joined(found.edges, ", ", [](std::size_t edge) { return grouped(edge); });
    std::string text = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n" +
                       element("title", "Padding report: " + of.name) + "<style>" + std::string(style) +
                       "</style>\n</head>\n<body>\n<main>\n";
    text += "<header>\n" + element("h1", of.name) +
            "<p class=\"quiet\">" + escaped("Padding report: " + grouped(of.histogram.sequences()) + " sequences, " +
                                            grouped(of.histogram.tokens()) + " tokens, batches of " + batch_size(chosen)) +
            "</p>\n</header>\n";
    text += key_figures(of, found) + advice(found);
    text += figure("How long the sequences are",
                   "Blue lines: the edges that waste least with at most " + grouped(chosen.shapes) + " shapes: " + edges + ".",
                   [&](const paper& on) { return length_chart(of.histogram, found.edges, on); });
    text += figure("What each strategy wastes", "Blue: recommended. What cuts loses tokens; the table says how many.",
                   [&](const paper& on) { return strategy_chart(found, on); });
    text += figure("What more shapes buy",
                   "Bucketed batches. Powers of two: the largest ones, since the last has to hold the longest sequence.",
                   [&](const paper& on) { return shape_chart(found.curves, chosen.shapes, on); });
    text += table(found);
    for (const std::string& note : notes(of, chosen))
        text += "<p class=\"quiet\">" + escaped(note) + "</p>\n";
    text += "</section>\n<footer>" +
            escaped("Written by examples/padding_report of Batten " + std::to_string(BATTEN_VERSION_MAJOR) + "." +
                    std::to_string(BATTEN_VERSION_MINOR) + "." + std::to_string(BATTEN_VERSION_PATCH) + ".") +
            "</footer>\n</main>\n</body>\n</html>\n";
    return text;
}

}  // namespace padding_report
