// SPDX-License-Identifier: MIT
// The tight packer: bins filled to the brim, by patterns that column generation finds on the histogram.
#ifndef BATTEN_PLAN_TIGHT_HPP_INCLUDED
#define BATTEN_PLAN_TIGHT_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/edges.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

namespace detail {

// Steps that may still be made, so that time is bounded without a clock and the result the same on every machine.
class step_budget {
public:
    constexpr explicit step_budget(std::uint64_t steps) : left_(steps) {}
    constexpr void spend(std::uint64_t steps) { left_ -= std::min(left_, steps); }
    [[nodiscard]] constexpr bool is_spent() const { return left_ == 0; }

private:
    std::uint64_t left_;
};

// The most valuable bins: for duals in fixed point, dynamic programming over the slots of a bin, exact.
class bin_pricer {
public:
    constexpr bin_pricer(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), slots_(slots), depth_(depth)
    {
    }

    // Prices bins; true where the limit of pieces has been kept, which it is on the second, slower way at the latest.
    constexpr void price(std::span<const std::int64_t> values, step_budget& budget)
    {
        // A class that is no smaller and no more valuable than another is in no best bin.
        active_.clear();
        std::int64_t most = 0;
        for (std::size_t c = classes_.size(); c-- > 0;)
            if (values[c] > most) {
                active_.push_back({classes_[c].slots, values[c], static_cast<std::uint32_t>(c)});
                most = values[c];
            }
        layers_ = 1;
        value_.assign(slots_ + 1, 0);
        last_.assign(slots_ + 1, none);
        for (std::size_t s = 1; s <= slots_; ++s) {
            std::int64_t best = value_[s - 1];
            std::uint32_t last = none;
            for (std::uint32_t a = 0; a < active_.size() && active_[a].slots <= s; ++a)
                if (const std::int64_t v = value_[s - active_[a].slots] + active_[a].value; v > best) {
                    best = v;
                    last = a;
                }
            value_[s] = best;
            last_[s] = last;
        }
        budget.spend(active_.size() * slots_ / 2 + slots_);
        if (pieces_of_best() > depth_)
            price_by_layers(budget);
    }

    [[nodiscard]] constexpr std::int64_t best() const { return value_.back(); }

    // The best bin, and for each class the best bin that it is in, most valuable first.
    template <class Visit>
    constexpr void visit(std::int64_t least, Visit visit)
    {
        std::vector<std::pair<std::int64_t, std::uint32_t>> firsts;
        const std::int64_t* const below = value_.data() + (layers_ == 1 ? 0 : (layers_ - 2) * (slots_ + 1));
        for (std::uint32_t a = 0; a < active_.size(); ++a)
            if (const std::int64_t v = below[slots_ - active_[a].slots] + active_[a].value; v > least)
                firsts.emplace_back(-v, a);
        std::sort(firsts.begin(), firsts.end());
        std::vector<class_run> runs;
        for (const auto& [value, a] : firsts) {
            std::uint64_t pieces = trace(a, runs);
            if (pieces <= depth_)
                visit(std::span<const class_run>(runs));
        }
    }

private:
    static constexpr std::uint32_t none = static_cast<std::uint32_t>(-1);

    struct priced {
        std::size_t slots = 0;
        std::int64_t value = 0;
        std::uint32_t of = 0;
    };

    // Layer k: bins of at most k + 1 pieces (layer 0 of an empty bin is left out).
    constexpr void price_by_layers(step_budget& budget)
    {
        layers_ = static_cast<std::size_t>(depth_);
        const std::size_t row = slots_ + 1;
        value_.assign(layers_ * row, 0);
        last_.assign(layers_ * row, none);
        for (std::size_t k = 0; k < layers_; ++k)
            for (std::size_t s = 1; s <= slots_; ++s) {
                std::int64_t best = value_[k * row + s - 1];
                std::uint32_t last = none;
                for (std::uint32_t a = 0; a < active_.size() && active_[a].slots <= s; ++a) {
                    const std::int64_t rest = k == 0 ? 0 : value_[(k - 1) * row + s - active_[a].slots];
                    if (rest + active_[a].value > best) {
                        best = rest + active_[a].value;
                        last = a;
                    }
                }
                value_[k * row + s] = best;
                last_[k * row + s] = last;
            }
        budget.spend(layers_ * (active_.size() * slots_ / 2 + slots_));
    }

