// SPDX-License-Identifier: MIT
// A step of a server: which tokens of which live requests run through the model now. Checked once, before anything is written;
// arrays.hpp has the arrays that are made of it, backends.hpp the sets of them that backends take.
#ifndef BATTEN_SERVE_STEP_HPP_INCLUDED
#define BATTEN_SERVE_STEP_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/bins.hpp>
#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/matrix.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/pool.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten::serve {

// ---- what a step is made of ------------------------------------------------------------------------------------------------

namespace detail {

template <class T>
inline constexpr bool is_block_table = false;
template <class T>
inline constexpr bool is_block_table<matrix_view<T>> = integer_number<std::remove_cv_t<T>>;

}  // namespace detail

// The requests of a step, in the caller's arrays. All of them take part; with select(step_inputs{...}, rows) those rows alone,
// in their order.
//
// Shapes   tokens [n] sequences, all tokens known of each request, prompt and generated (vector<vector<int>>, strided_sequences,
//          ragged_view, inputs{...}); computed, scheduled [n] counts: tokens [computed, computed + scheduled) run in this step;
//          blocks [at least n, blocks of a request], a matrix_view of block ids: token p lies in block [p / block_size];
//          ids [n] tell one sequence from another, and are never used again for a third; prompt_lengths [n].
// Requires what it refers to outlives it, and views (each, strided_sequences, spans) the step that is made of it: they are kept there.
//          No row is selected twice. none, for what is not needed. (Clang before 17 deduces no designated initialisers: write
//          the members in order.)
template <class Tokens, class Computed, class Scheduled, class Blocks = none_t, class Ids = none_t,
          class PromptLengths = none_t>
struct step_inputs {
    static_assert(collatable<Tokens>, "batten::step_inputs: .tokens must be what a collator takes: a random-access range of "
                                      "contiguous runs of integers, strided_sequences, ragged_view, inputs{...}");
    static_assert(integer_range<Computed> && integer_range<Scheduled>,
                  "batten::step_inputs: .computed and .scheduled must be random-access ranges of integers");
    static_assert(std::same_as<Blocks, none_t> || detail::is_block_table<Blocks>,
                  "batten::step_inputs: .blocks must be a matrix_view of integers: matrix_view(data, rows, width, row_stride)");
    static_assert(std::same_as<Ids, none_t> || integer_range<Ids>,
                  "batten::step_inputs: .ids must be a random-access range of integers");
    static_assert(std::same_as<PromptLengths, none_t> || integer_range<PromptLengths>,
                  "batten::step_inputs: .prompt_lengths must be a random-access range of integers");

    using computed_type = Computed;
    using scheduled_type = Scheduled;
    using blocks_type = Blocks;
    using ids_type = Ids;
    using prompt_lengths_type = PromptLengths;

    const Tokens& tokens;
    const Computed& computed;
    const Scheduled& scheduled;
    Blocks blocks{};
    const Ids& ids = none;
    const PromptLengths& prompt_lengths = none;
};

#if !defined(__cpp_deduction_guides) || __cpp_deduction_guides < 201907L
template <class Tokens, class Computed, class Scheduled>
step_inputs(const Tokens&, const Computed&, const Scheduled&) -> step_inputs<Tokens, Computed, Scheduled>;
template <class Tokens, class Computed, class Scheduled, class Blocks>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks) -> step_inputs<Tokens, Computed, Scheduled, Blocks>;
template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks, const Ids&)
    -> step_inputs<Tokens, Computed, Scheduled, Blocks, Ids>;
template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids, class PromptLengths>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks, const Ids&, const PromptLengths&)
    -> step_inputs<Tokens, Computed, Scheduled, Blocks, Ids, PromptLengths>;
#endif

// In which order a step's requests lie in its arrays. A request is in its context phase where its computed tokens are fewer
// than its prompt; where no prompt lengths are given, where it takes other than one token.
enum class request_order : unsigned char {
    as_given,
    context_first,  // then those that generate; each group as given
    decode_first,
};

