// SPDX-License-Identifier: MIT
// A step of a server: which tokens of which live requests run through the model now. Checked once, before anything is written.
// A step is a layout: any collator of step_row writes its fields; arrays.hpp writes fields to the caller's memory faster, and
// backends.hpp has the sets of them that backends take.
#ifndef BATTEN_SERVE_STEP_HPP_INCLUDED
#define BATTEN_SERVE_STEP_HPP_INCLUDED

#include <batten/detail/loops.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/segment.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/requests.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace batten::serve {

struct step_options {
    cache_layout cache{};                // for steps whose inputs have blocks
    std::size_t max_context = no_limit;  // tokens of a request
    request_order order = request_order::as_given;
};

// The options of steps whose blocks a pool allocates.
[[nodiscard]] constexpr step_options step_options_of(const block_pool& pool) noexcept { return {.cache = pool.cache()}; }

namespace detail {

template <class In>
using list_of = decltype(list_requests(std::declval<const In&>()));

}  // namespace detail

template <class List>
class step_bundle;

// A step that was checked. It is what a collator takes: collate(now), with a layout of step_row.
//
// Requires the inputs, to which it refers, do not change while it is used.
// Errors   arrays of different lengths; computed or scheduled tokens that are negative or past the known ones; no scheduled
//          token; more tokens than max_context; more blocks than a row of the block table has; for the scheduled tokens, a block
//          that is reserved or outside of the cache; a prompt longer than its request. The constructor and try_step check the
//          same, before any write.
// Cost     O(requests + blocks of the scheduled tokens), independent of the context; no allocation.
template <class List>
class step {
public:
    using token_type = typename List::token_type;
    static constexpr bool has_blocks = List::has_blocks;
    static constexpr bool has_ids = List::has_ids;
    static constexpr bool has_prompts = List::has_prompts;

    template <class In>
        requires std::same_as<detail::list_of<In>, List>
    constexpr step(const In& in, const step_options& options) : step(unchecked{}, detail::list_requests(in), options)
    {
        error reason;
        if (!measure(reason))
            batten::detail::raise(reason);
    }

    // The constructor that returns its error: try_step calls it.
    [[nodiscard]] static constexpr result<step> try_make(const List& list, const step_options& options)
    {
        step made(unchecked{}, list, options);
        error reason;
        if (!made.measure(reason))
            return reason;
        return made;
    }

    [[nodiscard]] constexpr std::size_t requests() const noexcept { return list_.sequence_count(); }
    [[nodiscard]] constexpr std::size_t tokens() const noexcept { return tokens_; }
    [[nodiscard]] constexpr std::size_t max_query_len() const noexcept { return max_query_len_; }  // tokens of a request
    [[nodiscard]] constexpr std::size_t max_seq_len() const noexcept { return max_seq_len_; }      // and those before
    // Requests that are prefills, and the others (see is_prefill). O(requests).
    [[nodiscard]] constexpr std::size_t prefill_requests() const
    {
        std::size_t count = 0;
        for (std::size_t i = 0; i < requests(); ++i)
            count += list_.is_prefill(i) ? 1U : 0U;
        return count;
    }
    [[nodiscard]] constexpr std::size_t decode_requests() const { return requests() - prefill_requests(); }
    [[nodiscard]] constexpr const step_options& options() const noexcept { return options_; }
    [[nodiscard]] constexpr const block_geometry& geometry() const noexcept { return geometry_; }
    [[nodiscard]] constexpr const List& list() const noexcept { return list_; }

    // The inputs of a collator: see step_bundle. Requires: the step outlives it.
    [[nodiscard]] constexpr step_bundle<List> bundle() const noexcept { return step_bundle<List>(*this); }

    // Whether every request takes one token and the order is as given, as in most steps: then request i has row i and token i.
    [[nodiscard]] constexpr bool has_one_token_each() const noexcept { return tokens_ == requests() && !is_reordered_; }

