// SPDX-License-Identifier: MIT
// Sequences: contiguous integers in the caller's memory, and ranges of such sequences. Nothing is copied.
#ifndef BATTEN_SEQUENCES_HPP_INCLUDED
#define BATTEN_SEQUENCES_HPP_INCLUDED

#include <batten/detail/ranges.hpp>
#include <batten/error.hpp>
#include <batten/integer.hpp>

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <span>
#include <type_traits>
#include <utility>

namespace batten {

// Any integer but bool: what a token id, a length or an offset may be.
template <class T>
concept integer_number = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool>;

// Contiguous numbers: one sequence of token ids, or one sequence's entries of a column.
template <class R>
concept number_sequence = std::ranges::contiguous_range<const R> && std::ranges::sized_range<const R> &&
                     std::is_arithmetic_v<std::ranges::range_value_t<const R>>;

template <class R>
concept token_sequence = number_sequence<R> && integer_number<std::ranges::range_value_t<const R>>;

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

// Contiguous numbers for each sequence: token ids, a loss column, any other column.
template <class R>
concept number_sequences = detail::indexed_range<R> && number_sequence<std::remove_cvref_t<detail::element_t<R>>> &&
                    detail::outlives_its_access<detail::element_t<R>>;

// What a collator takes as sequences: vector<vector<int>>, vector<span<const uint16_t>>, ragged_view, each(...), ...
template <class R>
concept sequence_range = number_sequences<R> && token_sequence<std::remove_cvref_t<detail::element_t<R>>>;

// One integer for each sequence: prompt lengths.
template <class R>
concept integer_range = detail::indexed_range<R> && integer_number<std::remove_cvref_t<detail::element_t<R>>>;

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

namespace detail {

// A type deduced for Range&&: a container that ends with the expression it is in, so that a view of it would dangle. Not a
// view, nor a range whose elements are in memory of something else (std::span).
template <class Range>
concept temporary_range = !std::is_lvalue_reference_v<Range> && std::ranges::range<std::remove_cvref_t<Range>> &&
                          !std::ranges::view<std::remove_cvref_t<Range>> &&
                          !std::ranges::borrowed_range<std::remove_cvref_t<Range>>;

}  // namespace detail

// A std::span<const T> of memory that something else owns. It is not made of a temporary container, which would be gone before
// it is read. For members of an aggregate of views.
template <class T>
class lasting_span : public std::span<const T> {
    using span = std::span<const T>;
    template <class Range>
    static constexpr bool is_other = !std::derived_from<std::remove_cvref_t<Range>, span>;

public:
    constexpr lasting_span() noexcept = default;
    constexpr lasting_span(span other) noexcept : span(other) {}
    template <class Range>
        requires is_other<Range> && (!detail::temporary_range<Range>) && std::convertible_to<Range, span>
    constexpr lasting_span(Range&& range) : span(range)
    {
    }
    template <class Range>
        requires is_other<Range> && detail::temporary_range<Range>
    lasting_span(Range&& gone) = delete;  // the values would be gone before they are read: name the container first
};

// ---- ragged_view -----------------------------------------------------------------------------------------------------

// Sequences as one flat array and the offset at which each begins: an Arrow ListArray, CSR, a memory-mapped corpus.
//
// Shapes    tokens [t]; offsets [sequences + 1] or empty for none; sequence i is tokens[offsets[i], offsets[i + 1]).
// Requires  the tokens and offsets outlive the view, and the view its iterators, which refer to it.
// Errors    offsets that are negative, decrease or end past the tokens: at collation, for the rows that it reads, O(1) each.
template <class T, integer_number Offset>
    requires std::is_arithmetic_v<T>
class ragged_view {
public:
    constexpr ragged_view() noexcept = default;
    constexpr ragged_view(std::span<const T> tokens, std::span<const Offset> offsets) noexcept
        : tokens_(tokens), offsets_(offsets)
    {
    }
    template <class Tokens, class Offsets>
        requires detail::temporary_range<Tokens> || detail::temporary_range<Offsets>
    ragged_view(Tokens&& gone, Offsets&& offsets) = delete;  // tokens or offsets gone before they are read: name them first

    [[nodiscard]] constexpr std::size_t size() const noexcept { return offsets_.empty() ? 0 : offsets_.size() - 1; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }

    // Sequence i. Requires: i < size(), and the two offsets around it are in order.
    [[nodiscard]] constexpr std::span<const T> operator[](std::size_t i) const
    {
        const auto begin = static_cast<std::size_t>(offsets_[i]);
        return tokens_.subspan(begin, static_cast<std::size_t>(offsets_[i + 1]) - begin);
    }