struct step_options {
    std::size_t block_size = 16;         // tokens of a block
    std::size_t blocks = 0;              // of the pool, the reserved ones among them: ids are less
    std::size_t reserved_blocks = 1;     // ids less than it are no request's: pads may point there
    std::size_t max_context = no_limit;  // tokens of a request
    request_order order = request_order::as_given;
};

// The options of steps whose blocks a pool gives.
[[nodiscard]] constexpr step_options step_options_of(const block_pool& pool) noexcept
{
    return {.block_size = pool.block_size(), .blocks = pool.blocks(), .reserved_blocks = pool.reserved_blocks()};
}

// ---- pages -----------------------------------------------------------------------------------------------------------------

// Positions and blocks, where the size of a block is a power of two. Shift: unsigned, or a constant.
template <class Shift>
class block_shifter {
public:
    constexpr explicit block_shifter(Shift shift) noexcept : shift_(shift) {}

    [[nodiscard]] constexpr std::size_t index(std::size_t position) const noexcept { return position >> shift_; }
    [[nodiscard]] constexpr std::size_t slots(std::size_t block) const noexcept { return block << shift_; }

private:
    [[no_unique_address]] Shift shift_;
};

// Positions and blocks: token p of a request lies in its block index(p), at offset(p).
class block_divider {
public:
    // Requires: block_size >= 1.
    constexpr explicit block_divider(std::size_t block_size) noexcept : size_(block_size) {}

    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    // position / size()
    [[nodiscard]] constexpr std::size_t index(std::size_t position) const noexcept { return position / size_; }
    // position % size()
    [[nodiscard]] constexpr std::size_t offset(std::size_t position) const noexcept { return position % size_; }
    // The first slot of a block: block * size()
    [[nodiscard]] constexpr std::size_t slots(std::size_t block) const noexcept { return block * size_; }
    // Blocks that hold `length` tokens.
    [[nodiscard]] constexpr std::size_t blocks_of(std::size_t length) const noexcept
    {
        return length == 0 ? 0 : index(length - 1) + 1;
    }
    // Tokens in the last of them, 1 to size(); 0 where there is none. Not length % size(), which is 0 of a full one.
    [[nodiscard]] constexpr std::size_t in_last_block(std::size_t length) const noexcept
    {
        return length == 0 ? 0 : offset(length - 1) + 1;
    }

    // use(block_shifter) where that does, else use(*this): for loops, in which a division costs more than all the rest. 16,
    // which most have, is a constant, since shifts by a variable cost as much as two or three other instructions.
    template <class Use>
    constexpr decltype(auto) visit(Use&& use) const
    {
        if (size_ == 16)
            return use(block_shifter(std::integral_constant<unsigned, 4>()));
        return std::has_single_bit(size_) ? use(block_shifter(static_cast<unsigned>(std::countr_zero(size_)))) : use(*this);
    }

private:
    std::size_t size_;
};

// ---- the requests, as a step reads them ------------------------------------------------------------------------------------

namespace detail {

using batten::detail::fail;
using batten::detail::size_limit;

// Block ids are of any type here, and so as large as they like.
constexpr bool check_cache(const step_options& options, error& reason)
{
    return check_cache({options.blocks, options.block_size, options.reserved_blocks}, size_limit, reason);
}

// The blocks that requests may have: those of the pool that are not reserved.
class allocated_blocks {
public:
    // Requires: check_cache(options).
    constexpr explicit allocated_blocks(const step_options& options) noexcept
        : first_(options.reserved_blocks), count_(options.blocks - options.reserved_blocks)
    {
    }

