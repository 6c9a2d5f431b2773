// SPDX-License-Identifier: MIT
// Packing: which sequences share a row of some capacity. Next fit and best fit here, the tight packer in tight.hpp.
#ifndef BATTEN_PLAN_PACKING_HPP_INCLUDED
#define BATTEN_PLAN_PACKING_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/order.hpp>
#include <batten/sequences.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

// ---- what is asked for ------------------------------------------------------------------------------------------------------

// Of a sequence that is over the capacity alone.
enum class over_capacity : unsigned char {
    is_error,
    is_split,               // into pieces that fill a bin each, and the rest
    is_split_with_overlap,  // each begins with the last token of the one before: every token but the first is a target, once
};

// A sequence takes the columns that `targets` says (next_token_drop_last: 1025 tokens fit a capacity of 1024), rounded up to
// slots. A capacity that is no multiple of the slot is used up to the multiple below it.
struct packing_options {
    std::size_t capacity = 0;              // columns of a bin; needed
    std::size_t max_per_bin = no_limit;    // pieces, empty ones too
    std::size_t slot_multiple = 1;         // each piece begins at a multiple of it
    std::size_t bins_multiple = 1;         // the number of bins is one of it: bins are halved, or empty ones added
    over_capacity over = over_capacity::is_error;
    target_alignment targets = model_shifts;
};

// ---- what comes out ---------------------------------------------------------------------------------------------------------

// Numbers of bins below which there is no packing, before bins_multiple.
struct packing_bounds {
    std::uint64_t by_total = 0;          // columns of all slots / capacity
    std::uint64_t by_count = 0;          // pieces / max_per_bin
    std::uint64_t martello_toth = 0;     // L2: large pieces apart from each other, small ones in the gaps
    std::optional<std::uint64_t> lp{};   // the relaxation of Gilmore and Gomory, where it was solved

    [[nodiscard]] constexpr std::uint64_t best() const noexcept
    {
        return std::max({by_total, by_count, martello_toth, lp.value_or(0)});
    }

    friend constexpr bool operator==(const packing_bounds&, const packing_bounds&) = default;
};

// The bins, as flat arrays: bin b has pieces[offsets[b]] up to pieces[offsets[b + 1]]. Goes where a binned layout takes bins.
// A sequence of no columns (empty, or one token of which only a target is left) is a piece like any other.
struct packing {
    batten::detail::buffer_vector<piece> pieces{};
    std::vector<std::size_t> offsets{0};
    std::size_t slot_multiple = 1;
    std::size_t capacity = 0;
    packing_bounds bounds{};

    [[nodiscard]] constexpr std::size_t size() const noexcept { return offsets.size() - 1; }
    [[nodiscard]] constexpr std::span<const piece> operator[](std::size_t b) const
    {
        BATTEN_ASSERT(b < size(), "bin past the end");
        return std::span<const piece>(pieces).subspan(offsets[b], offsets[b + 1] - offsets[b]);
    }

    constexpr operator bins() const& noexcept { return {pieces, offsets, slot_multiple}; }
    operator bins() && = delete;  // it would refer to a packing that is gone

    friend constexpr bool operator==(const packing&, const packing&) = default;
};

// Bins that are filled alike: how often each of some lengths (in columns, rounded up to slots) lies in one, longest first.
struct bin_pattern {
    struct run {
        std::size_t length = 0;
        std::uint64_t copies = 0;

        friend constexpr bool operator==(const run&, const run&) noexcept = default;
    };

    std::span<const run> runs{};
    std::uint64_t bins = 0;  // that are filled like this
};

// A packing of a histogram: which patterns, and how often. As small as the histogram, however many sequences it counts.
class pattern_packing {
public:
    constexpr pattern_packing() = default;

