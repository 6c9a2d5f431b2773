// SPDX-License-Identifier: MIT
// Pieces of sequences, and the bins that say which of them share a row: what a plan yields and the packed layout takes.
#ifndef BATTEN_BINS_HPP_INCLUDED
#define BATTEN_BINS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/sequences.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace batten {

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
    lasting_span<piece> pieces{};
    lasting_span<std::size_t> offsets{};  // one more than rows
    std::size_t slot_multiple = 1;
};

// Sequences, and which pieces of them share a row: what a packed_collator takes.
template <class Source>
class packed_inputs {
public:
    constexpr packed_inputs(const Source& source, const bins& rows) : source_(source), bins_(rows) {}

    [[nodiscard]] constexpr decltype(auto) source() const noexcept { return (source_); }
    [[nodiscard]] constexpr const batten::bins& bins() const noexcept { return bins_; }
    [[nodiscard]] constexpr auto bundle() const;

private:
    detail::stored<Source> source_;
    batten::bins bins_;
};

// Packs `source` (sequences, inputs{...}, a selection) into the rows that `rows` describes: a bins, or what converts to one, as
// the result of a packer does.
//
// Requires  the sequences and the bins outlive it.
// Errors    offsets that do not begin with 0, decrease or pass the pieces; a slot multiple of 0; a piece outside its sequence
//           or of no sequence: when it is collated.
template <class Source>
[[nodiscard]] constexpr auto packed(const Source& source, const bins& rows)
{
    return packed_inputs<Source>(source, rows);
}
template <detail::indexed_range Source>
    requires(!detail::is_view<Source>)
void packed(const Source&& source, const bins& rows) = delete;  // sequences gone before they are read: name them first

// A bundle with bins: the same members, and bins(), pieces(r).
template <class Bundle>
class packed_bundle : public Bundle {
public:
    constexpr packed_bundle(const Bundle& source, const bins& rows) noexcept : Bundle(source), bins_(rows) {}

    using Bundle::check;
    [[nodiscard]] constexpr bool check(error& reason) const
    {
        if (!Bundle::check(reason))
            return false;
        if (bins_.slot_multiple == 0)
            return detail::fail(reason, error::of(errors::argument_not_positive, 0, {}, "slot_multiple"));
        const auto offsets = bins_.offsets;
        if (!offsets.empty() && offsets.front() != 0)
            return detail::fail(reason,
                                error::of(errors::offsets_not_from_zero, offsets.front(), {}, "the bins' offsets"));
        for (std::size_t r = 1; r < offsets.size(); ++r) {
            if (offsets[r] < offsets[r - 1])
                return detail::fail(reason, error::of_row(errors::offsets_decrease, r - 1, offsets[r - 1], offsets[r]));
            if (offsets[r] > bins_.pieces.size())
                return detail::fail(reason, error::of_row(errors::offset_past_end, r - 1, offsets[r], bins_.pieces.size()));
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

template <class Source>
constexpr auto packed_inputs<Source>::bundle() const
{
    const auto source = bundle_of(source_);
    return packed_bundle<std::remove_cv_t<decltype(source)>>(source, bins_);
}

}  // namespace batten

#endif