    // A negative block is past all.
    [[nodiscard]] constexpr bool has(auto block) const noexcept { return static_cast<std::size_t>(block) - first_ < count_; }
    constexpr bool check(auto block, std::size_t row, error& reason) const
    {
        if (has(block))
            return true;
        const bool is_reserved = static_cast<std::size_t>(block) < first_;
        return fail(reason, error::of_row(is_reserved ? errors::block_reserved : errors::block_out_of_range, row, block,
                             is_reserved ? first_ : first_ + count_));
    }

private:
    std::size_t first_;
    std::size_t count_;
};

struct every_row {
    [[nodiscard]] constexpr std::size_t at(std::size_t i) const noexcept { return i; }
};
template <class Index>
struct listed_rows {
    std::span<const Index> rows;
    [[nodiscard]] constexpr std::size_t at(std::size_t i) const noexcept { return static_cast<std::size_t>(rows[i]); }
};

// Loops over requests are a few instructions long, and twice as slow where the linker happens to lay them across two lines of
// the instruction cache: four requests at a time, that does not matter. Inlined, they keep what they count in registers.

// visit(0), ... visit(count - 1)
template <class Visit>
[[gnu::always_inline]] constexpr void visit_each(std::size_t count, Visit visit)
{
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        visit(i);
        visit(i + 1);
        visit(i + 2);
        visit(i + 3);
    }
    for (; i < count; ++i)
        visit(i);
}

// The first i of [first, count) for which holds(i) is false, or count. Up to three before it may be asked twice.
template <class Holds>
[[gnu::always_inline]] constexpr std::size_t find_not(std::size_t first, std::size_t count, Holds holds)
{
    std::size_t i = first;
    for (; i + 4 <= count; i += 4)
        if (!(holds(i) && holds(i + 1) && holds(i + 2) && holds(i + 3))) [[unlikely]]
            break;
    while (i < count && holds(i))
        ++i;
    return i;
}

// Numbers of a caller's: as the run of memory that they mostly are, which loops read best, else as wrappers keep a source.
template <class Numbers>
inline constexpr bool is_run = std::ranges::contiguous_range<const Numbers> && std::ranges::sized_range<const Numbers>;
template <class Numbers>
struct numbers {
    using type = batten::detail::stored<Numbers>;
};
template <class Numbers>
    requires is_run<Numbers>
struct numbers<Numbers> {
    using type = std::span<const std::ranges::range_value_t<const Numbers>>;
};

// Request i of a step: row at(i) of the inputs. Tokens: the bundle of its tokens, its members are those of sequences.hpp.
template <class Tokens, class Inputs, class Rows>
class request_list : public Tokens {
public:
    static constexpr bool has_blocks = !std::same_as<typename Inputs::blocks_type, none_t>;
    static constexpr bool has_ids = !std::same_as<typename Inputs::ids_type, none_t>;
    static constexpr bool has_prompts = !std::same_as<typename Inputs::prompt_lengths_type, none_t>;

    // `rows_of_inputs`: how many the inputs have, of which `rows` chooses.
    constexpr request_list(const Tokens& tokens, const Inputs& in, std::size_t rows_of_inputs, const Rows& rows)
        : Tokens(tokens),
          computed_(in.computed),
          scheduled_(in.scheduled),
          blocks_(in.blocks),
          ids_(in.ids),
          prompt_lengths_(in.prompt_lengths),
          rows_of_inputs_(rows_of_inputs),
          rows_(rows)
    {
    }

    using Tokens::check;
    // Once: every array has an entry for each sequence.
    [[nodiscard]] constexpr bool check(error& reason) const
    {
        const auto same = [&](std::size_t entries, std::string_view name) {
            return entries == rows_of_inputs_ ||
                   fail(reason, error::of(errors::count_mismatch, entries, rows_of_inputs_, name));
        };
        if (!Tokens::check(reason) || !same(batten::detail::count(computed_), "computed") ||
            !same(batten::detail::count(scheduled_), "scheduled"))
            return false;
        if constexpr (has_blocks)
            if (blocks_.rows() < rows_of_inputs_)
                return same(blocks_.rows(), "blocks");
        if constexpr (has_ids)
            if (!same(batten::detail::count(ids_), "ids"))
                return false;
        if constexpr (has_prompts)
            return same(batten::detail::count(prompt_lengths_), "prompt_lengths");
        else
            return true;
    }

