// SPDX-License-Identifier: MIT
#include "strategies.hpp"

#include "../text.hpp"

#include <batten/plan/batches.hpp>
#include <batten/plan/edges.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/plan/next_fit.hpp>
#include <batten/plan/tight.hpp>
#include <batten/plan/waste.hpp>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace padding_report {

using namespace examples;

namespace {

namespace plan = batten::plan;

constexpr std::size_t most_shapes_of_curve = 32;
constexpr double close_enough = 0.02;  // a simpler strategy is recommended where it is within two points of the least waste

class comparer {
public:
    comparer(const measured& of, const settings& chosen, progress& shown) : of_(of), chosen_(chosen), shown_(shown)
    {
        if (chosen_.budget != 0 && longest() > chosen_.budget)
            refuse("a budget of " + grouped(chosen_.budget) + " cells is less than the longest row, " + grouped(longest()));
    }

    comparison compare()
    {
        found_.edges = plan::optimal_edges(of_.histogram, {.max_edges = chosen_.shapes, .multiple = chosen_.multiple}).edges;

        const std::size_t fixed = add(padded_to("fixed to the longest", {longest()}));
        add(padded_to("fixed to p95", {rounded(std::max<std::size_t>(of_.histogram.percentile(95), 1))}));
        const std::size_t dynamic = add(dynamic_in_file_order());
        add(planned("dynamic, shuffled", {.group = plan::grouping::shuffled}));
        add(padded_to("bucketed, percentile edges", percentile_edges(chosen_.shapes)));
        add(padded_to("bucketed, powers of two", powers_of_two()));
        const std::size_t bucketed = add(bucketed_optimally());
        const std::size_t windows = add(sorted_in_windows());
        add(planned("sorted", {.group = plan::grouping::sorted}));
        add(packed("packed, best fit", [](const auto&... arguments) { return plan::pack_best_fit(arguments...); }));
        const std::size_t tight = add(packed_tightly());

        found_.as_they_come = is_there(dynamic) ? dynamic : fixed;
        recommend({dynamic, windows, bucketed, tight});
        draw_curves();
        return std::move(found_);
    }

private:
    // ---- widths

    [[nodiscard]] std::size_t rounded(std::size_t width) const
    {
        return (width + chosen_.multiple - 1) / chosen_.multiple * chosen_.multiple;
    }
    [[nodiscard]] std::size_t longest() const { return rounded(of_.histogram.longest()); }

    [[nodiscard]] std::vector<std::size_t> percentile_edges(std::size_t k) const
    {
        std::vector<std::size_t> edges = plan::percentile_edges(of_.histogram, k);
        std::transform(edges.begin(), edges.end(), edges.begin(), [&](std::size_t edge) { return rounded(edge); });
        edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
        return edges;
    }

    // From the smallest that holds a sequence on.
    [[nodiscard]] std::vector<std::size_t> powers_of_two() const
    {
        std::vector<std::size_t> edges = plan::doubling_edges(chosen_.multiple, longest());
        const std::size_t shortest = of_.histogram.bins().front().length;
        edges.erase(edges.begin(), std::lower_bound(edges.begin(), edges.end(), shortest));
        return edges;
    }

    // ---- one strategy each

    std::size_t add(strategy one)
    {
        found_.strategies.push_back(std::move(one));
        return found_.strategies.size() - 1;
    }
    [[nodiscard]] bool is_there(std::size_t s) const { return found_.strategies[s].left_out.empty(); }
    [[nodiscard]] double padding(std::size_t s) const { return found_.strategies[s].waste.padding(); }

    // Every sequence in a row of the first edge that holds it; those that are longer than the last edge are cut.
    [[nodiscard]] strategy padded_to(std::string name, const std::vector<std::size_t>& edges) const
    {
        strategy one{.name = std::move(name), .waste = plan::waste_of(of_.histogram, edges)};
        std::size_t last = 0;
        for (const plan::histogram::bin& b : of_.histogram.bins()) {
            const auto edge = std::lower_bound(edges.begin(), edges.end(), b.length);
            count_width(one, last, edge == edges.end() ? edges.back() : *edge);
        }
        return one;
    }