    // Adds `bins` bins. Requires: their sum fits 64 bits.
    constexpr void add(std::span<const bin_pattern::run> runs, std::uint64_t bins)
    {
        runs_.insert(runs_.end(), runs.begin(), runs.end());
        offsets_.push_back(runs_.size());
        counts_.push_back(bins);
        bins_ += bins;
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return counts_.size(); }
    [[nodiscard]] constexpr bin_pattern operator[](std::size_t p) const
    {
        BATTEN_ASSERT(p < size(), "pattern past the end");
        return {std::span<const bin_pattern::run>(runs_).subspan(offsets_[p], offsets_[p + 1] - offsets_[p]), counts_[p]};
    }
    [[nodiscard]] constexpr std::uint64_t bins() const noexcept { return bins_; }

    std::size_t capacity = 0;
    packing_bounds bounds{};

private:
    std::vector<bin_pattern::run> runs_{};
    std::vector<std::size_t> offsets_{0};
    std::vector<std::uint64_t> counts_{};
    std::uint64_t bins_ = 0;
};

namespace detail {

// ---- pieces -----------------------------------------------------------------------------------------------------------------

// How sequences are cut, and the columns that pieces take.
struct piece_rule {
    std::size_t slots = 0;     // of a bin
    std::size_t longest = 0;   // tokens that a bin holds
    std::size_t step = 0;      // tokens from the begin of a piece to that of the next
    std::size_t multiple = 1;  // columns of a slot
    target_alignment targets = model_shifts;

    constexpr std::size_t pieces(std::size_t tokens) const noexcept
    {
        return tokens <= longest ? 1 : 1 + (tokens - longest - 1) / step + 1;
    }
    constexpr piece at(std::size_t sequence, std::size_t tokens, std::size_t i) const noexcept
    {
        return {static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(i * step),
                static_cast<std::uint32_t>(std::min(longest, tokens - i * step))};
    }
    constexpr std::size_t slots_of(std::size_t tokens) const noexcept
    {
        const std::size_t columns = batten::columns_of(targets, tokens);
        return multiple == 1 ? columns : columns / multiple + (columns % multiple != 0 ? 1 : 0);
    }
};

constexpr bool make_rule(const packing_options& options, piece_rule& rule, error& reason)
{
    if (!require_positive(options.capacity, "capacity", reason) ||
        !require_positive(options.max_per_bin, "max_per_bin", reason) ||
        !require_positive(options.slot_multiple, "slot_multiple", reason) ||
        !require_positive(options.bins_multiple, "bins_multiple", reason))
        return false;
    if (options.capacity < options.slot_multiple)
        return fail(reason, error::of(errors::capacity_too_small, options.capacity, options.slot_multiple));
    rule.slots = options.capacity / options.slot_multiple;
    rule.longest = batten::tokens_of(options.targets, rule.slots * options.slot_multiple);
    rule.step = rule.longest;
    rule.multiple = options.slot_multiple;
    rule.targets = options.targets;
    if (options.over == over_capacity::is_split_with_overlap && --rule.step == 0)
        return fail(reason, error::of(errors::capacity_too_small, options.capacity, 2));
    return true;
}

// The pieces of a list of lengths, in its order. Where every sequence is one piece, none is stored.
template <class Lengths>
class piece_list {
public:
    constexpr piece_list(const Lengths& lengths, const piece_rule& rule)
        : lengths_(lengths), rule_(rule), size_(static_cast<std::size_t>(std::ranges::size(lengths)))
    {
    }