    [[nodiscard]] constexpr std::size_t row_of(std::size_t i) const noexcept { return rows_.at(i); }

    // Counts as the caller has them, and as sizes, a negative one huge.
    [[nodiscard]] constexpr auto given_computed(std::size_t i) const
    {
        return batten::detail::element_at(computed_, row_of(i));
    }
    [[nodiscard]] constexpr auto given_scheduled(std::size_t i) const
    {
        return batten::detail::element_at(scheduled_, row_of(i));
    }
    [[nodiscard]] constexpr std::size_t computed(std::size_t i) const { return static_cast<std::size_t>(given_computed(i)); }
    [[nodiscard]] constexpr std::size_t scheduled(std::size_t i) const { return static_cast<std::size_t>(given_scheduled(i)); }

    // computed(0), computed(1), ... where they lie in memory.
    static constexpr bool has_computed_run = std::same_as<Rows, every_row> && is_run<typename Inputs::computed_type>;
    [[nodiscard]] constexpr auto computed_run() const
        requires has_computed_run
    {
        return computed_;
    }

    [[nodiscard]] constexpr auto given_prompt_length(std::size_t i) const
        requires has_prompts
    {
        return batten::detail::element_at(prompt_lengths_, row_of(i));
    }
    [[nodiscard]] constexpr std::uint64_t id(std::size_t i) const
        requires has_ids
    {
        return static_cast<std::uint64_t>(batten::detail::element_at(ids_, row_of(i)));
    }

    // Whether `ids` are those of the first requests, one for each.
    [[nodiscard]] constexpr bool has_same_ids(std::span<const std::uint64_t> ids) const
        requires has_ids
    {
        if constexpr (std::same_as<Rows, every_row> && is_run<typename Inputs::ids_type>) {
            return std::equal(ids.begin(), ids.end(), ids_.data());  // for 64 bits it is memcmp
        } else {
            return find_not(0, ids.size(), [&](std::size_t i) { return id(i) == ids[i]; }) == ids.size();
        }
    }
    [[nodiscard]] constexpr std::size_t max_blocks() const
        requires has_blocks
    {
        return blocks_.width();
    }
    // The row of the block table, max_blocks() ids.
    [[nodiscard]] constexpr auto blocks(std::size_t i) const
        requires has_blocks
    {
        return blocks_.row(row_of(i));
    }

    [[nodiscard]] constexpr bool is_context(std::size_t i) const
    {
        if constexpr (has_prompts)
            return computed(i) < static_cast<std::size_t>(given_prompt_length(i));
        else
            return scheduled(i) != 1;
    }

private:
    typename numbers<typename Inputs::computed_type>::type computed_;
    typename numbers<typename Inputs::scheduled_type>::type scheduled_;
    [[no_unique_address]] typename Inputs::blocks_type blocks_;
    [[no_unique_address]] typename numbers<typename Inputs::ids_type>::type ids_;
    [[no_unique_address]] typename numbers<typename Inputs::prompt_lengths_type>::type prompt_lengths_;
    std::size_t rows_of_inputs_;
    [[no_unique_address]] Rows rows_;
};

template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids, class PromptLengths>
constexpr auto list_requests(const step_inputs<Tokens, Computed, Scheduled, Blocks, Ids, PromptLengths>& in)
{
    const auto tokens = bundle_of(in.tokens);
    using list = request_list<std::remove_const_t<decltype(tokens)>, std::remove_cvref_t<decltype(in)>, every_row>;
    return list(tokens, in, tokens.sequence_count(), {});
}

template <class... Part, class Index>
constexpr auto list_requests(const selection<step_inputs<Part...>, Index>& chosen)
{
    const auto& in = chosen.source();
    const auto source = bundle_of(in.tokens);
    const selected_bundle<std::remove_const_t<decltype(source)>, Index> tokens(source, chosen.rows());
    using list = request_list<std::remove_const_t<decltype(tokens)>, std::remove_cvref_t<decltype(in)>, listed_rows<Index>>;
    return list(tokens, in, source.sequence_count(), {chosen.rows()});
}