    // The segment of request i, where it is request `row` of the step and its first token is column `first_column`.
    [[nodiscard]] constexpr segment segment_of(std::size_t i, std::size_t row, std::size_t first_column) const
    {
        const std::size_t computed = list_.computed(i);
        const std::size_t length = list_.scheduled(i);
        return {.sequence = i,
                .source_begin = computed,
                .kept = length,
                .length = length,
                .position_begin = computed,
                .first_column = first_column,
                .index_in_row = row};
    }

    // visit(segment) for each request, in the step's order. segment.sequence is the request's number among those given.
    template <class Visit>
    constexpr void walk(Visit&& visit) const
    {
        std::size_t row = 0;
        std::size_t first_column = 0;
        const bool prefills_come_first = options_.order == request_order::prefill_first;
        for (int turn = is_reordered_ ? 0 : 1; turn < 2; ++turn)
            for (std::size_t i = 0; i < requests(); ++i) {
                if (is_reordered_ && list_.is_prefill(i) == (prefills_come_first == (turn != 0)))
                    continue;
                const segment s = segment_of(i, row, first_column);
                visit(s);
                ++row;
                first_column += s.length;
            }
    }

    // The first request for which holds(list, i), for error messages. Requires: there is one.
    template <class Predicate>
    [[nodiscard]] constexpr std::size_t find(Predicate holds) const
    {
        std::size_t i = 0;
        while (!holds(list_, i))
            ++i;
        return i;
    }

private:
    struct unchecked {};
    constexpr step(unchecked, const List& list, const step_options& options)
        : list_(list), options_(options), geometry_(std::max<std::size_t>(options.cache.block_size, 1))
    {
    }

    constexpr bool measure(error& reason)
    {
        if (!list_.check(reason) || !check_options(reason))
            return false;
        const std::size_t count = requests();
        const std::size_t bad = measure_counts();
        if (bad != count)
            return list_.check(bad, reason) && explain(bad, reason);
        if (max_seq_len_ > most_tokens())
            return explain(find([&](const List& list, std::size_t i) {
                               return list.computed(i) + list.scheduled(i) == max_seq_len_;
                           }),
                           reason);
        // The bound of every sum over requests, of tokens or of keys.
        std::size_t bound = 0;
        if (!batten::detail::multiply(max_seq_len_, count, bound))
            return detail::fail(reason, error::of(errors::size_overflow, max_seq_len_, count));
        max_query_len_ = std::min<std::size_t>(count, 1);
        if (tokens_ != count || List::has_prompts)
            for (std::size_t i = 0; i < count; ++i) {
                if (!has_prompt(i))
                    return explain(i, reason);
                max_query_len_ = std::max(max_query_len_, list_.scheduled(i));
            }
        if (options_.order != request_order::as_given) {
            const std::size_t prefills = prefill_requests();
            is_reordered_ = prefills != 0 && prefills != count;
        }
        if constexpr (List::has_blocks) {
            const std::size_t lost = geometry_.visit([&](const auto geometry) { return find_bad_block(geometry); });
            return lost == count || explain(lost, reason);
        } else {
            return true;
        }
    }

    // The first request whose counts do not fit together, or requests(). Two short loops, this one and the next, are faster than
    // one that needs more registers than the processor has.
    constexpr std::size_t measure_counts()
    {
        const List list = list_;
        std::size_t tokens = 0;
        std::size_t max_seq_len = 0;
        error unused;  // here, so that it is not made again for each request
        const std::size_t bad = batten::detail::find_not(0, requests(), [&](std::size_t i) __attribute__((always_inline)) {
            if (!list.check(i, unused)) [[unlikely]]
                return false;
            const std::size_t computed = list.computed(i);
            const std::size_t seq_len = computed + list.scheduled(i);
            // Negative counts and sums that overflow fail here, too: one of the three is very large, or the sum is small.
            if (computed >= seq_len || seq_len > list.length(i)) [[unlikely]]
                return false;
            tokens += seq_len - computed;
            max_seq_len = std::max(max_seq_len, seq_len);
            return true;
        });
        tokens_ = tokens;
        max_seq_len_ = max_seq_len;
        return bad;
    }

