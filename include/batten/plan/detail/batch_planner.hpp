// SPDX-License-Identifier: MIT
// Makes a batch plan: orders the sequences, cuts the order into batches, fits them to steps, and orders the batches.
#ifndef BATTEN_PLAN_DETAIL_BATCH_PLANNER_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_BATCH_PLANNER_HPP_INCLUDED

#include <batten/detail/checks.hpp>
#include <batten/detail/halving.hpp>
#include <batten/detail/memory.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/plan/batch_options.hpp>
#include <batten/plan/batch_plan.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/order.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace batten::plan::detail {

template <class Index, class Lengths>
class batch_planner {
public:
    constexpr batch_planner(const Lengths& lengths, const batch_options& options)
        : lengths_(lengths), options_(options), count_(static_cast<std::size_t>(std::ranges::size(lengths)))
    {
    }

    constexpr bool run(batch_plan<Index>& plan, error& reason)
    {
        if (!check(reason))
            return false;
        arrange();
        if (!cut(reason))
            return false;
        fit_steps();
        order_batches();
        return emit(plan, reason);
    }

private:
    static constexpr std::size_t most_places = std::numeric_limits<Index>::max();

    // Rows [begin, end) of order_ as one batch.
    struct batch {
        Index begin = 0;
        Index end = 0;
        Index width = 0;

        constexpr std::size_t rows() const noexcept { return end - begin; }
        constexpr std::uint64_t cells() const noexcept { return std::uint64_t{rows()} * width; }
    };
    enum purpose : std::uint64_t { draw_sequences = 1, draw_batches = 2, draw_ranks = 3 };

    constexpr std::size_t length(std::size_t i) const { return length_at(lengths_, i); }
    constexpr std::uint64_t key(purpose of) const { return batten::detail::key_of({options_.seed, options_.epoch, of}); }
    constexpr bool is_sorted() const { return options_.group == grouping::sorted || options_.group == grouping::windows; }

    // ---- check

    constexpr bool check(error& reason)
    {
        if (!require_batch_limit(options_.max_rows, options_.max_cells, reason) ||
            !require_positive(options_.multiple, "multiple", reason) || !require_positive(options_.window, "window", reason) ||
            !require_positive(options_.batches_per_step, "batches_per_step", reason))
            return false;
        if (options_.group == grouping::bucketed && !options_.edges.check(reason))
            return false;
        // Filling the last batch and the last step may repeat rows: their places need numbers, too.
        if (count_ > most_places / 2)
            return too_narrow("the number of sequences", count_, most_places / 2, reason);
        if (options_.batches_per_step > most_places / 2)
            return too_narrow("batches_per_step", options_.batches_per_step, most_places / 2, reason);
        return check_lengths(reason);
    }

    constexpr bool check_lengths(error& reason)
    {
        if (!find_longest(lengths_, longest_, reason))
            return false;
        const bool bucketed = options_.group == grouping::bucketed;
        if (bucketed && longest_ > options_.edges.limit()) {
            const std::size_t i = first_row([&](std::size_t n) { return n > options_.edges.limit(); });
            return fail(reason, error::of_row(errors::row_over_limit, i, length(i), options_.edges.limit()));
        }
        const std::size_t widest = bucketed ? options_.edges.limit() : longest_;
        if (widest > most_places / options_.multiple * options_.multiple) {
            const std::size_t missing = (options_.multiple - widest % options_.multiple) % options_.multiple;
            return too_narrow("the width of a batch", missing > no_limit - widest ? no_limit : widest + missing, most_places,
                              reason);
        }
        if (options_.over == over_max_cells::is_error && options_.max_cells != no_limit &&
            width_for(longest_) > options_.max_cells) {
            const std::size_t i = first_row([&](std::size_t n) { return width_for(n) > options_.max_cells; });
            return fail(reason, error::of_row(errors::row_over_max_cells, i, length(i), width_for(length(i)), {},
                                              options_.max_cells));
        }
        return true;
    }
    // The first row whose length is one that is looked for. Requires: there is one.
    template <class IsWanted>
    constexpr std::size_t first_row(const IsWanted& is_wanted) const
    {
        std::size_t i = 0;
        while (!is_wanted(length(i)))
            ++i;
        return i;
    }
    static constexpr bool too_narrow(std::string_view what, std::size_t number, std::size_t most, error& reason) noexcept
    {
        return fail(reason, error::of(errors::index_too_narrow, number, most, what));
    }