    // Checks every length, and cuts where something is to be cut.
    constexpr bool make(const packing_options& options, error& reason)
    {
        constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
        if (size_ > most)
            return fail(reason, error::of(errors::value_not_representable, size_ - 1, {}, "piece.sequence"));
        std::size_t pieces = 0;
        std::size_t i = 0;
        for (const auto length : lengths_) {
            if (std::cmp_less(length, 0))
                return fail(reason, error::of_row(errors::length_negative, i, length));
            if (options.over == over_capacity::is_error && std::cmp_greater(length, rule_.longest))
                return fail(reason, error::of_row(errors::row_over_limit, i, length, rule_.longest));
            if (std::cmp_greater(length, most))
                return fail(reason, error::of_row(errors::value_not_representable, i, length, {}, "piece.length"));
            pieces += rule_.pieces(static_cast<std::size_t>(length));
            ++i;
        }
        if (pieces == size_)
            return true;
        if (pieces > most)
            return fail(reason, error::of(errors::value_not_representable, pieces, {}, "the order of pieces"));
        cut_.reserve(pieces);
        for (std::size_t r = 0; r < size_; ++r)
            for (std::size_t k = 0; k < rule_.pieces(length(r)); ++k)
                cut_.push_back(rule_.at(r, length(r), k));
        size_ = pieces;
        return true;
    }

    constexpr std::size_t size() const noexcept { return size_; }
    constexpr piece operator[](std::size_t i) const
    {
        return cut_.empty() ? piece{static_cast<std::uint32_t>(i), 0, static_cast<std::uint32_t>(length(i))} : cut_[i];
    }
    constexpr std::size_t slots(std::size_t i) const { return rule_.slots_of((*this)[i].length); }

    // The numbers of the pieces, shortest first, equal ones in their order.
    constexpr void order(std::span<std::uint32_t> out) const
    {
        if (cut_.empty()) {
            stable_order(lengths_, out);
            return;
        }
        std::vector<std::uint32_t> lengths;
        lengths.reserve(cut_.size());
        for (const piece& p : cut_)
            lengths.push_back(p.length);
        stable_order(lengths, out);
    }

private:
    constexpr std::size_t length(std::size_t r) const { return length_at(lengths_, r); }

    const Lengths& lengths_;
    const piece_rule& rule_;
    std::size_t size_;
    std::vector<piece> cut_{};
};

// ---- the problem, on classes of pieces of equal size ------------------------------------------------------------------------

struct size_class {
    std::size_t slots = 0;
    std::uint64_t count = 0;
};

// Classes, largest first, into bins of `slots` slots and at most `depth` pieces.
struct bin_problem {
    std::vector<size_class> classes{};
    std::size_t slots = 0;
    std::uint64_t depth = 0;
    std::uint64_t pieces = 0;
    std::uint64_t total = 0;  // slots of all pieces