    // The first request with a scheduled token in a block that is not allocated, or requests().
    constexpr std::size_t find_bad_block(const auto geometry) const
    {
        const List list = list_;
        const detail::allocated_blocks allocated(options_.cache);
        if (tokens_ == requests())
            return batten::detail::find_not(0, requests(), [&](std::size_t i) {
                return allocated.has(list.blocks(i)[geometry.index(list.computed(i))]);
            });
        return batten::detail::find_not(0, requests(), [&](std::size_t i) {
            const std::size_t first = geometry.index(list.computed(i));
            const std::size_t last = geometry.index(list.computed(i) + list.scheduled(i) - 1);
            const auto blocks = list.blocks(i).subspan(first, last + 1 - first);
            return std::all_of(blocks.begin(), blocks.end(), [&](auto block) { return allocated.has(block); });
        });
    }

    constexpr bool check_options(error& reason) const
    {
        if (options_.max_context == 0)
            return detail::fail(reason, error::of(errors::argument_not_positive, 0, {}, "max_context"));
        if constexpr (List::has_blocks) {
            return detail::check_cache(options_.cache, detail::size_limit, reason);
        } else {
            return true;
        }
    }

    // The most tokens of a request: max_context, or those of a row of the block table.
    constexpr std::size_t most_tokens() const
    {
        if constexpr (List::has_blocks) {
            std::size_t room = 0;
            if (batten::detail::multiply(list_.max_blocks(), options_.cache.block_size, room))
                return std::min(options_.max_context, room);
        }
        return options_.max_context;
    }

    constexpr bool has_prompt([[maybe_unused]] std::size_t i) const
    {
        if constexpr (List::has_prompts)
            return static_cast<std::size_t>(list_.given_prompt_length(i)) <= list_.length(i);
        else
            return true;
    }

    // The error of request i. Requires: there is one.
    constexpr bool explain(std::size_t i, error& reason) const
    {
        const auto computed = list_.given_computed(i);
        const auto scheduled = list_.given_scheduled(i);
        const std::size_t known = list_.length(i);
        if (std::cmp_less(computed, 0))
            return detail::fail(reason, error::of_row(errors::argument_negative, i, computed, {}, "computed"));
        if (std::cmp_less(scheduled, 0))
            return detail::fail(reason, error::of_row(errors::argument_negative, i, scheduled, {}, "scheduled"));
        if (scheduled == 0)
            return detail::fail(reason, error::of_row(errors::nothing_scheduled, i));
        if (std::cmp_greater(computed, known) || std::cmp_greater(scheduled, known - list_.computed(i)))
            return detail::fail(reason, error::of_row(errors::scheduled_past_known, i, sum(i), known));
        if (sum(i) > options_.max_context)
            return detail::fail(reason, error::of_row(errors::request_over_limit, i, sum(i), options_.max_context));
        if constexpr (List::has_prompts) {
            const auto prompt = list_.given_prompt_length(i);
            if (std::cmp_less(prompt, 0))
                return detail::fail(reason, error::of_row(errors::prompt_length_negative, i, prompt, {}, "prompt_lengths"));
            if (std::cmp_greater(prompt, known))
                return detail::fail(reason, error::of_row(errors::prompt_past_end, i, prompt, known, "prompt_lengths"));
        }
        if constexpr (List::has_blocks) {
            const std::size_t needed = geometry_.blocks_of(sum(i));
            if (needed > list_.max_blocks())
                return detail::fail(reason, error::of_row(errors::blocks_missing, i, needed, list_.max_blocks()));
            const detail::allocated_blocks allocated(options_.cache);
            for (const auto block : list_.blocks(i).first(needed).subspan(geometry_.index(list_.computed(i))))
                if (!allocated.check(block, i, reason))
                    return false;
        }
        return false;  // not reached
    }
    constexpr std::size_t sum(std::size_t i) const
    {
        std::size_t sum = 0;
        return batten::detail::add(list_.computed(i), list_.scheduled(i), sum) ? sum : detail::size_limit;
    }