    // ---- widths and limits

    constexpr std::size_t rounded(std::size_t width) const
    {
        return (width / options_.multiple + (width % options_.multiple != 0 ? 1 : 0)) * options_.multiple;
    }
    // The width of a batch whose longest sequence has this length.
    constexpr std::size_t width_for(std::size_t longest) const
    {
        if (options_.group != grouping::bucketed)
            return rounded(longest);
        return rounded(options_.edges.edges()[options_.edges.bucket_of(longest)]);
    }
    constexpr std::size_t most_rows(std::size_t width) const
    {
        return batten::detail::rows_within(options_.max_rows, options_.max_cells, width);
    }
    constexpr std::size_t width_of(std::size_t begin, std::size_t end) const
    {
        std::size_t longest = 0;
        for (std::size_t at = begin; at < end; ++at)
            longest = std::max(longest, length(order_[at]));
        return width_for(longest);
    }

    // ---- arrange: order_, and the groups whose batches do not mix, [groups_[g], groups_[g + 1])

    constexpr void arrange()
    {
        order_.assign(count_, Index{0});
        groups_.assign({0, count_});
        switch (options_.group) {
        case grouping::as_given:
            for (std::size_t i = 0; i < count_; ++i)
                order_[i] = static_cast<Index>(i);
            break;
        case grouping::shuffled: shuffled_order<Index>(order_, key(draw_sequences)); break;
        case grouping::sorted: order_by_length<Index>(lengths_, longest_, order_); break;
        case grouping::windows: arrange_windows(); break;
        case grouping::bucketed: arrange_buckets(); break;
        }
    }

    constexpr void arrange_windows()
    {
        std::size_t window = std::min(options_.window, count_);
        if (options_.max_rows < count_)
            window = std::min((window + options_.max_rows - 1) / options_.max_rows * options_.max_rows, count_);
        sorted_windows<Index>(lengths_, longest_, window, key(draw_sequences), order_);
        // Without a budget batches of `rows` end where windows do: one group, whose last batch alone may be short.
        if (options_.max_cells != no_limit || options_.aim == objective::least_padding) {
            groups_.assign(1, 0);
            for (std::size_t end = window; end < count_; end += window)
                groups_.push_back(end);
            groups_.push_back(count_);
        }
    }

    constexpr void arrange_buckets()
    {
        buffer_vector<Index> drawn;
        if (options_.order == batch_order::shuffled) {
            drawn.assign(count_, Index{0});
            shuffled_order<Index>(drawn, key(draw_sequences));
        }
        const std::size_t buckets = options_.edges.edges().size();
        const auto bucket_of = [&](std::size_t i) { return std::uint64_t{options_.edges.bucket_of(length(i))}; };
        const auto item = [&](std::size_t i) { return drawn.empty() ? static_cast<Index>(i) : drawn[i]; };
        const auto ends = counting_pass<Index>(count_, buckets, 0, item, bucket_of, order_);
        groups_.assign(1, 0);
        for (std::size_t b = 0; b < buckets; ++b)
            groups_.push_back(ends[b]);
    }

    // ---- cut: batches_, by growing place in order_

    constexpr bool cut(error& reason)
    {
        for (std::size_t g = 0; g + 1 < groups_.size(); ++g) {
            const std::size_t begin = groups_[g];
            const std::size_t end = groups_[g + 1];
            if (begin == end)
                continue;
            const std::size_t first = batches_.size();
            bool last_is_first = false;  // whether the batch that is not full is the first of the group
            if (!is_sorted())
                cut_in_order(begin, end);
            else if (options_.aim == objective::least_padding)
                cut_for_least_padding(begin, end);
            else if (options_.max_cells == no_limit)
                cut_in_order(begin, end);
            else
                last_is_first = cut_from_longest(begin, end);
            // A batch at the end of a window counts as full: the next window has other lengths.
            if ((options_.group != grouping::windows || g + 2 == groups_.size()) &&
                !finish(last_is_first ? first : batches_.size() - 1, begin, end, reason))
                return false;
        }
        return true;
    }