    // Adds pieces no larger than those before; false where sums pass 62 bits.
    constexpr bool add(std::size_t size, std::uint64_t count)
    {
        constexpr std::uint64_t most = std::uint64_t{1} << 62U;
        if (count > most - pieces || (size != 0 && count > (most - total) / size))
            return false;
        pieces += count;
        total += count * size;
        if (!classes.empty() && classes.back().slots == size)
            classes.back().count += count;
        else
            classes.push_back({size, count});
        return true;
    }
};

// Slots of a bin, at the most: best fit has a list for each number of slots that a bin may have left.
inline constexpr std::size_t most_slots = std::size_t{1} << 26U;

// A bin need not be larger than all pieces together.
constexpr void set_limits(bin_problem& problem, const packing_options& options, const piece_rule& rule)
{
    problem.depth = std::min<std::uint64_t>(options.max_per_bin, std::max<std::uint64_t>(problem.pieces, 1));
    problem.slots = static_cast<std::size_t>(std::min<std::uint64_t>(rule.slots, std::max<std::uint64_t>(problem.total, 1)));
}
constexpr bool check_slots(const bin_problem& problem, const packing_options& options, error& reason)
{
    return problem.slots <= most_slots || fail(reason, error::of(errors::capacity_too_large, options.capacity,
                                                        most_slots * options.slot_multiple));
}

// How many bins pieces need at the least. L2 of Martello and Toth: for every size k up to half a bin, pieces over bin - k have
// a bin to themselves but for smaller ones than k, those over half a bin have one each, and pieces from k on that are no larger
// than half fill what these leave, and then bins of their own. Cost: O(classes).
constexpr packing_bounds find_bounds(const bin_problem& problem)
{
    const auto& classes = problem.classes;
    const std::uint64_t bin = problem.slots;
    packing_bounds bounds;
    bounds.by_total = problem.total / bin + (problem.total % bin != 0 ? 1 : 0);
    bounds.by_count = problem.pieces / problem.depth + (problem.pieces % problem.depth != 0 ? 1 : 0);
    std::size_t halves = 0;
    while (halves < classes.size() && classes[halves].slots > bin / 2)
        bounds.martello_toth += classes[halves++].count;
    const std::uint64_t large = bounds.martello_toth;
    std::uint64_t small = 0;         // slots of the pieces from k up to half a bin
    std::uint64_t free = 0;          // what pieces up to bin - k leave of their bins
    std::size_t shared = halves;     // the first class of those
    for (std::size_t i = halves; i < classes.size(); ++i) {
        small += classes[i].count * classes[i].slots;
        for (; shared > 0 && classes[shared - 1].slots <= bin - classes[i].slots; --shared)
            free += classes[shared - 1].count * (bin - classes[shared - 1].slots);
        const std::uint64_t rest = small - std::min(small, free);
        bounds.martello_toth = std::max(bounds.martello_toth, large + rest / bin + (rest % bin != 0 ? 1 : 0));
    }
    return bounds;
}

// The slots of pieces, as a range.
template <class Lengths>
struct slots_of_pieces {
    const piece_list<Lengths>& pieces;

    constexpr std::size_t operator[](std::size_t i) const { return pieces.slots(i); }
    constexpr auto begin() const { return batten::detail::index_iterator<slots_of_pieces>(this, 0); }
    constexpr auto end() const { return batten::detail::index_iterator<slots_of_pieces>(this, pieces.size()); }
};

// The same bounds for pieces in any order.
template <class Lengths>
constexpr bool find_bounds_of(const piece_list<Lengths>& pieces, const packing_options& options, const piece_rule& rule,
                              packing_bounds& bounds, error& reason)
{
    const result<histogram> counted = histogram::try_make(slots_of_pieces<Lengths>{pieces});
    if (!counted)
        return fail(reason, counted.error());
    bin_problem problem;
    for (std::size_t i = counted->bins().size(); i-- > 0;)
        if (const histogram::bin& b = counted->bins()[i]; !problem.add(b.length, b.count))
            return fail(reason, error::of(errors::size_overflow, b.length, b.count));
    set_limits(problem, options, rule);
    bounds = find_bounds(problem);
    return true;
}

// ---- bins as patterns -------------------------------------------------------------------------------------------------------

struct class_run {
    std::uint32_t of = 0;  // which class
    std::uint64_t copies = 0;
};

// Bins that hold the same numbers of pieces of the same classes.
class pattern_list {
public:
    constexpr void add(std::span<const class_run> runs, std::uint64_t bins)
    {
        runs_.insert(runs_.end(), runs.begin(), runs.end());
        offsets_.push_back(runs_.size());
        counts_.push_back(bins);
        bins_ += bins;
    }
    constexpr void append(const pattern_list& other)
    {
        for (std::size_t p = 0; p < other.size(); ++p)
            add(other.runs(p), other.count(p));
    }

    constexpr std::size_t size() const noexcept { return counts_.size(); }
    constexpr std::span<const class_run> runs(std::size_t p) const
    {
        return std::span<const class_run>(runs_).subspan(offsets_[p], offsets_[p + 1] - offsets_[p]);
    }
    constexpr std::uint64_t count(std::size_t p) const { return counts_[p]; }
    constexpr std::uint64_t bins() const noexcept { return bins_; }

private:
    std::vector<class_run> runs_{};
    std::vector<std::size_t> offsets_{0};
    std::vector<std::uint64_t> counts_{};
    std::uint64_t bins_ = 0;
};

// Numbers that are there or not, below some limit, and the next one that is: a bit each, and a bit for each 64 of them.
class number_set {
public:
    constexpr explicit number_set(std::size_t limit) : words_(limit / 64 + 1, 0), summary_(words_.size() / 64 + 1, 0) {}