    // Whether sequence i is inside the tokens. A collator asks this before it reads the sequence.
    [[nodiscard]] constexpr bool check(std::size_t i, error& reason) const noexcept
    {
        const integer begin(offsets_[i]);
        const integer end(offsets_[i + 1]);
        if (begin.is_negative())
            return detail::fail(reason, error::of_row(errors::offset_negative, i, begin));
        if (std::cmp_less(offsets_[i + 1], offsets_[i]))
            return detail::fail(reason, error::of_row(errors::offsets_decrease, i, begin, end));
        if (std::cmp_greater(offsets_[i + 1], tokens_.size()))
            return detail::fail(reason, error::of_row(errors::offset_past_end, i, end, tokens_.size()));
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

// ---- strided_sequences -------------------------------------------------------------------------------------------------

// Sequences as the rows of a matrix: sequence r is the first lengths[r] elements from tokens[r * row_stride] on. What a server
// keeps of its requests, and what a draft model yields.
//
// Shapes   tokens [sequences * row_stride] or more; lengths [sequences].
// Requires memory that outlives it: temporaries are refused by type.
// Errors   a length that is negative or over row_stride, too few tokens: at the call that reads the sequence, O(1) each.
template <class T, integer_number Length>
    requires std::is_arithmetic_v<T>
class strided_sequences {
public:
    constexpr strided_sequences() noexcept = default;
    constexpr strided_sequences(std::span<const T> tokens, std::size_t row_stride, std::span<const Length> lengths) noexcept
        : tokens_(tokens),
          row_stride_(row_stride),
          longest_(row_stride != 0 && tokens.size() / row_stride < lengths.size() ? 0 : row_stride),
          lengths_(lengths)
    {
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return lengths_.size(); }
    [[nodiscard]] constexpr bool empty() const noexcept { return lengths_.empty(); }

    // Sequence r. Requires: check(r).
    [[nodiscard]] constexpr std::span<const T> operator[](std::size_t r) const
    {
        return {tokens_.data() + r * row_stride_, static_cast<std::size_t>(lengths_[r])};
    }

    // Whether sequence r fits its row. What a collator asks before it reads the sequence.
    [[nodiscard]] constexpr bool check(std::size_t r, error& reason) const noexcept
    {
        return static_cast<std::size_t>(lengths_[r]) <= longest_ || explain(*this, r, reason);  // a negative one is over any
    }

    [[nodiscard]] constexpr auto begin() const noexcept { return detail::index_iterator<strided_sequences>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return detail::index_iterator<strided_sequences>(this, size()); }

private:
    // By value and not inlined, so that a loop that asks check for each sequence can keep this object in registers.
    [[gnu::noinline]] static constexpr bool explain(strided_sequences all, std::size_t r, error& reason) noexcept
    {
        const auto length = all.lengths_[r];
        if (std::cmp_less(length, 0))
            return detail::fail(reason, error::of_row(errors::length_negative, r, length));
        if (all.longest_ != all.row_stride_) {
            std::size_t needed = 0;
            if (!detail::multiply(all.row_stride_, all.size(), needed))
                return detail::fail(reason, error::of_row(errors::size_overflow, r, all.size(), all.row_stride_));
            return detail::fail(reason,
                                error::of_row(errors::span_too_small, r, needed, all.tokens_.size(), "strided_sequences"));
        }
        return detail::fail(reason, error::of_row(errors::row_over_limit, r, length, all.row_stride_));
    }

    std::span<const T> tokens_{};
    std::size_t row_stride_ = 0;
    std::size_t longest_ = 0;  // 0 where there are too few tokens for all rows
    std::span<const Length> lengths_{};
};

template <std::ranges::contiguous_range Tokens, std::ranges::contiguous_range Lengths>
    requires std::ranges::borrowed_range<Tokens> && std::ranges::borrowed_range<Lengths>
strided_sequences(Tokens&&, std::size_t, Lengths&&)
    -> strided_sequences<std::ranges::range_value_t<Tokens>, std::ranges::range_value_t<Lengths>>;

}  // namespace batten

template <class T, class Offset>
inline constexpr bool std::ranges::enable_view<batten::ragged_view<T, Offset>> = true;
template <class T, class Length>
inline constexpr bool std::ranges::enable_view<batten::strided_sequences<T, Length>> = true;

namespace batten::detail {

// How a wrapper stores its source: a container by reference; a view, a bundle and a selection, which are small, by value.
template <class Source>
using stored = std::conditional_t<!indexed_range<Source> || std::ranges::borrowed_range<Source> || std::ranges::view<Source>,
                                Source, const Source&>;

template <class T>
inline constexpr bool is_view = std::ranges::view<T> || std::ranges::borrowed_range<T>;

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

}  // namespace batten::detail

#endif
