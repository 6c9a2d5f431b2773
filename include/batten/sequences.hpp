// SPDX-License-Identifier: MIT
// What a collator reads: ranges of sequences, ragged_view, the bundle `inputs`, projections (each), row lists (select).
// Everything here refers to the caller's memory; nothing is copied.
#ifndef BATTEN_SEQUENCES_HPP_INCLUDED
#define BATTEN_SEQUENCES_HPP_INCLUDED

#include <batten/error.hpp>

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten {

// ---- names of columns ------------------------------------------------------------------------------------------------

// A string as a template argument: column<"weights", float>.
template <std::size_t N>
struct fixed_string {
    char characters[N]{};

    constexpr fixed_string(const char (&text)[N]) noexcept { std::copy_n(text, N, characters); }
    [[nodiscard]] constexpr std::string_view view() const noexcept { return {characters, N - 1}; }

    template <std::size_t M>
    constexpr bool operator==(const fixed_string<M>& other) const noexcept
    {
        return view() == other.view();
    }
};

// ---- concepts --------------------------------------------------------------------------------------------------------

// Any integer but bool: what a token id, a length or an offset may be.
template <class T>
concept token = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool>;

// A contiguous run of numbers: one sequence of token ids, or one sequence's entries of a column.
template <class R>
concept number_run = std::ranges::contiguous_range<const R> && std::ranges::sized_range<const R> &&
                     std::is_arithmetic_v<std::ranges::range_value_t<const R>>;

template <class R>
concept token_run = number_run<R> && token<std::ranges::range_value_t<const R>>;

namespace detail {

// An element that stays where it is: a reference, a number, or a view of memory that something else owns.
template <class E>
concept outlives_its_access = std::is_lvalue_reference_v<E> || std::is_arithmetic_v<std::remove_cvref_t<E>> ||
                              std::ranges::borrowed_range<std::remove_cvref_t<E>>;

template <class R>
concept indexed_range = std::ranges::random_access_range<const R> && std::ranges::sized_range<const R>;

template <class R>
using element_t = std::ranges::range_reference_t<const R>;

}  // namespace detail

// One run of numbers for each sequence: token ids, a loss column, any other column.
template <class R>
concept run_range = detail::indexed_range<R> && number_run<std::remove_cvref_t<detail::element_t<R>>> &&
                    detail::outlives_its_access<detail::element_t<R>>;

// What a collator takes as sequences: vector<vector<int>>, vector<span<const uint16_t>>, ragged_view, each(...), ...
template <class R>
concept sequence_range = run_range<R> && token_run<std::remove_cvref_t<detail::element_t<R>>>;

// One integer for each sequence: prompt lengths.
template <class R>
concept count_range = detail::indexed_range<R> && token<std::remove_cvref_t<detail::element_t<R>>>;

namespace detail {

// A random-access iterator over anything with operator[](std::size_t).
template <class View>
class index_iterator {
public:
    using difference_type = std::ptrdiff_t;
    using reference = decltype(std::declval<const View&>()[std::size_t{}]);
    using value_type = std::remove_cvref_t<reference>;
    using iterator_concept = std::random_access_iterator_tag;
    using iterator_category = std::input_iterator_tag;

    constexpr index_iterator() noexcept = default;
    constexpr index_iterator(const View* view, std::size_t index) noexcept : view_(view), index_(index) {}

    constexpr reference operator*() const { return (*view_)[index_]; }
    constexpr reference operator[](difference_type n) const { return *(*this + n); }

    constexpr index_iterator& operator+=(difference_type n) noexcept
    {
        index_ += static_cast<std::size_t>(n);
        return *this;
    }
    constexpr index_iterator& operator-=(difference_type n) noexcept { return *this += -n; }
    constexpr index_iterator& operator++() noexcept { return *this += 1; }
    constexpr index_iterator& operator--() noexcept { return *this += -1; }
    constexpr index_iterator operator++(int) noexcept
    {
        const index_iterator before = *this;
        ++*this;
        return before;
    }
    constexpr index_iterator operator--(int) noexcept
    {
        const index_iterator before = *this;
        --*this;
        return before;
    }

    friend constexpr index_iterator operator+(index_iterator it, difference_type n) noexcept { return it += n; }
    friend constexpr index_iterator operator+(difference_type n, index_iterator it) noexcept { return it += n; }
    friend constexpr index_iterator operator-(index_iterator it, difference_type n) noexcept { return it -= n; }
    friend constexpr difference_type operator-(const index_iterator& a, const index_iterator& b) noexcept
    {
        return static_cast<difference_type>(a.index_) - static_cast<difference_type>(b.index_);
    }
    friend constexpr bool operator==(const index_iterator& a, const index_iterator& b) noexcept
    {
        return a.index_ == b.index_;
    }
    friend constexpr auto operator<=>(const index_iterator& a, const index_iterator& b) noexcept
    {
        return a.index_ <=> b.index_;
    }

private:
    const View* view_ = nullptr;
    std::size_t index_ = 0;
};

}  // namespace detail

// ---- ragged_view -----------------------------------------------------------------------------------------------------

// Sequences as one flat array and where each begins: an Arrow ListArray, CSR, a memory-mapped corpus.
//
// Shapes   tokens [t]; offsets [sequences + 1] or empty for none; sequence i is tokens[offsets[i], offsets[i + 1]).
// Errors   offsets that are negative, decrease or end past the tokens: at collation, for the rows that it reads, O(1) each.
template <class T, token Offset>
    requires std::is_arithmetic_v<T>
class ragged_view {
public:
    constexpr ragged_view() noexcept = default;
    constexpr ragged_view(std::span<const T> tokens, std::span<const Offset> offsets) noexcept
        : tokens_(tokens), offsets_(offsets)
    {
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return offsets_.empty() ? 0 : offsets_.size() - 1; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }

    // Sequence i. Requires: i < size(), and the two offsets around it are in order.
    [[nodiscard]] constexpr std::span<const T> operator[](std::size_t i) const
    {
        const auto begin = static_cast<std::size_t>(offsets_[i]);
        return tokens_.subspan(begin, static_cast<std::size_t>(offsets_[i + 1]) - begin);
    }

    // Whether sequence i lies inside the tokens. What a collator asks before it reads the sequence.
    [[nodiscard]] constexpr bool check(std::size_t i, error& reason) const noexcept
    {
        const integer begin(offsets_[i]);
        const integer end(offsets_[i + 1]);
        if (begin.is_negative())
            return detail::fail(reason, {error_code::offset_negative, i, begin, {}, {}});
        if (std::cmp_less(offsets_[i + 1], offsets_[i]))
            return detail::fail(reason, {error_code::offsets_decrease, i, begin, end, {}});
        if (std::cmp_greater(offsets_[i + 1], tokens_.size()))
            return detail::fail(reason, {error_code::offset_past_end, i, end, tokens_.size(), {}});
        return true;
    }

    [[nodiscard]] constexpr auto begin() const noexcept { return detail::index_iterator<ragged_view>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return detail::index_iterator<ragged_view>(this, size()); }

private:
    std::span<const T> tokens_;
    std::span<const Offset> offsets_;
};

template <std::ranges::contiguous_range Tokens, std::ranges::contiguous_range Offsets>
ragged_view(const Tokens&, const Offsets&)
    -> ragged_view<std::ranges::range_value_t<Tokens>, std::ranges::range_value_t<Offsets>>;

// ---- each ------------------------------------------------------------------------------------------------------------

// The user's own samples, seen through a projection: each(samples, &sample::ids). Refers to the samples.
template <class Samples, class Projection>
class each_view {
public:
    using element = std::invoke_result_t<const Projection&, detail::element_t<Samples>>;

    constexpr each_view(const Samples& samples, Projection projection)
        : samples_(std::addressof(samples)), projection_(std::move(projection))
    {
    }

    [[nodiscard]] constexpr std::size_t size() const { return static_cast<std::size_t>(std::ranges::size(*samples_)); }
    [[nodiscard]] constexpr element operator[](std::size_t i) const
    {
        const auto begin = std::ranges::begin(*samples_);
        return std::invoke(projection_, begin[static_cast<std::iter_difference_t<decltype(begin)>>(i)]);
    }

    [[nodiscard]] constexpr auto begin() const noexcept { return detail::index_iterator<each_view>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return detail::index_iterator<each_view>(this, size()); }

private:
    const Samples* samples_;
    Projection projection_;
};

// Requires: `samples` outlives the view; the projection returns a reference, a number, or a view such as std::span.
template <detail::indexed_range Samples, class Projection>
    requires std::invocable<const Projection&, detail::element_t<Samples>>
[[nodiscard]] constexpr auto each(const Samples& samples, Projection projection)
{
    static_assert(detail::outlives_its_access<std::invoke_result_t<const Projection&, detail::element_t<Samples>>>,
                  "batten::each: the projection returns a temporary, whose tokens would be gone before they are read: "
                  "return a reference (write '-> const auto&' or pass '&sample::member') or a std::span");
    return each_view<Samples, Projection>(samples, std::move(projection));
}

template <class Samples, class Projection>
void each(const Samples&&, Projection) = delete;  // the samples would be gone before they are read: name them first

// ---- inputs ----------------------------------------------------------------------------------------------------------

// Stands for a part of `inputs` that is not there.
struct none_t {
    friend constexpr bool operator==(none_t, none_t) noexcept = default;
};
inline constexpr none_t none{};

// One named column beside the sequences: as many runs as sequences, each as long as its sequence.
template <fixed_string Name, run_range Runs>
struct named_column {
    static constexpr fixed_string column_name = Name;
    const Runs& runs;
};

template <fixed_string Name, run_range Runs>
[[nodiscard]] constexpr named_column<Name, Runs> named(const Runs& runs) noexcept
{
    return {runs};
}

// The columns of one bundle: columns{named<"weights">(weights), named<"types">(types)}.
template <class... Named>
class columns {
public:
    constexpr columns() noexcept
        requires(sizeof...(Named) == 0)
    = default;
    constexpr columns(Named... named)
        requires(sizeof...(Named) > 0)
        : named_(named...)
    {
    }

    template <fixed_string Name>
    static constexpr bool has = (false || ... || (Named::column_name == Name));

    template <fixed_string Name>
        requires has<Name>
    [[nodiscard]] constexpr const auto& runs() const noexcept
    {
        return find<Name, 0>();
    }

    // check(column) for each, until one says no.
    template <class Check>
    constexpr bool all(Check check) const
    {
        return std::apply([&](const auto&... column) { return (true && ... && check(column)); }, named_);
    }

private:
    template <fixed_string Name, std::size_t I>
    constexpr const auto& find() const noexcept
    {
        if constexpr (std::tuple_element_t<I, std::tuple<Named...>>::column_name == Name)
            return std::get<I>(named_).runs;
        else
            return find<Name, I + 1>();
    }

    std::tuple<Named...> named_;
};

template <class... Named>
columns(Named...) -> columns<Named...>;

// Everything that travels with the sequences, in one bundle of references:
//
//     collate(batten::inputs{.sequences = ids, .prompt_lengths = prompts})
//
// Shapes   sequences [n] runs of tokens; prompt_lengths [n]; loss [n] runs, as long as their sequence, 0 = not trained;
//          columns likewise. Prompt lengths and columns speak of the whole sequence: truncation slices them along with it.
// Requires what it refers to outlives it. (Clang before 17 deduces no designated initialisers: write the members in order,
//          with batten::none for one left out.)
template <class Sequences, class PromptLengths = none_t, class Loss = none_t, class Columns = columns<>>
struct inputs {
    const Sequences& sequences;
    const PromptLengths& prompt_lengths = none;
    const Loss& loss = none;
    Columns columns{};
};

#if !defined(__cpp_deduction_guides) || __cpp_deduction_guides < 201907L
template <class Sequences>
inputs(const Sequences&) -> inputs<Sequences>;
template <class Sequences, class PromptLengths>
inputs(const Sequences&, const PromptLengths&) -> inputs<Sequences, PromptLengths>;
template <class Sequences, class PromptLengths, class Loss>
inputs(const Sequences&, const PromptLengths&, const Loss&) -> inputs<Sequences, PromptLengths, Loss>;
template <class Sequences, class PromptLengths, class Loss, class Columns>
inputs(const Sequences&, const PromptLengths&, const Loss&, Columns)
    -> inputs<Sequences, PromptLengths, Loss, Columns>;
#endif

// ---- bins ------------------------------------------------------------------------------------------------------------

// A slice of a sequence, and so its place in a bin: tokens [begin, begin + length).
struct piece {
    std::uint32_t sequence = 0;
    std::uint32_t begin = 0;
    std::uint32_t length = 0;

    friend constexpr bool operator==(const piece&, const piece&) noexcept = default;
};

// Which pieces share a row, as a packer (plan/packing.hpp) or you yourself say: row b has pieces [offsets[b], offsets[b + 1]),
// in this order, each from the next column on that is a multiple of slot_multiple.
struct bins {
    std::span<const piece> pieces{};
    std::span<const std::size_t> offsets{};  // one more than rows
    std::size_t slot_multiple = 1;
};

// ---- select ----------------------------------------------------------------------------------------------------------

namespace detail {

// How a wrapper keeps what it wraps: a container is referred to; a view, a bundle and a selection are small and kept.
template <class Source>
using kept = std::conditional_t<!indexed_range<Source> || std::ranges::borrowed_range<Source> || std::ranges::view<Source>,
                                Source, const Source&>;

}  // namespace detail

// A bundle seen through a list of rows, as a plan yields it: row i of the selection is row rows[i] of the source.
template <class Source, token Index>
class selection {
public:
    constexpr selection(const Source& source, std::span<const Index> rows) : source_(source), rows_(rows) {}

    [[nodiscard]] constexpr decltype(auto) source() const noexcept { return (source_); }
    [[nodiscard]] constexpr std::span<const Index> rows() const noexcept { return rows_; }

private:
    detail::kept<Source> source_;
    std::span<const Index> rows_;
};

}  // namespace batten