    constexpr void insert(std::size_t n)
    {
        words_[n / 64] |= std::uint64_t{1} << n % 64;
        summary_[n / 64 / 64] |= std::uint64_t{1} << n / 64 % 64;
    }
    constexpr void erase(std::size_t n)
    {
        words_[n / 64] &= ~(std::uint64_t{1} << n % 64);
        if (words_[n / 64] == 0)
            summary_[n / 64 / 64] &= ~(std::uint64_t{1} << n / 64 % 64);
    }
    // The first one from n on; no_limit if there is none.
    constexpr std::size_t next(std::size_t n) const
    {
        if (const std::uint64_t here = words_[n / 64] >> n % 64; here != 0)
            return n + static_cast<std::size_t>(std::countr_zero(here));
        const std::size_t word = first_from(summary_, n / 64 + 1);
        return word == no_limit ? no_limit : word * 64 + static_cast<std::size_t>(std::countr_zero(words_[word]));
    }

private:
    static constexpr std::size_t first_from(const std::vector<std::uint64_t>& bits, std::size_t n)
    {
        if (n / 64 >= bits.size())
            return no_limit;
        std::uint64_t word = bits[n / 64] >> n % 64 << n % 64;
        for (std::size_t w = n / 64;;) {
            if (word != 0)
                return w * 64 + static_cast<std::size_t>(std::countr_zero(word));
            if (++w == bits.size())
                return no_limit;
            word = bits[w];
        }
    }

    std::vector<std::uint64_t> words_;
    std::vector<std::uint64_t> summary_;
};

// Best fit decreasing, many bins at a time: bins that are filled alike are a group, and a class goes into the group with the
// least space that holds it. A group splits where a class ends within it, so there are at most three more groups per class
// and group filled.
class best_fit_packer {
public:
    constexpr explicit best_fit_packer(const bin_problem& problem)
        : problem_(problem), spaces_(problem.slots), top_(problem.slots + 1, none)
    {
    }

    constexpr pattern_list run()
    {
        for (std::size_t c = 0; c < problem_.classes.size(); ++c)
            place(static_cast<std::uint32_t>(c));
        for (std::size_t space = spaces_.next(0); space != no_limit;
             space = space == problem_.slots ? no_limit : spaces_.next(space + 1))
            for (std::uint32_t g = top_[space]; g != none; g = groups_[g].below)
                emit(groups_[g]);
        return std::move(packed_);
    }

private:
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

    // One run of a bin's pieces, and the runs before it: groups that were one share them.
    struct link {
        class_run run{};
        std::uint32_t before = none;
    };
    struct group {
        std::uint64_t bins = 0;
        std::uint64_t pieces = 0;  // of a bin
        std::uint32_t last = none;
        std::uint32_t below = none;  // the group with the same space that was there before it
    };

    constexpr void place(std::uint32_t c)
    {
        const std::size_t size = problem_.classes[c].slots;
        for (std::uint64_t left = problem_.classes[c].count; left != 0;) {
            std::size_t space = spaces_.next(size);
            const bool fresh = space == no_limit;
            const group open = fresh ? group{.bins = left} : groups_[top_[space]];
            space = fresh ? problem_.slots : space;
            const std::uint64_t room = problem_.depth - open.pieces;
            const std::uint64_t copies = std::min(room, size == 0 ? left : std::uint64_t{space / size});
            const std::uint64_t full = std::min(open.bins, left / copies);
            const std::uint64_t rest = full == open.bins ? 0 : left % copies;
            if (!fresh)
                take(space, full + (rest != 0 ? 1 : 0));
            put(open, full, space, {c, copies});
            put(open, rest != 0 ? 1 : 0, space, {c, rest});
            left -= full * copies + rest;
        }
    }