    List list_;
    step_options options_;
    block_geometry geometry_;
    std::size_t tokens_ = 0;
    std::size_t max_query_len_ = 0;
    std::size_t max_seq_len_ = 0;
    bool is_reordered_ = false;
};

template <class In>
step(const In&, const step_options&) -> step<detail::list_of<In>>;

// The step of step_inputs{...} or of select(step_inputs{...}, rows), or its error.
template <class In>
[[nodiscard]] constexpr result<step<detail::list_of<In>>> try_step(const In& in, const step_options& options)
{
    return step<detail::list_of<In>>::try_make(detail::list_requests(in), options);
}

// ---- a step as a layout ----------------------------------------------------------------------------------------------------

// What a collator and its fields read of a step: the members of bundle (inputs.hpp). Sequence i is request i of those given.
// Fields made for steps read the rest through segment.inputs().step().
template <class List>
class step_bundle {
public:
    using token_type = typename List::token_type;
    static constexpr bool has_prompt_lengths = List::has_prompts || List::has_prompt_lengths;
    static constexpr bool has_loss = List::has_loss;
    template <fixed_string Name>
    static constexpr bool has_column = List::template has_column<Name>;

    constexpr explicit step_bundle(const step<List>& now) noexcept : now_(&now) {}

    [[nodiscard]] constexpr const serve::step<List>& step() const noexcept { return *now_; }

    [[nodiscard]] constexpr std::size_t sequence_count() const noexcept { return now_->requests(); }
    // The step was checked when it was made.
    [[nodiscard]] constexpr bool check(error& /*reason*/) const noexcept { return true; }
    [[nodiscard]] constexpr bool check(std::size_t /*i*/, error& /*reason*/) const noexcept { return true; }
    [[nodiscard]] constexpr std::size_t length(std::size_t i) const { return now_->list().length(i); }
    [[nodiscard]] constexpr auto tokens(std::size_t i) const { return now_->list().tokens(i); }
    [[nodiscard]] constexpr std::size_t prompt_length(std::size_t i) const
    {
        if constexpr (List::has_prompts)
            return static_cast<std::size_t>(now_->list().given_prompt_length(i));
        else
            return now_->list().prompt_length(i);
    }
    [[nodiscard]] constexpr auto loss(std::size_t i) const
        requires has_loss
    {
        return now_->list().loss(i);
    }
    template <fixed_string Name>
        requires has_column<Name>
    [[nodiscard]] constexpr auto column_values(std::size_t i) const
    {
        return now_->list().template column_values<Name>(i);
    }

private:
    const serve::step<List>* now_;
};

// The layout of a step: one row of the scheduled tokens. Each request is a segment, whose positions begin with its computed
// tokens. The length strategy is asked about the row.
//
// Errors  more scheduled tokens than the length's limit (row 0, the tokens, the limit).
template <length_strategy Length = dynamic_length>
struct step_row {
    using side_type = no_side;
    using length_type = Length;
    using overflow_type = no_overflow;
    static constexpr bool shares_rows = true;
    static constexpr bool is_one_row = true;

    template <class In>
    static constexpr std::size_t rows(const In& /*in*/) noexcept
    {
        static_assert(requires(const In& in) { in.step(); }, "batten: step_row is the layout of a step: collate(now), where now "
                                                             "is a serve::step");
        return 1;
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& in, std::size_t /*r*/, Visit visit)
    {
        bool good = true;
        in.step().walk([&](const segment& s) { good = good && visit(s.sequence); });
        return good;
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& /*in*/, std::size_t /*r*/) noexcept
    {
        return 0;
    }
    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, error& reason)
    {
        std::size_t column = 0;
        in.step().walk([&](segment s) {
            s.length = columns_of(options.targets, s.kept);
            s.first_column = column;
            column += s.length;
            sink(s);
        });
        const std::size_t limit = limit_of(options.length);
        return column <= limit || detail::fail(reason, error::of_row(errors::row_over_limit, r, column, limit));
    }
};

}  // namespace batten::serve

#endif