    constexpr std::uint64_t pieces_of_best() const
    {
        std::uint64_t pieces = 0;
        for (std::size_t s = slots_; s > 0;) {
            if (last_[s] == none) {
                --s;
            } else {
                s -= active_[last_[s]].slots;
                ++pieces;
            }
        }
        return pieces;
    }

    constexpr std::uint64_t trace(std::uint32_t first, std::vector<class_run>& runs) const
    {
        std::vector<std::uint32_t> found{active_[first].of};
        std::size_t s = slots_ - active_[first].slots;
        const bool layered = layers_ > 1;
        std::size_t k = layered ? layers_ - 1 : 1;  // pieces left, of layers
        while (s > 0 && k > 0) {
            const std::uint32_t a = last_[(layered ? (k - 1) * (slots_ + 1) : 0) + s];
            if (a == none) {
                --s;
                continue;
            }
            found.push_back(active_[a].of);
            s -= active_[a].slots;
            k -= layered ? 1 : 0;
        }
        std::sort(found.begin(), found.end());
        runs.clear();
        for (const std::uint32_t c : found)
            if (!runs.empty() && runs.back().of == c)
                ++runs.back().copies;
            else
                runs.push_back({c, 1});
        return found.size();
    }

    std::span<const size_class> classes_;
    std::size_t slots_;
    std::uint64_t depth_;
    std::size_t layers_ = 1;
    std::vector<priced> active_{};  // smallest first
    std::vector<std::int64_t> value_{};
    std::vector<std::uint32_t> last_{};
};

// The relaxation of Gilmore and Gomory: as few bins as cover every class, numbers of bins being fractions. Columns come from
// the pricer, the basis is an explicit inverse. Whatever rounding does to it, the bound is a bound: see bound().
class column_generation {
public:
    struct column {
        std::vector<class_run> runs{};
        double bins = 0;
    };

    column_generation(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), pricer_(classes, slots, depth), slots_(slots), rows_(classes.size()), pitch_((rows_ + 7) / 8 * 8)
    {
        inverse_.assign(rows_ * pitch_, 0.0);
        duals_.assign(pitch_, 0.0);
        std::uint64_t pieces = 0;
        for (std::size_t r = 0; r < rows_; ++r) {
            const std::uint64_t copies = std::min<std::uint64_t>(slots / classes[r].slots, depth);
            columns_.push_back({{{static_cast<std::uint32_t>(r), copies}},
                                static_cast<double>(classes[r].count) / static_cast<double>(copies)});
            inverse_[r * pitch_ + r] = 1.0 / static_cast<double>(copies);
            duals_[r] = 1.0 / static_cast<double>(copies);
            pieces += classes[r].count;
        }
        shift_ = std::min(32, 62 - static_cast<int>(std::bit_width(pieces)));
    }

    void solve(step_budget& budget)
    {
        std::vector<std::int64_t> values(rows_, 0);
        const double one = static_cast<double>(std::int64_t{1} << shift_);
        // The slots of a piece are close to what it is worth, and the prices of a basis jump far from it: between the two lie
        // prices at which better columns are found.
        std::vector<double> center(rows_, 0.0);
        for (std::size_t r = 0; r < rows_; ++r)
            center[r] = static_cast<double>(classes_[r].slots) / static_cast<double>(slots_);
        double trust = 0.9;
        while (!budget.is_spent()) {
            while (drop_negative_dual(budget)) {
            }
            std::uint64_t worth = 0;
            for (std::size_t r = 0; r < rows_; ++r) {
                const double price = trust * center[r] + (1 - trust) * duals_[r];
                values[r] = static_cast<std::int64_t>(std::clamp(price, 0.0, 1.0) * one);
                worth += static_cast<std::uint64_t>(values[r]) * classes_[r].count;
            }
            pricer_.price(values, budget);
            // Values divided by the best bin's are a solution of the dual program, exactly: no bin is worth more than 1.
            const auto best = static_cast<std::uint64_t>(std::max<std::int64_t>(pricer_.best(), 1));
            const double reached = static_cast<double>(worth) / static_cast<double>(best);
            bound_ = std::max(bound_, worth / best + (worth % best != 0 ? 1 : 0));
            if (reached > reached_) {
                reached_ = reached;
                for (std::size_t r = 0; r < rows_; ++r)
                    center[r] = static_cast<double>(values[r]) / static_cast<double>(best);
            }
            if (static_cast<double>(bound_) >= bins() - 1e-6)
                return;
            bool better = false;
            pricer_.visit(0, [&](std::span<const class_run> runs) { better |= enter(runs, budget); });
            ++rounds;
            if (trace) std::printf("  %zu piv %zu lp %.5f reached %.5f trust %.3f\n", rounds, pivots, bins(), reached_, trust);
            if (!better && trust == 0)
                return;
            trust = better ? trust0 : trust > 0.1 ? trust * 0.7 : 0;
        }
    }
    double reached_ = 0, trust0 = 0.9; bool trace = false;