template <class In>
using list_of = decltype(list_requests(std::declval<const In&>()));

}  // namespace detail

// ---- the step --------------------------------------------------------------------------------------------------------------

// One request of a step, as an array sees it: where it lies in the step, and what it brings.
template <class List>
struct scheduled_request {
    const List& list;
    std::size_t request;      // of the given ones
    std::size_t row;          // its place in the step's order
    std::size_t first_token;  // of all that the step takes
    std::size_t computed;
    std::size_t length;       // tokens that it takes, [computed, computed + length)

    [[nodiscard]] constexpr std::size_t seq_len() const noexcept { return computed + length; }
    [[nodiscard]] constexpr auto tokens() const { return list.tokens(request).subspan(computed, length); }
    [[nodiscard]] constexpr auto blocks() const { return list.blocks(request); }
    [[nodiscard]] constexpr bool is_context() const { return list.is_context(request); }
    [[nodiscard]] constexpr std::size_t prompt_length() const
        requires List::has_prompts
    {
        return static_cast<std::size_t>(list.given_prompt_length(request));
    }
};

// A step, found to be good.
//
// Requires the inputs, which it refers to, stay as they are as long as it is used.
// Errors   counts that differ; computed or scheduled tokens that are negative, past the known ones, or none; more tokens than
//          max_context; more blocks than a row of the block table has; for the tokens scheduled, a block that is reserved or
//          outside of the pool; a prompt longer than its request. Constructor and try_step check the same, before any write.
// Cost     O(requests + blocks of the scheduled tokens) to make, whatever the context; no allocation.
template <class List>
class step {
public:
    template <class In>
        requires std::same_as<detail::list_of<In>, List>
    constexpr step(const In& in, const step_options& options) : step(unchecked{}, detail::list_requests(in), options)
    {
        error reason;
        if (!measure(reason))
            batten::detail::raise(reason);
    }

    // What try_step makes.
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
    [[nodiscard]] constexpr std::size_t context_requests() const noexcept { return contexts_; }    // see request_order
    [[nodiscard]] constexpr std::size_t decode_requests() const noexcept { return requests() - contexts_; }
    [[nodiscard]] constexpr const step_options& options() const noexcept { return options_; }
    [[nodiscard]] constexpr const block_divider& divider() const noexcept { return divider_; }
    [[nodiscard]] constexpr const List& list() const noexcept { return list_; }

    // Whether every request takes one token, and they lie as given, which is the step that is made most: request i has row i
    // and token i.
    [[nodiscard]] constexpr bool has_one_token_each() const noexcept { return tokens_ == requests() && !is_reordered(); }

    // visit(scheduled_request) for each, in the step's order.
    template <class Visit>
    constexpr void walk(Visit&& visit) const
    {
        std::size_t row = 0;
        std::size_t first_token = 0;
        const bool contexts_come_first = options_.order == request_order::context_first;
        for (int turn = is_reordered() ? 0 : 1; turn < 2; ++turn)
            for (std::size_t i = 0; i < requests(); ++i) {
                if (is_reordered() && list_.is_context(i) == (contexts_come_first == (turn != 0)))
                    continue;
                const std::size_t length = list_.scheduled(i);
                visit(scheduled_request<List>{list_, i, row, first_token, list_.computed(i), length});
                ++row;
                first_token += length;
            }
    }

    // A request for which `holds(list, i)`. Requires: there is one. What error messages name.
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
        : list_(list), options_(options), divider_(std::max<std::size_t>(options.block_size, 1))
    {
    }

    constexpr bool is_reordered() const noexcept
    {
        return options_.order != request_order::as_given && contexts_ != 0 && contexts_ != requests();
    }

