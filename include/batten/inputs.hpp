// SPDX-License-Identifier: MIT
// The inputs of a call: sequences and what belongs to them (inputs), named columns, projections (each), lists of rows (select),
// and the bundle that a collator reads of them. All refer to the caller's memory; nothing is copied.
#ifndef BATTEN_INPUTS_HPP_INCLUDED
#define BATTEN_INPUTS_HPP_INCLUDED

#include <batten/detail/ranges.hpp>
#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
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

// ---- each ------------------------------------------------------------------------------------------------------------

// The user's samples, seen through a projection. Made by each(samples, &sample::ids); refers to the samples.
template <class Samples, class Projection>
class each_view {
public:
    using element = std::invoke_result_t<const Projection&, detail::element_t<Samples>>;

    constexpr each_view(const Samples& samples, Projection projection)
        : samples_(&samples), projection_(std::move(projection))
    {
    }

    [[nodiscard]] constexpr std::size_t size() const { return static_cast<std::size_t>(std::ranges::size(*samples_)); }
    [[nodiscard]] constexpr element operator[](std::size_t i) const
    {
        const auto begin = std::ranges::begin(*samples_);
        return project(begin[static_cast<std::iter_difference_t<decltype(begin)>>(i)]);
    }

    [[nodiscard]] constexpr auto begin() const noexcept { return detail::index_iterator<each_view>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return detail::index_iterator<each_view>(this, size()); }

private:
    // As std::invoke, whose header costs more to compile: a member of a sample or of what it points to, or a call.
    constexpr element project(detail::element_t<Samples> sample) const
    {
        if constexpr (std::is_member_object_pointer_v<Projection>) {
            if constexpr (requires { sample.*projection_; })
                return sample.*projection_;
            else
                return (*sample).*projection_;
        } else if constexpr (std::is_member_function_pointer_v<Projection>) {
            if constexpr (requires { (sample.*projection_)(); })
                return (sample.*projection_)();
            else
                return ((*sample).*projection_)();
        } else {
            return projection_(std::forward<detail::element_t<Samples>>(sample));
        }
    }

    const Samples* samples_;
    Projection projection_;
};

// The part of each sample that a projection returns: each(samples, &sample::ids).
//
// Requires  `samples` outlives the view; the projection returns a reference, a number, or a view such as std::span.
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

// In place of a part of `inputs` that is not there.
struct none_t {
    friend constexpr bool operator==(none_t, none_t) noexcept = default;
};
inline constexpr none_t none{};

// One named column beside the sequences. Made by named<"name">(values).
template <fixed_string Name, number_sequences Values>
struct named_column {
    static constexpr fixed_string column_name = Name;
    detail::stored<Values> runs;
};

// Names a column: named<"weights">(weights).
//
// Shapes    as many entries as sequences, each as long as its sequence.
// Requires  the values outlive it; a view, such as a std::span, is copied.
template <fixed_string Name, number_sequences Values>
[[nodiscard]] constexpr named_column<Name, Values> named(const Values& values) noexcept
{
    return {values};
}
template <fixed_string Name, detail::temporary_range Values>
void named(Values&& gone) = delete;  // the values would be gone before they are read: name them first

// The columns of one bundle: columns{named<"weights">(weights), named<"types">(types)}.
template <class... Named>
class columns {
    template <class One>
    static constexpr bool is_once = (std::size_t{0} + ... + (Named::column_name == One::column_name ? 1U : 0U)) == 1;
    static_assert((true && ... && is_once<Named>), "batten::columns: two columns have one name: rename one of them");

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

    // check(column) for each column, until one returns false.
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

// Sequences and what belongs to them: collate(batten::inputs{.sequences = ids, .prompt_lengths = prompts}).
//
// Shapes   sequences [n, tokens of each]; prompt_lengths [n]; loss and each column [n, tokens of each], loss 0: not trained.
//          All concern the whole sequence: truncation slices them along with it.
// Requires what it refers to outlives it. A temporary lives as long as a variable that braces initialise, inputs in{f()}; not
//          where the inputs are returned, copied, or the source of a selection that is kept: no type can tell these apart.
//          (Clang before 17 deduces no designated initialisers: write the members in order, batten::none for one left out.)
template <class Sequences, class PromptLengths = none_t, class Loss = none_t, class Columns = columns<>>
struct inputs {
    const Sequences& sequences;
    const PromptLengths& prompt_lengths = none;
    const Loss& loss = none;
    Columns columns{};