template <class T, class Offset>
inline constexpr bool std::ranges::enable_view<batten::ragged_view<T, Offset>> = true;
template <class Samples, class Projection>
inline constexpr bool std::ranges::enable_view<batten::each_view<Samples, Projection>> = true;

namespace batten {

// Sees `source` (sequences, inputs{...}, another selection) through `rows`, in their order; a row may come twice.
//
// Requires  the sequences and the row numbers outlive the selection.
// Errors    a row number past the source, when it is collated; only rows seen are checked.
template <class Source, std::ranges::contiguous_range Rows>
    requires token<std::ranges::range_value_t<Rows>>
[[nodiscard]] constexpr auto select(const Source& source, const Rows& rows)
{
    using index = std::ranges::range_value_t<Rows>;
    return selection<Source, index>(source, std::span<const index>(rows));
}

namespace detail {

template <class T>
inline constexpr bool is_view = std::ranges::view<T> || std::ranges::borrowed_range<T>;

}  // namespace detail

template <detail::indexed_range Source, class Rows>
    requires(!detail::is_view<Source>)
void select(const Source&& source, const Rows& rows) = delete;  // sequences gone before they are read: name them first
template <class Source, std::ranges::range Rows>
    requires(!detail::is_view<Rows>)
void select(const Source& source, const Rows&& rows) = delete;  // the rows would be gone before they are read: name them first

namespace detail {

// ---- what the engine reads -------------------------------------------------------------------------------------------

template <class Range>
constexpr decltype(auto) element_at(const Range& range, std::size_t i)
{
    if constexpr (requires { range.check(i, std::declval<error&>()); }) {
        return range[i];
    } else {
        const auto begin = std::ranges::begin(range);
        return begin[static_cast<std::iter_difference_t<decltype(begin)>>(i)];
    }
}

template <class Range>
constexpr bool check_element([[maybe_unused]] const Range& range, [[maybe_unused]] std::size_t i,
                             [[maybe_unused]] error& reason)
{
    if constexpr (requires { range.check(i, reason); })
        return range.check(i, reason);
    else
        return true;
}

template <class Range>
constexpr std::size_t count(const Range& range)
{
    return static_cast<std::size_t>(std::ranges::size(range));
}

template <class Run>
constexpr auto as_span(const Run& run)
{
    using value = std::ranges::range_value_t<const Run>;
    return std::span<const value>(std::ranges::data(run), static_cast<std::size_t>(std::ranges::size(run)));
}

}  // namespace detail

// What a layout and a field see of `inputs`: the members that layouts of your own are written against.
//
//     sequence_count()   how many sequences
//     check(i)           whether sequence i and what travels with it fit together; everything below needs it to have said yes
//     length(i)          tokens of sequence i
//     tokens(i)          its tokens, std::span<const token_type>
//     prompt_length(i)   0 where there are none
//     loss(i), column_values<"name">(i)   its entries, a span
template <class Sequences, class PromptLengths, class Loss, class Columns>
class bundle {
public:
    using token_type = std::ranges::range_value_t<detail::element_t<Sequences>>;
    static constexpr bool has_prompt_lengths = !std::same_as<PromptLengths, none_t>;
    static constexpr bool has_loss = !std::same_as<Loss, none_t>;
    template <fixed_string Name>
    static constexpr bool has_column = Columns::template has<Name>;