    // Takes bins from the group on top of those with some space.
    constexpr void take(std::size_t space, std::uint64_t bins)
    {
        group& open = groups_[top_[space]];
        open.bins -= bins;
        if (open.bins != 0)
            return;
        top_[space] = open.below;
        if (top_[space] == none)
            spaces_.erase(space);
    }

    // Puts bins back with a run more, unless they are full.
    constexpr void put(const group& open, std::uint64_t bins, std::size_t space, class_run run)
    {
        if (bins == 0)
            return;
        links_.push_back({run, open.last});
        group filled{bins, open.pieces + run.copies, static_cast<std::uint32_t>(links_.size() - 1), none};
        if (filled.pieces == problem_.depth) {
            emit(filled);
            return;
        }
        space -= static_cast<std::size_t>(run.copies) * problem_.classes[run.of].slots;
        filled.below = std::exchange(top_[space], static_cast<std::uint32_t>(groups_.size()));
        groups_.push_back(filled);
        spaces_.insert(space);
    }

    constexpr void emit(const group& filled)
    {
        runs_.clear();
        for (std::uint32_t l = filled.last; l != none; l = links_[l].before)
            runs_.push_back(links_[l].run);
        std::reverse(runs_.begin(), runs_.end());
        packed_.add(runs_, filled.bins);
    }