    [[nodiscard]] constexpr auto bundle() const;
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

// ---- select ----------------------------------------------------------------------------------------------------------

// Inputs seen through a list of rows, as a plan has it: row i of the selection is row rows[i] of the source. Made by select.
template <class Source, integer_number Index>
class selection {
public:
    constexpr selection(const Source& source, std::span<const Index> rows) : source_(source), rows_(rows) {}

    [[nodiscard]] constexpr decltype(auto) source() const noexcept { return (source_); }
    [[nodiscard]] constexpr std::span<const Index> rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr auto bundle() const;

private:
    detail::stored<Source> source_;
    std::span<const Index> rows_;
};

}  // namespace batten

template <class Samples, class Projection>
inline constexpr bool std::ranges::enable_view<batten::each_view<Samples, Projection>> = true;

namespace batten {

// Sees `source` (sequences, inputs{...}, another selection) through `rows`, in their order; a row may come twice.
//
// Requires  the sequences and the row numbers outlive the selection.
// Errors    a row number past the source: when it is collated. Only the selected rows are checked.
template <class Source, std::ranges::contiguous_range Rows>
    requires integer_number<std::ranges::range_value_t<Rows>>
[[nodiscard]] constexpr auto select(const Source& source, const Rows& rows)
{
    using index = std::ranges::range_value_t<Rows>;
    return selection<Source, index>(source, std::span<const index>(rows));
}

template <detail::indexed_range Source, class Rows>
    requires(!detail::is_view<Source>)
void select(const Source&& source, const Rows& rows) = delete;  // sequences gone before they are read: name them first
template <class Source, std::ranges::range Rows>
    requires(!detail::is_view<Rows>)
void select(const Source& source, const Rows&& rows) = delete;  // the rows would be gone before they are read: name them first

// ---- what a collator reads -------------------------------------------------------------------------------------------

// What a layout and a field read of the inputs of a call. inputs_bundle, selected_bundle and packed_bundle are bundles; one of
// your own derives from one of them, or has these members, where i is below sequence_count():
//
//     using token_type                            the element type of the tokens
//     static constexpr bool has_prompt_lengths, has_loss;   whether the inputs have them
//     template <fixed_string Name> static constexpr bool has_column;   whether they have a column of that name
//     sequence_count()                            number of sequences
//     check(reason)                               once a call: whether the parts fit together, or false and the reason
//     check(i, reason)                            whether sequence i is sound, O(1); asked before any member below
//     length(i), tokens(i)                        number of its tokens; the tokens, std::span<const token_type>
//     prompt_length(i)                            tokens of its prompt; 0 without prompt lengths
//     loss(i), column_values<"name">(i)           where there are such: a span of length(i) numbers
//
// Requires  pure functions. A bundle is copied: it refers to the inputs.
template <class Bundle>
concept bundle = std::copy_constructible<Bundle> && requires(const Bundle& in, std::size_t i, error& reason) {
    typename Bundle::token_type;
    { Bundle::has_prompt_lengths } -> std::convertible_to<bool>;
    { Bundle::has_loss } -> std::convertible_to<bool>;
    { Bundle::template has_column<fixed_string("name")> } -> std::convertible_to<bool>;
    { in.sequence_count() } -> std::convertible_to<std::size_t>;
    { in.check(reason) } -> std::same_as<bool>;
    { in.check(i, reason) } -> std::same_as<bool>;
    { in.length(i) } -> std::convertible_to<std::size_t>;
    { in.tokens(i) } -> std::same_as<std::span<const typename Bundle::token_type>>;
    { in.prompt_length(i) } -> std::convertible_to<std::size_t>;
};

// The bundle of inputs{...}.
template <class Sequences, class PromptLengths, class Loss, class Columns>
class inputs_bundle {
public:
    using token_type = std::ranges::range_value_t<detail::element_t<Sequences>>;
    static constexpr bool has_prompt_lengths = !std::same_as<PromptLengths, none_t>;
    static constexpr bool has_loss = !std::same_as<Loss, none_t>;
    template <fixed_string Name>
    static constexpr bool has_column = Columns::template has<Name>;