    constexpr explicit bundle(const inputs<Sequences, PromptLengths, Loss, Columns>& in)
        : sequences_(in.sequences), prompt_lengths_(in.prompt_lengths), loss_(in.loss), columns_(in.columns)
    {
    }

    [[nodiscard]] constexpr std::size_t sequence_count() const { return detail::count(sequences_); }

    // Once for the bundle: every part has one entry for each sequence.
    [[nodiscard]] constexpr bool check(error& reason) const
    {
        const std::size_t sequences = sequence_count();
        const auto same = [&](std::size_t entries, std::string_view name) {
            return entries == sequences ||
                   detail::fail(reason, {error_code::count_mismatch, error::no_row, entries, sequences, name});
        };
        if constexpr (has_prompt_lengths)
            if (!same(detail::count(prompt_lengths_), "prompt_lengths"))
                return false;
        if constexpr (has_loss)
            if (!same(detail::count(loss_), "loss"))
                return false;
        return columns_.all([&](const auto& column) {
            return same(detail::count(column.runs), std::remove_cvref_t<decltype(column)>::column_name.view());
        });
    }

    // For sequence i, O(1): offsets in order, the prompt inside the sequence, every column as long as it.
    [[nodiscard]] constexpr bool check(std::size_t i, error& reason) const
    {
        if (!detail::check_element(sequences_, i, reason))
            return false;
        if constexpr (has_prompt_lengths) {
            const auto prompt = detail::element_at(prompt_lengths_, i);
            if (integer(prompt).is_negative())
                return detail::fail(reason, {error_code::prompt_length_negative, i, prompt, {}, "prompt_lengths"});
            if (std::cmp_greater(prompt, length(i)))
                return detail::fail(reason, {error_code::prompt_past_end, i, prompt, length(i), "prompt_lengths"});
        }
        if constexpr (has_loss)
            if (!same_length(loss_, i, "loss", reason))
                return false;
        return columns_.all([&](const auto& column) {
            return same_length(column.runs, i, std::remove_cvref_t<decltype(column)>::column_name.view(), reason);
        });
    }