    const bin_problem& problem_;
    number_set spaces_;               // spaces that some open bin has
    std::vector<std::uint32_t> top_;  // the group of each space that came last
    std::vector<group> groups_{};
    std::vector<link> links_{};
    std::vector<class_run> runs_{};
    pattern_list packed_{};
};

struct best_fit_method {
    constexpr pattern_list operator()(const bin_problem& problem, packing_bounds& /*bounds*/) const
    {
        return best_fit_packer(problem).run();
    }
};

// ---- from patterns to what was asked for ------------------------------------------------------------------------------------

constexpr std::uint64_t bins_missing(std::uint64_t bins, std::uint64_t multiple) noexcept
{
    return (multiple - bins % multiple) % multiple;
}

// Bins more, until their number is a multiple: the last ones that hold several pieces are halved, again and again; empty ones
// where there are not enough pieces.
constexpr void round_up_bins(std::vector<std::size_t>& offsets, std::size_t multiple)
{
    std::uint64_t missing = bins_missing(offsets.size() - 1, multiple);
    while (missing != 0) {
        std::vector<std::size_t> halved;  // from the back
        for (std::size_t b = offsets.size() - 1; b > 0; --b) {
            halved.push_back(offsets[b]);
            const std::size_t pieces = offsets[b] - offsets[b - 1];
            if (missing != 0 && pieces > 1) {
                halved.push_back(offsets[b] - pieces / 2);
                --missing;
            }
        }
        halved.push_back(0);
        if (halved.size() == offsets.size()) {
            offsets.insert(offsets.end(), static_cast<std::size_t>(missing), offsets.back());
            return;
        }
        offsets.assign(halved.rbegin(), halved.rend());
    }
}

// The same for patterns.
constexpr pattern_list with_bins_rounded_up(pattern_list from, std::uint64_t multiple)
{
    std::uint64_t missing = bins_missing(from.bins(), multiple);
    while (missing != 0) {
        pattern_list halved;
        const std::uint64_t before = missing;
        for (std::size_t p = 0; p < from.size(); ++p) {
            std::uint64_t pieces = 0;
            for (const class_run& run : from.runs(p))
                pieces += run.copies;
            const std::uint64_t cut = pieces > 1 ? std::min(missing, from.count(p)) : 0;
            missing -= cut;
            if (cut != from.count(p))
                halved.add(from.runs(p), from.count(p) - cut);
            if (cut == 0)
                continue;
            std::vector<class_run> front;
            std::vector<class_run> back;
            std::uint64_t room = pieces - pieces / 2;
            for (const class_run& run : from.runs(p)) {
                const std::uint64_t taken = std::min(room, run.copies);
                room -= taken;
                if (taken != 0)
                    front.push_back({run.of, taken});
                if (taken != run.copies)
                    back.push_back({run.of, run.copies - taken});
            }
            halved.add(front, cut);
            halved.add(back, cut);
        }
        if (missing == before) {
            halved.add({}, missing);
            missing = 0;
        }
        from = std::move(halved);
    }
    return from;
}

template <std::ranges::random_access_range Lengths, class Method>
constexpr bool pack_lengths(const Lengths& lengths, const packing_options& options, const Method& method, packing& packed,
                            error& reason)
{
    piece_rule rule;
    if (!make_rule(options, rule, reason))
        return false;
    piece_list<Lengths> pieces(lengths, rule);
    if (!pieces.make(options, reason))
        return false;
    buffer_vector<std::uint32_t> order(pieces.size(), 0);
    pieces.order(order);
    bin_problem problem;
    std::vector<std::size_t> next;  // of each class, the place in `order` of its first piece that is in no bin
    for (std::size_t end = order.size(); end > 0;) {
        const std::size_t size = pieces.slots(order[end - 1]);
        const auto first = std::partition_point(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(end),
                                                [&](std::uint32_t i) { return pieces.slots(i) < size; });
        const auto begin = static_cast<std::size_t>(first - order.begin());
        if (!problem.add(size, end - begin))
            return fail(reason, error::of(errors::size_overflow, size, end - begin));
        next.push_back(begin);
        end = begin;
    }
    set_limits(problem, options, rule);
    if (!check_slots(problem, options, reason))
        return false;
    packed.bounds = find_bounds(problem);
    const pattern_list patterns = method(problem, packed.bounds);
    packed.capacity = options.capacity;
    packed.slot_multiple = options.slot_multiple;
    packed.pieces.reserve(pieces.size());
    packed.offsets.reserve(static_cast<std::size_t>(patterns.bins()) + 1);
    for (std::size_t p = 0; p < patterns.size(); ++p)
        for (std::uint64_t b = 0; b < patterns.count(p); ++b) {
            for (const class_run& run : patterns.runs(p))
                for (std::uint64_t k = 0; k < run.copies; ++k)
                    packed.pieces.push_back(pieces[order[next[run.of]++]]);
            packed.offsets.push_back(packed.pieces.size());
        }
    round_up_bins(packed.offsets, options.bins_multiple);
    return true;
}

template <class Method>
constexpr bool pack_histogram(const histogram& lengths, const packing_options& options, const Method& method,
                              pattern_packing& packed, error& reason)
{
    piece_rule rule;
    if (!make_rule(options, rule, reason))
        return false;
    if (options.over == over_capacity::is_error && lengths.longest() > rule.longest)
        return fail(reason, error::of(errors::row_over_limit, lengths.longest(), rule.longest));
    // Pieces of a cut: whole ones, and the rest of each.
    std::vector<histogram::bin> cut;
    std::uint64_t whole = 0;
    for (const histogram::bin& b : lengths.bins()) {
        const std::size_t pieces = rule.pieces(b.length);
        if (pieces - 1 > (std::numeric_limits<std::uint64_t>::max() - whole) / b.count)
            return fail(reason, error::of(errors::size_overflow, pieces, b.count));
        whole += b.count * (pieces - 1);
        cut.push_back({b.length - (pieces - 1) * rule.step, b.count});
    }
    cut.push_back({rule.longest, whole});
    const result<histogram> all = histogram::try_from_bins(std::move(cut));
    if (!all)
        return fail(reason, all.error());
    bin_problem problem;
    for (std::size_t i = all->bins().size(); i-- > 0;) {
        const histogram::bin& b = all->bins()[i];
        const std::size_t size = rule.slots_of(b.length);
        if (!problem.add(size, b.count))
            return fail(reason, error::of(errors::size_overflow, size, b.count));
    }
    set_limits(problem, options, rule);
    if (!check_slots(problem, options, reason))
        return false;
    packed.bounds = find_bounds(problem);
    packed.capacity = options.capacity;
    const pattern_list patterns = with_bins_rounded_up(method(problem, packed.bounds), options.bins_multiple);
    std::vector<bin_pattern::run> runs;
    for (std::size_t p = 0; p < patterns.size(); ++p) {
        runs.clear();
        for (const class_run& run : patterns.runs(p))
            runs.push_back({problem.classes[run.of].slots * options.slot_multiple, run.copies});
        packed.add(runs, patterns.count(p));
    }
    return true;
}

}  // namespace detail