    // Widths come in growing order.
    static void count_width(strategy& into, std::size_t& last, std::size_t width)
    {
        if (into.shapes == 0)
            into.narrowest = width;
        else if (width == last)
            return;
        ++into.shapes;
        into.widest = width;
        last = width;
    }

    [[nodiscard]] strategy planned(std::string name, plan::batch_options options) const
    {
        if (of_.lengths.empty())
            return {.name = std::move(name), .left_out = "too many sequences to lay out in an order"};
        shown_.at(name, of_.lengths.size());
        options.multiple = chosen_.multiple;
        options.seed = chosen_.seed;
        (chosen_.budget != 0 ? options.max_cells : options.max_rows) = chosen_.budget != 0 ? chosen_.budget : chosen_.rows;
        const auto batches = plan::batches(of_.lengths, options);
        strategy one{.name = std::move(name), .waste = plan::waste_of(batches, of_.lengths)};
        std::vector<std::size_t> widths(batches.widths().begin(), batches.widths().end());
        std::sort(widths.begin(), widths.end());
        std::size_t last = 0;
        for (const std::size_t width : widths)
            count_width(one, last, width);
        return one;
    }

    [[nodiscard]] strategy dynamic_in_file_order() const
    {
        std::string name = "dynamic, file order";
        if (!of_.in_order)
            return {.name = std::move(name), .left_out = "a histogram has no order"};
        strategy one = planned(std::move(name), {.group = plan::grouping::as_given});
        one.code = plan_code("as_given", "");
        one.condition = "any width will do and the order is to stay";
        return one;
    }

    [[nodiscard]] strategy bucketed_optimally() const
    {
        strategy one = padded_to("bucketed, optimal edges", found_.edges);
        const std::string edges = joined(found_.edges, ", ", [](std::size_t edge) { return std::to_string(edge); });
        one.code = plan_code("bucketed", ", .edges = {" + edges + "}" + drawn());
        one.condition = "each width costs a compilation or a graph capture";
        return one;
    }

    [[nodiscard]] strategy sorted_in_windows() const
    {
        const double mean = static_cast<double>(of_.histogram.tokens()) / static_cast<double>(of_.histogram.sequences());
        const std::size_t rows =
            chosen_.budget == 0 ? chosen_.rows : static_cast<std::size_t>(static_cast<double>(chosen_.budget) / mean);
        const std::size_t window = chosen_.window * rows;
        strategy one = planned("sorted in windows", {.group = plan::grouping::windows, .window = window});
        one.code = plan_code("windows", ", .window = " + std::to_string(window) + drawn());
        one.condition = "any width will do";
        return one;
    }

    // pack(histogram, options) gives the bins. Sequences over the capacity are split, so that no token is lost.
    template <class Pack>
    [[nodiscard]] strategy packed(std::string name, Pack pack) const
    {
        shown_.at(name, of_.histogram.bins().size());
        const std::size_t capacity = packed_capacity(of_, chosen_);
        const std::uint64_t rows =
            pack(of_.histogram, plan::packing_options{.capacity = capacity, .over = plan::over_capacity::is_split}).bins();
        strategy one{.name = std::move(name), .shapes = 1, .narrowest = capacity, .widest = capacity};
        one.waste = {.rows = rows, .real_tokens = of_.histogram.tokens()};
        one.waste.pads = plan::waste::product(rows, capacity) - one.waste.real_tokens;
        one.waste.attended_pairs = plan::waste::product(rows, plan::waste::product(capacity, capacity));
        for (const plan::histogram::bin& b : of_.histogram.bins()) {
            const std::uint64_t rest = b.length % capacity;
            const std::uint64_t whole = plan::waste::product(b.length - rest, capacity);  // of the pieces that fill a row each
            const std::uint64_t pairs = plan::waste::sum(whole, rest * rest);
            one.waste.real_pairs = plan::waste::sum(one.waste.real_pairs, plan::waste::product(b.count, pairs));
        }
        return one;
    }

    [[nodiscard]] strategy packed_tightly() const
    {
        strategy one = packed("packed, tight", [](const auto&... arguments) { return plan::pack_tight(arguments...); });
        const std::size_t capacity = packed_capacity(of_, chosen_);
        one.code = "auto packed = batten::plan::pack_tight(lengths, {.capacity = " + std::to_string(capacity) +
                   (capacity < of_.histogram.longest() ? ", .over = batten::plan::over_capacity::is_split" : "") + "});";
        one.condition = "attention keeps the sequences of a row apart (cu_seqlens or segment ids)";
        return one;
    }