    [[nodiscard]] constexpr std::size_t length(std::size_t i) const
    {
        return static_cast<std::size_t>(std::ranges::size(detail::element_at(sequences_, i)));
    }
    [[nodiscard]] constexpr std::span<const token_type> tokens(std::size_t i) const
    {
        return detail::as_span(detail::element_at(sequences_, i));
    }
    [[nodiscard]] constexpr std::size_t prompt_length([[maybe_unused]] std::size_t i) const
    {
        if constexpr (has_prompt_lengths)
            return static_cast<std::size_t>(detail::element_at(prompt_lengths_, i));
        else
            return 0;
    }
    [[nodiscard]] constexpr auto loss(std::size_t i) const
        requires has_loss
    {
        return detail::as_span(detail::element_at(loss_, i));
    }
    template <fixed_string Name>
        requires has_column<Name>
    [[nodiscard]] constexpr auto column_values(std::size_t i) const
    {
        return detail::as_span(detail::element_at(columns_.template runs<Name>(), i));
    }

private:
    template <class Runs>
    constexpr bool same_length(const Runs& runs, std::size_t i, std::string_view name, error& reason) const
    {
        if (!detail::check_element(runs, i, reason))
            return false;
        const auto entries = static_cast<std::size_t>(std::ranges::size(detail::element_at(runs, i)));
        return entries == length(i) ||
               detail::fail(reason, {error_code::column_length_mismatch, i, entries, length(i), name});
    }