    constexpr bool measure(error& reason)
    {
        if (!list_.check(reason) || !check_options(reason))
            return false;
        const std::size_t count = requests();
        const std::size_t bad = measure_counts();
        if (bad != count)
            return list_.check(bad, reason) && why_not(bad, reason);
        if (max_seq_len_ > most_tokens())
            return why_not(find([&](const List& list, std::size_t i) {
                               return list.computed(i) + list.scheduled(i) == max_seq_len_;
                           }),
                           reason);
        // No sum over requests, of tokens or of keys, is larger.
        std::size_t bound = 0;
        if (!batten::detail::multiply(max_seq_len_, count, bound))
            return detail::fail(reason, error::of(errors::size_overflow, max_seq_len_, count));
        // Most steps are of one token each, and then there is not much more to say.
        max_query_len_ = std::min<std::size_t>(count, 1);
        if (tokens_ != count || List::has_prompts)
            for (std::size_t i = 0; i < count; ++i) {
                if (!has_prompt(i))
                    return why_not(i, reason);
                max_query_len_ = std::max(max_query_len_, list_.scheduled(i));
                contexts_ += list_.is_context(i) ? 1U : 0U;
            }
        if constexpr (List::has_blocks) {
            const std::size_t lost = divider_.visit([&](const auto divider) { return find_bad_block(divider); });
            return lost == count || why_not(lost, reason);
        } else {
            return true;
        }
    }