    [[nodiscard]] std::string plan_code(std::string_view group, std::string_view options) const
    {
        std::string code("auto plan = batten::plan::batches(lengths, {.group = batten::plan::grouping::");
        code.append(group);
        code += chosen_.budget != 0 ? ", .max_cells = " + std::to_string(chosen_.budget)
                                    : ", .max_rows = " + std::to_string(chosen_.rows);
        if (chosen_.multiple != 1)
            code += ", .multiple = " + std::to_string(chosen_.multiple);
        return code.append(options).append("});");
    }
    [[nodiscard]] std::string drawn() const
    {
        return ", .order = batten::plan::batch_order::shuffled, .seed = " + std::to_string(chosen_.seed);
    }

    // ---- the recommendation

    // Candidates stand in the order of what they ask of who uses them, least first.
    void recommend(std::vector<std::size_t> candidates)
    {
        candidates.erase(std::remove_if(candidates.begin(), candidates.end(), [&](std::size_t s) { return !is_there(s); }),
                         candidates.end());
        const std::size_t least = *std::min_element(candidates.begin(), candidates.end(),
                                                    [&](std::size_t a, std::size_t b) { return padding(a) < padding(b); });
        found_.recommended = *std::find_if(candidates.begin(), candidates.end(),
                                           [&](std::size_t s) { return padding(s) <= padding(least) + close_enough; });
        std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(found_.otherwise),
                     [&](std::size_t s) { return s != found_.recommended && s != found_.as_they_come; });
        found_.reason = reason_against(least);
    }

    [[nodiscard]] std::string reason_against(std::size_t least) const
    {
        const std::size_t best = found_.recommended;
        const strategy& before = found_.strategies[found_.as_they_come];
        if (best == found_.as_they_come)
            return percent(padding(best)) + " % of its cells are padding, and nothing else here saves more than 2 points.";
        const double cells = static_cast<double>(before.cells()) / static_cast<double>(found_.strategies[best].cells());
        std::string text = percent(padding(best)) + " % of its cells are padding, against " + percent(before.waste.padding()) +
                           " % of " + before.name + ": " + fixed_point(cells, cells < 10 ? 1 : 0) + " times fewer cells";
        if (best != least)
            text += "; " + found_.strategies[least].name + " has " + percent(padding(least)) + " %, but asks for more";
        return text + ".";
    }

    // ---- waste against the number of shapes

    void draw_curves()
    {
        curve optimal{.name = "optimal edges", .padding = {}};
        curve percentiles{.name = "percentile edges", .padding = {}};
        curve doubling{.name = "powers of two", .padding = {}};
        const std::vector<std::size_t> powers = powers_of_two();
        const auto padding_of = [&](const std::vector<std::size_t>& edges) {
            return plan::waste_of(of_.histogram, edges).padding();
        };
        for (std::size_t k = 1; k <= most_shapes_of_curve; ++k) {
            shown_.at("edges for " + std::to_string(k) + " shapes", of_.histogram.bins().size());
            optimal.padding.push_back(
                padding_of(plan::optimal_edges(of_.histogram, {.max_edges = k, .multiple = chosen_.multiple}).edges));
            percentiles.padding.push_back(padding_of(percentile_edges(k)));
            if (k <= powers.size())  // the k largest: a ladder has to reach the longest
                doubling.padding.push_back(padding_of({powers.end() - static_cast<std::ptrdiff_t>(k), powers.end()}));
        }
        found_.curves = {std::move(optimal), std::move(percentiles), std::move(doubling)};
    }

    const measured& of_;
    const settings& chosen_;
    progress& shown_;
    comparison found_;
};

}  // namespace

std::size_t packed_capacity(const measured& of, const settings& chosen)
{
    const std::size_t capacity = chosen.capacity != 0 ? chosen.capacity : of.histogram.longest();
    return (capacity + chosen.multiple - 1) / chosen.multiple * chosen.multiple;
}

comparison compare(const measured& of, const settings& chosen, progress& shown)
{
    return comparer(of, chosen, shown).compare();
}

}  // namespace padding_report