    detail::kept<Sequences> sequences_;
    [[no_unique_address]] detail::kept<PromptLengths> prompt_lengths_;
    [[no_unique_address]] detail::kept<Loss> loss_;
    [[no_unique_address]] Columns columns_;
};

// A bundle seen through a list of rows: the same members.
template <class Bundle, class Index>
class selected_bundle {
public:
    using token_type = typename Bundle::token_type;
    static constexpr bool has_prompt_lengths = Bundle::has_prompt_lengths;
    static constexpr bool has_loss = Bundle::has_loss;
    template <fixed_string Name>
    static constexpr bool has_column = Bundle::template has_column<Name>;

    constexpr selected_bundle(const Bundle& source, std::span<const Index> rows) noexcept
        : source_(source), rows_(rows)
    {
    }

    [[nodiscard]] constexpr std::size_t sequence_count() const noexcept { return rows_.size(); }
    [[nodiscard]] constexpr bool check(error& reason) const { return source_.check(reason); }
    [[nodiscard]] constexpr bool check(std::size_t i, error& reason) const
    {
        const std::size_t sequences = source_.sequence_count();
        if (integer(rows_[i]).is_negative() || std::cmp_greater_equal(rows_[i], sequences))
            return detail::fail(reason, {error_code::row_index_out_of_range, i, rows_[i], sequences, {}});
        if (source_.check(at(i), reason))
            return true;
        reason.row = i;
        return false;
    }
    [[nodiscard]] constexpr std::size_t length(std::size_t i) const { return source_.length(at(i)); }
    [[nodiscard]] constexpr auto tokens(std::size_t i) const { return source_.tokens(at(i)); }
    [[nodiscard]] constexpr std::size_t prompt_length(std::size_t i) const { return source_.prompt_length(at(i)); }
    [[nodiscard]] constexpr auto loss(std::size_t i) const
        requires has_loss
    {
        return source_.loss(at(i));
    }
    template <fixed_string Name>
        requires has_column<Name>
    [[nodiscard]] constexpr auto column_values(std::size_t i) const
    {
        return source_.template column_values<Name>(at(i));
    }

private:
    constexpr std::size_t at(std::size_t i) const noexcept { return static_cast<std::size_t>(rows_[i]); }

