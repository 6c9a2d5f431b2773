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

// A slice of a sequence that goes into a row: tokens [begin, begin + length).
struct piece {
    std::uint32_t sequence = 0;
    std::uint32_t begin = 0;
    std::uint32_t length = 0;

    friend constexpr bool operator==(const piece&, const piece&) noexcept = default;
};

// Where the positions of a piece begin.
enum class piece_positions : unsigned char {
    restart,      // at 0
    from_source,  // at `begin`, its place in the sequence: a shard of a sequence, a row cut from a stream of tokens
};

// Which pieces share a row, as a packer (plan/packing.hpp) or you yourself say: row b has pieces [offsets[b], offsets[b + 1]), in
// this order. The others are options, off by default.
//
// look_ahead  under next_token the target of a piece's last column is the token after the piece, where its sequence has one.
//             Other alignments ignore it: next_token_drop_last has it built in, since the last token of a piece is a target
//             alone there; let pieces share that token.
// slots       columns that each piece reserves, at least as many as it takes; those that it does not take are pads, which a
//             field fills as pads after the piece (continue_positions counts on through them). An empty piece may reserve
//             columns, and then begin past the end of its sequence: `begin` is where their positions count from.
struct bins {
    lasting_span<piece> pieces{};
    lasting_span<std::size_t> offsets{};  // one more than rows
    std::size_t slot_multiple = 1;        // a piece that takes or reserves columns begins at a multiple of it
    piece_positions positions = piece_positions::restart;
    bool look_ahead = false;
    lasting_span<std::uint32_t> slots{};  // one for each piece, or none at all: as many columns as the piece takes
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
// Errors    when it is collated: offsets that do not begin with 0, decrease or pass the pieces; a slot multiple of 0; another
//           number of slots than pieces, a slot smaller than its piece; a piece outside its sequence or of no sequence.
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
        if (!bins_.slots.empty() && bins_.slots.size() != bins_.pieces.size())
            return detail::fail(reason, error::of(errors::slot_count_mismatch, bins_.slots.size(), bins_.pieces.size()));
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