// ---- packers ----------------------------------------------------------------------------------------------------------------

// Next fit: sequences stay in their order; one that does not fit closes the bin.
//
// Errors   a zero capacity, max_per_bin, slot_multiple or bins_multiple; a capacity that holds no slot, or of one token with
//          overlap; a negative length (row, length) or one over the capacity (row, length, tokens that a bin holds); more
//          sequences, or longer ones, than a piece counts.
// Cost     O(n).
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<packing> try_pack_next_fit(const Lengths& lengths, const packing_options& options)
{
    error reason;
    detail::piece_rule rule;
    if (!detail::make_rule(options, rule, reason))
        return reason;
    detail::piece_list<Lengths> pieces(lengths, rule);
    if (!pieces.make(options, reason))
        return reason;
    packing packed;
    if (!detail::find_bounds_of(pieces, options, rule, packed.bounds, reason))
        return reason;
    packed.capacity = options.capacity;
    packed.slot_multiple = options.slot_multiple;
    packed.pieces.reserve(pieces.size());
    std::size_t free = rule.slots;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const std::size_t size = pieces.slots(i);
        if (i != 0 && (size > free || packed.pieces.size() - packed.offsets.back() == options.max_per_bin)) {
            packed.offsets.push_back(i);
            free = rule.slots;
        }
        free -= size;
        packed.pieces.push_back(pieces[i]);
    }
    if (!packed.pieces.empty())
        packed.offsets.push_back(packed.pieces.size());
    detail::round_up_bins(packed.offsets, options.bins_multiple);
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr packing pack_next_fit(const Lengths& lengths, const packing_options& options)
{
    return try_pack_next_fit(lengths, options).value();
}

// Best fit decreasing: longest first, each into the bin with the least space that holds it; equal lengths in their order.
//
// Errors   those of next fit; a capacity over 64 Mi slots, where the sequences together are longer than that.
// Cost     O(n + longest + capacity), the lengths are sorted by counting; of a histogram O(distinct lengths + capacity) and
//          what patterns there are, whatever n is.
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<packing> try_pack_best_fit(const Lengths& lengths, const packing_options& options)
{
    packing packed;
    error reason;
    if (!detail::pack_lengths(lengths, options, detail::best_fit_method{}, packed, reason))
        return reason;
    return packed;
}
[[nodiscard]] constexpr result<pattern_packing> try_pack_best_fit(const histogram& lengths, const packing_options& options)
{
    pattern_packing packed;
    error reason;
    if (!detail::pack_histogram(lengths, options, detail::best_fit_method{}, packed, reason))
        return reason;
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr packing pack_best_fit(const Lengths& lengths, const packing_options& options)
{
    return try_pack_best_fit(lengths, options).value();
}
[[nodiscard]] constexpr pattern_packing pack_best_fit(const histogram& lengths, const packing_options& options)
{
    return try_pack_best_fit(lengths, options).value();
}

}  // namespace batten::plan

#endif