    // No packing has fewer bins.
    std::uint64_t bound() const { return bound_; }
    const std::vector<column>& columns() const { return columns_; }
    double bins() const
    {
        double sum = 0;
        for (const column& c : columns_)
            sum += c.runs.empty() ? 0 : c.bins;
        return sum;
    }
    std::size_t rounds = 0, pivots = 0;

private:
    static constexpr double small = 1e-9;

    // A surplus of pieces that are covered too often enters where a dual is negative.
    bool drop_negative_dual(step_budget& budget)
    {
        const auto least = std::min_element(duals_.begin(), duals_.begin() + static_cast<std::ptrdiff_t>(rows_));
        if (budget.is_spent() || *least > -1e-7)
            return false;
        const auto r = static_cast<std::size_t>(least - duals_.begin());
        direction_.assign(rows_, 0.0);
        for (std::size_t i = 0; i < rows_; ++i)
            direction_[i] = -inverse_[i * pitch_ + r];
        return pivot({}, -*least, budget);
    }

    bool enter(std::span<const class_run> runs, step_budget& budget)
    {
        double worth = 0;
        for (const class_run& run : runs)
            worth += duals_[run.of] * static_cast<double>(run.copies);
        if (budget.is_spent() || worth < 1 + 1e-7)
            return false;
        direction_.assign(rows_, 0.0);
        for (std::size_t i = 0; i < rows_; ++i)
            for (const class_run& run : runs)
                direction_[i] += inverse_[i * pitch_ + run.of] * static_cast<double>(run.copies);
        return pivot(runs, worth - 1, budget);
    }

    // Brings a column into the basis for the one that falls to 0 first; `gain` is what a bin of it is worth beyond its cost.
    bool pivot(std::span<const class_run> runs, double gain, step_budget& budget)
    {
        std::size_t out = rows_;
        double least = 0;
        for (std::size_t i = 0; i < rows_; ++i) {
            if (direction_[i] <= small)
                continue;
            const double ratio = columns_[i].bins / direction_[i];
            if (out == rows_ || ratio < least || (ratio == least && direction_[i] > direction_[out])) {
                out = i;
                least = ratio;
            }
        }
        if (out == rows_)
            return false;
        ++pivots;
        double* const leaving = inverse_.data() + out * pitch_;
        const double scale = 1.0 / direction_[out];
        for (std::size_t j = 0; j < pitch_; ++j)
            leaving[j] *= scale;
        std::uint64_t touched = 1;
        for (std::size_t i = 0; i < rows_; ++i) {
            if (i == out || direction_[i] == 0)
                continue;
            subtract(inverse_.data() + i * pitch_, leaving, direction_[i]);
            columns_[i].bins = std::max(0.0, columns_[i].bins - least * direction_[i]);
            ++touched;
        }
        subtract(duals_.data(), leaving, gain);
        columns_[out] = {{runs.begin(), runs.end()}, least};
        budget.spend(touched * pitch_ / 2);
        return true;
    }

    // In blocks of 8, which compilers turn into vector code at -O2.
    void subtract(double* from, const double* row, double factor) const
    {
        for (std::size_t j = 0; j < pitch_; j += 8)
            for (std::size_t k = 0; k < 8; ++k)
                from[j + k] -= factor * row[j + k];
    }

    std::span<const size_class> classes_;
    bin_pricer pricer_;
    std::size_t slots_;
    std::size_t rows_;
    std::size_t pitch_;
    int shift_ = 0;
    std::uint64_t bound_ = 0;
    std::vector<double> inverse_{};    // of the basis, [rows, pitch]
    std::vector<double> duals_{};      // what a piece of each class is worth, in bins
    std::vector<double> direction_{};  // how much of each column of the basis a bin of the new one takes the place of
    std::vector<column> columns_{};    // the basis; one without runs is a surplus
};

// Fills bins from the largest piece left on, each as full as the pieces left allow: exact, by the sums that they reach (a bit
// for each). Of several ways to a sum, the one with the larger pieces, so that small ones stay for later bins.
class subset_filler {
public:
    explicit subset_filler(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), slots_(slots), depth_(depth), words_(slots / 64 + 1)
    {
    }