    constexpr void add(std::size_t begin, std::size_t end, std::size_t width)
    {
        batches_.push_back({static_cast<Index>(begin), static_cast<Index>(end), static_cast<Index>(width)});
    }

    constexpr void cut_in_order(std::size_t begin, std::size_t end)
    {
        if (options_.max_cells == no_limit) {
            // The last row is the longest where all rows of a batch are in one sorted range. Windows are rounded up to whole
            // batches, unless all rows are one batch, which may hold several windows.
            const bool last_is_longest = is_sorted() && (options_.group == grouping::sorted || options_.max_rows < count_);
            for (std::size_t at = begin; at < end; at += std::min(options_.max_rows, end - at)) {
                const std::size_t rows = std::min(options_.max_rows, end - at);
                add(at, at + rows, last_is_longest ? width_for(length(order_[at + rows - 1])) : width_of(at, at + rows));
            }
            return;
        }
        std::size_t first = begin;
        std::size_t width = 0;
        for (std::size_t at = begin; at < end; ++at) {
            const std::size_t wider = std::max(width, width_for(length(order_[at])));
            if (at != first && at - first + 1 > most_rows(wider)) {
                add(first, at, width);
                first = at;
                width = width_for(length(order_[at]));
            } else {
                width = wider;
            }
        }
        add(first, end, width);
    }

    // Requires: sorted. The longest remaining sequence needs a batch of its width, of at most most_rows rows. Filling it with the
    // next longest leaves the shortest ones for later, so no other cuts make fewer batches.
    constexpr bool cut_from_longest(std::size_t begin, std::size_t end)
    {
        const std::size_t first = batches_.size();
        while (end > begin) {
            const std::size_t width = width_for(length(order_[end - 1]));
            const std::size_t rows = std::min(most_rows(width), end - begin);
            add(end - rows, end, width);
            end -= rows;
        }
        std::reverse(batches_.begin() + static_cast<std::ptrdiff_t>(first), batches_.end());
        return true;
    }

    // Requires: sorted. Of all cuts into the fewest batches, those with the fewest cells. t batches end between from_end[t],
    // where the greedy cuts from the longest put it, and from_begin[t], where those from the shortest do. These ranges are
    // apart (else one batch less would do), so that all levels together are n places. With w the width, which never falls,
    // the cells (j - i) * w(j) of a batch [i, j) have the property that halving needs (edges.hpp), and an i too far from j is
    // too far from all later j.
    constexpr void cut_for_least_padding(std::size_t begin, std::size_t end)
    {
        const std::size_t first = batches_.size();
        cut_from_longest(begin, end);
        const std::size_t levels = batches_.size() - first;
        std::vector<Index> from_end(levels + 1, static_cast<Index>(begin));
        for (std::size_t t = 1; t <= levels; ++t)
            from_end[t] = batches_[first + t - 1].end;
        std::vector<Index> from_begin(levels + 1, static_cast<Index>(begin));
        for (std::size_t t = 1; t <= levels; ++t) {
            std::size_t j = from_end[t];
            while (j < end && lowest(j + 1) <= from_begin[t - 1])
                ++j;
            from_begin[t] = static_cast<Index>(j);
        }
        buffer_vector<std::uint64_t> cells(end - begin + 1, 0);
        buffer_vector<Index> before(end - begin + 1, static_cast<Index>(begin));
        for (std::size_t t = 1; t <= levels; ++t)
            batten::detail::halve(
                from_end[t], std::size_t{from_begin[t]} + 1, from_end[t - 1], std::size_t{from_begin[t - 1]} + 1,
                [&](std::size_t j) { return lowest(j); },
                [&](std::size_t i, std::size_t j) {
                    return cells[i - begin] + std::uint64_t{j - i} * width_for(length(order_[j - 1]));
                },
                [&](std::size_t j, std::size_t i, std::uint64_t least) {
                    cells[j - begin] = least;
                    before[j - begin] = static_cast<Index>(i);
                });
        std::size_t j = end;
        for (std::size_t t = levels; t > 0; --t) {
            const std::size_t i = before[j - begin];
            batches_[first + t - 1] = {static_cast<Index>(i), static_cast<Index>(j),
                                       static_cast<Index>(width_for(length(order_[j - 1])))};
            j = i;
        }
    }
    // The first place from which a batch may reach up to j.
    constexpr std::size_t lowest(std::size_t j) const
    {
        const std::size_t rows = most_rows(width_for(length(order_[j - 1])));
        return j - std::min(rows, j);
    }