    constexpr explicit inputs_bundle(const inputs<Sequences, PromptLengths, Loss, Columns>& in)
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
                   detail::fail(reason, error::of(errors::count_mismatch, entries, sequences, name));
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
                return detail::fail(reason, error::of_row(errors::prompt_length_negative, i, prompt, {}, "prompt_lengths"));
            if (std::cmp_greater(prompt, length(i)))
                return detail::fail(reason, error::of_row(errors::prompt_past_end, i, prompt, length(i), "prompt_lengths"));
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
               detail::fail(reason, error::of_row(errors::column_length_mismatch, i, entries, length(i), name));
    }

    detail::stored<Sequences> sequences_;
    [[no_unique_address]] detail::stored<PromptLengths> prompt_lengths_;
    [[no_unique_address]] detail::stored<Loss> loss_;
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
            return detail::fail(reason, error::of_row(errors::row_index_out_of_range, i, rows_[i], sequences));
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

// For inputs of the user's: batten_bundle(in), found by argument-dependent lookup alone.
void batten_bundle() = delete;

template <class In>
concept with_bundle_member = requires(const In& in) { in.bundle(); };
template <class In>
concept with_bundle_function = requires(const In& in) { batten_bundle(in); };

template <class In>
constexpr auto find_bundle(const In& in)
{
    if constexpr (with_bundle_member<In>)
        return in.bundle();
    else if constexpr (with_bundle_function<In>)
        return batten_bundle(in);
    else
        return inputs_bundle<In, none_t, none_t, columns<>>({in, none, none, {}});
}

}  // namespace detail

// The bundle of the inputs of a call: in.bundle(), or else batten_bundle(in), or else, where `in` is plain sequences, theirs.
// Inputs of your own have one of the first two; where they refer to other inputs, they ask bundle_of for their bundle.
//
// Requires  `in`, and what it refers to, outlives the bundle.
template <class In>
    requires detail::with_bundle_member<In> || detail::with_bundle_function<In> || sequence_range<In>
[[nodiscard]] constexpr auto bundle_of(const In& in)
{
    return detail::find_bundle(in);
}

namespace detail {

template <class>
inline constexpr bool is_selection = false;
template <class Source, class Index>
inline constexpr bool is_selection<selection<Source, Index>> = true;

}  // namespace detail

template <class Sequences, class PromptLengths, class Loss, class Columns>
constexpr auto inputs<Sequences, PromptLengths, Loss, Columns>::bundle() const
{
    static_assert(!detail::is_selection<Sequences>,
                  "batten::inputs: a selection goes around the inputs, not into them: select(inputs{...}, rows)");
    static_assert(sequence_range<Sequences> || detail::is_selection<Sequences>,
                  "batten::inputs: .sequences must be a random-access range of contiguous runs of integers");
    static_assert(std::same_as<PromptLengths, none_t> || integer_range<PromptLengths>,
                  "batten::inputs: .prompt_lengths must be a random-access range of integers");
    static_assert(std::same_as<Loss, none_t> || number_sequences<Loss>,
                  "batten::inputs: .loss must be a random-access range of contiguous runs of numbers "
                  "(vector<bool> is not contiguous: use vector<std::uint8_t>)");
    if constexpr (sequence_range<Sequences>)
        return inputs_bundle<Sequences, PromptLengths, Loss, Columns>(*this);
}

template <class Source, integer_number Index>
constexpr auto selection<Source, Index>::bundle() const
{
    const auto source = bundle_of(source_);
    return selected_bundle<std::remove_cv_t<decltype(source)>, Index>(source, rows_);
}

// What a collator's calls take: sequences, inputs{...}, selections and packings of them, and inputs of your own.
template <class In>
concept collatable = requires(const In& in) {
    { bundle_of(in) } -> bundle;
};

}  // namespace batten

#endif