    // The first request whose counts do not fit together, or requests(). Two short loops, this one and the next, are faster
    // than one that needs more registers than there are.
    constexpr std::size_t measure_counts()
    {
        const List list = list_;
        std::size_t tokens = 0;
        std::size_t max_seq_len = 0;
        const std::size_t bad = detail::find_not(0, requests(), [&](std::size_t i) {
            if (error unused; !list.check(i, unused)) [[unlikely]]
                return false;
            const std::size_t computed = list.computed(i);
            const std::size_t seq_len = computed + list.scheduled(i);
            // Counts that are negative or whose sum overflows end here, too: one of the three is huge, or the sum is small.
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

    // The first request with a scheduled token in a block that no request may have, or requests().
    constexpr std::size_t find_bad_block(const auto divider) const
    {
        const List list = list_;
        const detail::allocated_blocks allocated(options_);
        if (tokens_ == requests())
            return detail::find_not(0, requests(), [&](std::size_t i) {
                return allocated.has(list.blocks(i)[divider.index(list.computed(i))]);
            });
        return detail::find_not(0, requests(), [&](std::size_t i) {
            const std::size_t first = divider.index(list.computed(i));
            const std::size_t last = divider.index(list.computed(i) + list.scheduled(i) - 1);
            const auto blocks = list.blocks(i).subspan(first, last + 1 - first);
            return std::all_of(blocks.begin(), blocks.end(), [&](auto block) { return allocated.has(block); });
        });
    }

    constexpr bool check_options(error& reason) const
    {
        if (options_.max_context == 0)
            return detail::fail(reason, error::of(errors::argument_not_positive, 0, {}, "max_context"));
        if constexpr (List::has_blocks) {
            return detail::check_cache(options_, reason);
        } else {
            return true;
        }
    }

    // Of a request: max_context, or what a row of the block table has room for.
    constexpr std::size_t most_tokens() const
    {
        if constexpr (List::has_blocks) {
            std::size_t room = 0;
            if (batten::detail::multiply(list_.max_blocks(), options_.block_size, room))
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

    // The first of its errors, in words.
    constexpr bool why_not(std::size_t i, error& reason) const
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
            const std::size_t needed = divider_.blocks_of(sum(i));
            if (needed > list_.max_blocks())
                return detail::fail(reason, error::of_row(errors::blocks_missing, i, needed, list_.max_blocks()));
            const detail::allocated_blocks allocated(options_);
            for (const auto block : list_.blocks(i).first(needed).subspan(divider_.index(list_.computed(i))))
                if (!allocated.check(block, i, reason))
                    return false;
        }
        return false;  // not reached: one of the above is why
    }
    constexpr std::size_t sum(std::size_t i) const
    {
        std::size_t sum = 0;
        return batten::detail::add(list_.computed(i), list_.scheduled(i), sum) ? sum : detail::size_limit;
    }

    List list_;
    step_options options_;
    block_divider divider_;
    std::size_t tokens_ = 0;
    std::size_t max_query_len_ = 0;
    std::size_t max_seq_len_ = 0;
    std::size_t contexts_ = 0;
};

template <class In>
step(const In&, const step_options&) -> step<detail::list_of<In>>;

// A step of step_inputs{...}, or of select(step_inputs{...}, rows), or why it is none.
template <class In>
[[nodiscard]] constexpr result<step<detail::list_of<In>>> try_step(const In& in, const step_options& options)
{
    return step<detail::list_of<In>>::try_make(detail::list_requests(in), options);
}

// ---- a step as a layout ----------------------------------------------------------------------------------------------------

// A step as what a collator packs: collate(packed(tokens, pieces)), with a layout of step_row. So every field works on steps,
// those of your own, too; the arrays of arrays.hpp are faster. Its memory, one piece a request, is the caller's.
//
// Requires  `tokens` of the collation are all tokens of the step_inputs, not a selection: pieces name their rows.
class step_pieces {
public:
    // Errors: fewer pieces than requests; a row, position or length over 32 bits.
    template <class List>
    constexpr step_pieces(const step<List>& now, std::span<piece> memory) : step_pieces(try_make(now, memory).value())
    {
    }
    template <class List>
    [[nodiscard]] static constexpr result<step_pieces> try_make(const step<List>& now, std::span<piece> memory)
    {
        if (memory.size() < now.requests())
            return error::of(errors::span_too_small, now.requests(), memory.size(), "pieces");
        const auto is_wide = [](const List& list, std::size_t i) {
            return !integer(std::max(list.row_of(i), list.computed(i) + list.scheduled(i))).fits<std::uint32_t>();
        };
        for (std::size_t i = 0; i < now.requests(); ++i)
            if (is_wide(now.list(), i))
                return error{
                    errors::value_not_representable, i, std::max(now.list().row_of(i), now.max_seq_len()), {}, "pieces"};
        now.walk([&](const auto& r) {
            memory[r.row] = {static_cast<std::uint32_t>(r.list.row_of(r.request)), static_cast<std::uint32_t>(r.computed),
                             static_cast<std::uint32_t>(r.length)};
        });
        return step_pieces(memory.first(now.requests()));
    }

    // Requires: it outlives the bins.
    constexpr operator bins() const& noexcept { return {pieces_, offsets_, 1}; }
    operator bins() const&& = delete;

private:
    constexpr explicit step_pieces(std::span<const piece> pieces) noexcept : pieces_(pieces), offsets_{0, pieces.size()} {}

    std::span<const piece> pieces_;
    std::array<std::size_t, 2> offsets_;
};

// The layout of a step: one row of the tokens that run, each request's a segment whose positions begin with its computed
// tokens. For inputs that come as packed(tokens, step_pieces). The length strategy is asked about the row.
template <length_strategy Length = dynamic_length>
struct step_row : packed_rows<Length> {
    static constexpr bool is_one_row = true;
    using side_type = no_side;

    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, error& reason)
    {
        return packed_rows<Length>::row(
            options, in, r,
            [&](segment s) {
                s.position_begin = s.source_begin;
                sink(s);
            },
            reason);
    }
};

// A segment field: the column of each segment's last token, whose logits are sampled, [segments].
template <integer_number T = std::int32_t>
struct logits_indices {
    using value_type = T;
    static constexpr std::string_view name = "logits_indices";

    constexpr void begin(std::span<T> /*out*/) const noexcept {}
    constexpr void write(const auto& segment, std::size_t index, std::span<T> out) const
    {
        out[index] = static_cast<T>(segment.first_column + segment.length - 1);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return batten::detail::check_count<T>(segment.first_column + segment.length - 1, segment.row, name, reason);
    }
};

}  // namespace batten::serve

#endif