    // Packs `left` of each class. Returns false, and leaves the rest in `left`, where the budget is spent.
    bool fill(std::vector<std::uint64_t>& left, pattern_list& packed, step_budget& budget)
    {
        std::vector<class_run> runs;
        reach_.assign((classes_.size() + 1) * words_, 0);
        std::size_t first = 0;
        std::size_t fresh = 0;  // classes from here on have changed since their sums were found
        while (true) {
            while (first < classes_.size() && left[first] == 0)
                ++first;
            if (first == classes_.size())
                return true;
            if (budget.is_spent())
                return false;
            find_sums(left, first, budget);
            fill_one(left, first, runs);
            std::uint64_t bins = left[first];
            for (const class_run& run : runs)
                bins = std::min(bins, left[run.of] / run.copies);
            for (const class_run& run : runs)
                left[run.of] -= bins * run.copies;
            packed.add(runs, bins);
        }
        (void)fresh;
    }

private:
    // reach_[c]: sums of pieces of class c and after.
    void find_sums(const std::vector<std::uint64_t>& left, std::size_t first, step_budget& budget)
    {
        std::uint64_t* after = reach_.data() + classes_.size() * words_;
        std::fill_n(after, words_, 0);
        after[0] = 1;
        std::uint64_t steps = 0;
        for (std::size_t c = classes_.size(); c-- > first;) {
            std::uint64_t* const here = reach_.data() + c * words_;
            std::copy_n(after, words_, here);
            std::uint64_t copies = std::min<std::uint64_t>(left[c], slots_ / classes_[c].slots);
            for (std::uint64_t part = 1; copies != 0; part *= 2) {
                const std::uint64_t now = std::min(part, copies);
                copies -= now;
                shift_or(here, static_cast<std::size_t>(now) * classes_[c].slots);
                ++steps;
            }
            ++steps;
            after = here;
        }
        budget.spend(steps * words_);
    }

    void shift_or(std::uint64_t* sums, std::size_t by) const
    {
        const std::size_t words = by / 64;
        const std::size_t bits = by % 64;
        for (std::size_t w = words_; w-- > words;) {
            std::uint64_t moved = sums[w - words] << bits;
            if (bits != 0 && w > words)
                moved |= sums[w - words - 1] >> (64 - bits);
            sums[w] |= moved;
        }
    }
    bool reaches(std::size_t c, std::size_t sum) const { return (reach_[c * words_ + sum / 64] >> sum % 64 & 1U) != 0; }

    void fill_one(const std::vector<std::uint64_t>& left, std::size_t first, std::vector<class_run>& runs) const
    {
        // The fullest bin with a piece of the first class in it.
        std::size_t sum = slots_;
        std::size_t rest = 0;
        std::uint64_t pieces = 1;
        for (;; --sum) {
            rest = sum - classes_[first].slots;
            if (reaches(first, sum) && holds_first(left, first, rest))
                break;
        }
        runs.assign(1, {static_cast<std::uint32_t>(first), 1});
        for (std::size_t c = first; c < classes_.size() && rest != 0 && pieces < depth_; ++c) {
            const std::uint64_t here = left[c] - (c == first ? 1 : 0);
            std::uint64_t copies = std::min({here, std::uint64_t{rest / classes_[c].slots}, depth_ - pieces});
            while (copies != 0 && !reaches(c + 1, rest - static_cast<std::size_t>(copies) * classes_[c].slots))
                --copies;
            if (copies == 0)
                continue;
            rest -= static_cast<std::size_t>(copies) * classes_[c].slots;
            pieces += copies;
            if (c == first)
                runs.front().copies += copies;
            else
                runs.push_back({static_cast<std::uint32_t>(c), copies});
        }
    }
    // Whether `rest` can be reached with one piece of the first class fewer.
    bool holds_first(const std::vector<std::uint64_t>& left, std::size_t first, std::size_t rest) const
    {
        const std::size_t size = classes_[first].slots;
        for (std::uint64_t k = 0; k < left[first] && k * size <= rest; ++k)
            if (reaches(first + 1, rest - static_cast<std::size_t>(k) * size))
                return true;
        return false;
    }

    std::span<const size_class> classes_;
    std::size_t slots_;
    std::uint64_t depth_;
    std::size_t words_;
    std::vector<std::uint64_t> reach_{};
};

}  // namespace detail

}  // namespace batten::plan

#endif