    Bundle source_;
    std::span<const Index> rows_;
};

namespace detail {

template <sequence_range Sequences>
constexpr auto as_bundle(const Sequences& sequences)
{
    return bundle<Sequences, none_t, none_t, columns<>>({sequences, none, none, {}});
}

template <class Sequences, class PromptLengths, class Loss, class Columns>
constexpr auto as_bundle(const inputs<Sequences, PromptLengths, Loss, Columns>& in)
{
    static_assert(sequence_range<Sequences>,
                  "batten::inputs: .sequences must be a random-access range of contiguous runs of integers");
    static_assert(std::same_as<PromptLengths, none_t> || count_range<PromptLengths>,
                  "batten::inputs: .prompt_lengths must be a random-access range of integers");
    static_assert(std::same_as<Loss, none_t> || run_range<Loss>,
                  "batten::inputs: .loss must be a random-access range of contiguous runs of numbers "
                  "(vector<bool> is not contiguous: use vector<std::uint8_t>)");
    return bundle<Sequences, PromptLengths, Loss, Columns>(in);
}

template <class Source, class Index>
constexpr auto as_bundle(const selection<Source, Index>& chosen)
{
    const auto source = as_bundle(chosen.source());
    return selected_bundle<std::remove_cv_t<decltype(source)>, Index>(source, chosen.rows());
}

}  // namespace detail

// Sequences, and which pieces of them share a row: what a binned_collator takes.
template <class Source>
class binned_inputs {
public:
    constexpr binned_inputs(const Source& source, const bins& rows) : source_(source), bins_(rows) {}