    // Applies .last to batch b, the one of the group [begin, end) that may not be full.
    // False where filling it takes more places than Index can number.
    constexpr bool finish(std::size_t b, std::size_t begin, std::size_t end, error& reason)
    {
        const batch left = batches_[b];
        if (options_.last == last_batch::keep || left.rows() >= most_rows(left.width) || most_rows(left.width) == no_limit)
            return true;
        if (options_.last == last_batch::drop) {
            batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(b));
            return true;
        }
        // Its rows and more of the group, after all others, because a batch is a range of order_.
        const std::size_t first = order_.size();
        // A filled batch has at least as many rows as the widest one may have.
        const std::size_t least_rows = most_rows(width_for(longest_));
        if (least_rows > most_places - first)
            return too_narrow("the number of rows, repeated ones included,", least_rows, most_places - first, reason);
        for (std::size_t i = left.begin; i < left.end; ++i)
            order_.push_back(Index{order_[i]});
        const bool backward = is_sorted() && left.end == end;
        std::size_t next = backward ? left.begin : left.end;
        std::size_t width = left.width;
        while (true) {
            const std::size_t from = backward ? (next == begin ? end : next) - 1 : (next == end ? begin : next);
            const std::size_t wider = std::max(width, width_for(length(order_[from])));
            if (order_.size() - first + 1 > most_rows(wider))
                break;
            if (order_.size() == most_places)
                return too_narrow("the number of rows, repeated ones included,", order_.size() + 1, most_places, reason);
            width = wider;
            order_.push_back(Index{order_[from]});
            next = backward ? from : from + 1;
        }
        batches_[b] = {static_cast<Index>(first), static_cast<Index>(order_.size()), static_cast<Index>(width)};
        return true;
    }

    // ---- steps: a number of batches that fills whole steps

    constexpr void fit_steps()
    {
        const std::size_t over = batches_.size() % options_.batches_per_step;
        if (over == 0)
            return;
        if (options_.last == last_batch::drop)
            batches_.resize(batches_.size() - over);
        else if (options_.last == last_batch::fill)
            for (std::size_t i = 0; batches_.size() % options_.batches_per_step != 0; ++i)
                batches_.push_back(batch{batches_[i]});
        else
            split(options_.batches_per_step - over);
    }

    // Splits the batches with the most cells into halves, thirds, ... until there are `more` batches more; adds batches without
    // rows where there are not enough rows.
    constexpr void split(std::size_t more)
    {
        std::vector<std::size_t> parts(batches_.size(), 1);
        std::vector<std::size_t> heap;
        const auto share = [&](std::size_t b) { return batches_[b].cells() / parts[b]; };
        const auto smaller = [&](std::size_t a, std::size_t b) { return share(a) != share(b) ? share(a) < share(b) : a > b; };
        for (std::size_t b = 0; b < batches_.size(); ++b)
            if (batches_[b].rows() > 1)
                heap.push_back(b);
        std::make_heap(heap.begin(), heap.end(), smaller);
        for (; more != 0 && !heap.empty(); --more) {
            std::pop_heap(heap.begin(), heap.end(), smaller);
            const std::size_t b = heap.back();
            heap.pop_back();
            if (++parts[b] < batches_[b].rows()) {
                heap.push_back(b);
                std::push_heap(heap.begin(), heap.end(), smaller);
            }
        }
        const std::vector<batch> whole = std::exchange(batches_, {});
        for (std::size_t b = 0; b < whole.size(); ++b) {
            const std::size_t rows = whole[b].rows();
            std::size_t at = whole[b].begin;
            for (std::size_t p = 0; p < parts[b]; ++p) {
                const std::size_t next = whole[b].begin + rows / parts[b] * (p + 1) + std::min(p + 1, rows % parts[b]);
                add(at, next, parts[b] == 1 ? whole[b].width : width_of(at, next));
                at = next;
            }
        }
        for (; more != 0; --more)
            add(0, 0, 0);
    }

    // ---- the order of batches

    constexpr void order_batches()
    {
        if (options_.order == batch_order::planned)
            return;
        // Ties are broken by the place in order_. Batches without rows, and repeated ones, are equal in everything.
        if (options_.order == batch_order::longest_first) {
            std::sort(batches_.begin(), batches_.end(), [](const batch& a, const batch& b) {
                return std::tuple(b.width, b.rows(), a.begin) < std::tuple(a.width, a.rows(), b.begin);
            });
            return;
        }
        const std::size_t step = options_.batches_per_step;
        if (step > 1)  // the batches of a step cost about the same
            std::sort(batches_.begin(), batches_.end(), [](const batch& a, const batch& b) {
                return std::tuple(a.cells(), a.begin) < std::tuple(b.cells(), b.begin);
            });
        const std::size_t steps = batches_.size() / step;
        const std::uint64_t of_steps = key(draw_batches);
        for (std::size_t s = steps; s > 1; --s) {
            const std::size_t other = static_cast<std::size_t>(batten::detail::below(s, batten::detail::draw(of_steps, s)));
            if (other != s - 1)
                std::swap_ranges(at(step * (s - 1)), at(step * s), at(step * other));
        }
        const std::uint64_t of_ranks = key(draw_ranks);
        for (std::size_t b = 0; step > 1 && b < batches_.size(); ++b) {
            const std::size_t left = step - b % step;
            std::swap(batches_[b], batches_[b + static_cast<std::size_t>(
                                                    batten::detail::below(left, batten::detail::draw(of_ranks, b)))]);
        }
    }
    constexpr auto at(std::size_t b) { return batches_.begin() + static_cast<std::ptrdiff_t>(b); }

    // ---- emit

    constexpr bool emit(batch_plan<Index>& plan, error& reason)
    {
        std::size_t places = 0;
        for (const batch& b : batches_)
            if (!batten::detail::add(places, b.rows(), places) || places > most_places)
                return too_narrow("the number of rows, repeated ones included,", places, most_places, reason);
        std::vector<Index> offsets;
        std::vector<Index> widths;
        offsets.reserve(batches_.size() + 1);
        widths.reserve(batches_.size());
        offsets.push_back(0);
        bool in_place = true;
        for (const batch& b : batches_) {
            in_place = in_place && b.begin == offsets.back();
            offsets.push_back(static_cast<Index>(offsets.back() + b.rows()));
            widths.push_back(b.width);
        }
        if (in_place) {
            order_.resize(offsets.back(), Index{0});
        } else {
            buffer_vector<Index> order;
            order.reserve(offsets.back());
            for (const batch& b : batches_)
                for (std::size_t i = b.begin; i < b.end; ++i)
                    order.push_back(order_[i]);
            order_ = std::move(order);
        }
        plan = batch_plan<Index>(count_, std::move(order_), std::move(offsets), std::move(widths));
        return true;
    }

    const Lengths& lengths_;
    const batch_options& options_;
    std::size_t count_;
    std::size_t longest_ = 0;
    buffer_vector<Index> order_{};
    std::vector<std::size_t> groups_{};
    std::vector<batch> batches_{};
};

}  // namespace batten::plan::detail

#endif