    [[nodiscard]] constexpr decltype(auto) source() const noexcept { return (source_); }
    [[nodiscard]] constexpr const batten::bins& bins() const noexcept { return bins_; }

private:
    detail::kept<Source> source_;
    batten::bins bins_;
};

// Packs `source` (sequences, inputs{...}, a selection) into the rows that `rows` describes: a bins, or what converts to one, as
// the result of a packer does.
//
// Requires  the sequences and the bins outlive it.
// Errors    offsets that do not begin with 0, decrease or pass the pieces; a slot multiple of 0; a piece outside its sequence
//           or of no sequence: when it is collated.
template <class Source>
[[nodiscard]] constexpr auto binned(const Source& source, const bins& rows)
{
    return binned_inputs<Source>(source, rows);
}
template <detail::indexed_range Source>
    requires(!detail::is_view<Source>)
void binned(const Source&& source, const bins& rows) = delete;  // sequences gone before they are read: name them first

// A bundle with bins: the same members, and bins(), pieces(r).
template <class Bundle>
class binned_bundle : public Bundle {
public:
    constexpr binned_bundle(const Bundle& source, const bins& rows) noexcept : Bundle(source), bins_(rows) {}

    using Bundle::check;
    [[nodiscard]] constexpr bool check(error& reason) const
    {
        if (!Bundle::check(reason))
            return false;
        if (bins_.slot_multiple == 0)
            return detail::fail(reason, {error_code::argument_not_positive, error::no_row, 0, {}, "slot_multiple"});
        const auto offsets = bins_.offsets;
        if (!offsets.empty() && offsets.front() != 0)
            return detail::fail(reason,
                                {error_code::offsets_not_from_zero, error::no_row, offsets.front(), {}, "the bins' offsets"});
        for (std::size_t r = 1; r < offsets.size(); ++r) {
            if (offsets[r] < offsets[r - 1])
                return detail::fail(reason, {error_code::offsets_decrease, r - 1, offsets[r - 1], offsets[r], {}});
            if (offsets[r] > bins_.pieces.size())
                return detail::fail(reason, {error_code::offset_past_end, r - 1, offsets[r], bins_.pieces.size(), {}});
        }
        return true;
    }

    [[nodiscard]] constexpr const batten::bins& bins() const noexcept { return bins_; }
    [[nodiscard]] constexpr std::span<const piece> pieces(std::size_t r) const
    {
        return bins_.pieces.subspan(bins_.offsets[r], bins_.offsets[r + 1] - bins_.offsets[r]);
    }

private:
    batten::bins bins_;
};

namespace detail {

template <class Source>
constexpr auto as_bundle(const binned_inputs<Source>& in)
{
    const auto source = as_bundle(in.source());
    return binned_bundle<std::remove_cv_t<decltype(source)>>(source, in.bins());
}

}  // namespace detail

// What a collator's calls take.
template <class In>
concept collatable = requires(const In& in) { detail::as_bundle(in); };

}  // namespace batten

#endif
