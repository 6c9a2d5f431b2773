// SPDX-License-Identifier: MIT
// The tight packer: bins filled to the brim, by patterns that column generation finds on the histogram.
#ifndef BATTEN_PLAN_TIGHT_HPP_INCLUDED
#define BATTEN_PLAN_TIGHT_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

namespace detail {

// Steps of inner loops that may still be made: time is bounded without a clock, and the result the same on a slow machine.
class step_budget {
public:
    explicit step_budget(std::uint64_t steps) : left_(steps) {}
    void spend(std::uint64_t steps) { left_ -= std::min(left_, steps); }
    bool is_spent() const { return left_ == 0; }

private:
    std::uint64_t left_;
};

// ---- the bins that are worth most -------------------------------------------------------------------------------------------

// A knapsack by dynamic programming over the slots of a bin, exact: values are integers. Any number of pieces of a class.
class bin_pricer {
public:
    bin_pricer(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), slots_(slots), depth_(depth)
    {
    }

    void price(std::span<const std::int64_t> values, step_budget& budget)
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
        clear();
        for (std::size_t s = 1; s <= slots_; ++s)
            choose(s, value_.data());
        budget.spend(cost_of_layer());
        if (pieces_of_best() > depth_)
            price_by_layers(budget);
    }

    std::int64_t best() const { return value_.back(); }

    // For each class the best bin that it is in, most valuable first.
    template <class Visit>
    void visit(Visit visit) const
    {
        std::vector<std::pair<std::int64_t, std::uint32_t>> firsts;
        const std::int64_t* const rest = value_.data() + (layers_ == 1 ? 0 : (layers_ - 2) * row());
        for (std::uint32_t a = 0; a < active_.size(); ++a)
            firsts.emplace_back(-(rest[slots_ - active_[a].slots] + active_[a].value), a);
        std::sort(firsts.begin(), firsts.end());
        std::vector<class_run> runs;
        for (const auto& first : firsts)
            if (trace(first.second, runs) <= depth_ && !visit(std::span<const class_run>(runs)))
                return;
    }

private:
    static constexpr std::uint32_t none = static_cast<std::uint32_t>(-1);

    struct priced {
        std::size_t slots = 0;
        std::int64_t value = 0;
        std::uint32_t of = 0;
    };

    std::size_t row() const { return slots_ + 1; }
    std::uint64_t cost_of_layer() const { return active_.size() * slots_ / 2 + slots_; }
    void clear()
    {
        value_.assign(layers_ * row(), 0);
        last_.assign(layers_ * row(), none);
    }

    // The most that `at` slots hold (a place in value_, of the last layer so far), with one piece on top of `rest`.
    void choose(std::size_t at, const std::int64_t* rest)
    {
        const std::size_t s = at % row();
        std::int64_t best = value_[at - 1];
        std::uint32_t last = none;
        for (std::uint32_t a = 0; a < active_.size() && active_[a].slots <= s; ++a)
            if (const std::int64_t v = rest[s - active_[a].slots] + active_[a].value; v > best) {
                best = v;
                last = a;
            }
        value_[at] = best;
        last_[at] = last;
    }

    // Where the limit of pieces counts: layer k is of bins of at most k + 1 pieces.
    void price_by_layers(step_budget& budget)
    {
        layers_ = static_cast<std::size_t>(depth_);
        clear();
        const std::vector<std::int64_t> nothing(row(), 0);
        for (std::size_t k = 0; k < layers_; ++k)
            for (std::size_t s = 1; s <= slots_; ++s)
                choose(k * row() + s, k == 0 ? nothing.data() : value_.data() + (k - 1) * row());
        budget.spend(layers_ * cost_of_layer());
    }

    std::uint64_t pieces_of_best() const
    {
        std::uint64_t pieces = 0;
        for (std::size_t s = slots_; s > 0;) {
            pieces += last_[s] == none ? 0U : 1U;
            s -= last_[s] == none ? 1 : active_[last_[s]].slots;
        }
        return pieces;
    }

    // The pieces of the best bin that has `first` in it, and how many they are.
    std::uint64_t trace(std::uint32_t first, std::vector<class_run>& runs) const
    {
        std::vector<std::uint32_t> found{active_[first].of};
        std::size_t s = slots_ - active_[first].slots;
        for (std::size_t layer = layers_ == 1 ? 1 : layers_ - 1; s > 0 && layer > 0;) {
            const std::uint32_t a = last_[(layer - 1) * row() + s];
            s -= a == none ? 1 : active_[a].slots;
            if (a == none)
                continue;
            found.push_back(active_[a].of);
            layer -= layers_ == 1 ? 0 : 1;
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

// ---- the relaxation ---------------------------------------------------------------------------------------------------------

// Gilmore and Gomory: as few bins as cover every class, numbers of bins being fractions. A simplex with an explicit inverse,
// its columns from the pricer. It starts from loose pieces that are charged their share of a bin and a premium. So prices are
// near their final ones from the beginning; the premium grows for what is loose when no bin is worth more than it costs.
class column_generation {
public:
    enum class kind : unsigned char { bin, loose, surplus };
    struct column {
        kind of = kind::bin;
        std::uint32_t row = 0;          // the class, of a loose piece
        std::vector<class_run> runs{};  // of a bin
        double amount = 0;
    };

    column_generation(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), pricer_(classes, slots, depth), rows_(classes.size()), row_stride_((rows_ + 7) / 8 * 8)
    {
        inverse_.assign(rows_ * row_stride_, 0.0);
        duals_.assign(row_stride_, 0.0);
        std::uint64_t pieces = 0;
        for (std::size_t r = 0; r < rows_; ++r) {
            columns_.push_back({kind::loose, static_cast<std::uint32_t>(r), {}, static_cast<double>(classes[r].count)});
            inverse_[r * row_stride_ + r] = 1;
            const double share = std::max(static_cast<double>(classes[r].slots) / static_cast<double>(slots),
                                          1 / static_cast<double>(depth));
            premium_.push_back(0.03);
            cost_.push_back(std::min(1.0, share * (1 + premium_[r])));
            duals_[r] = cost_[r];
            pieces += classes[r].count;
        }
        // Values in fixed point, so that those of all pieces fit 62 bits.
        one_ = std::exp2(std::min(32, 62 - static_cast<int>(std::bit_width(pieces))));
    }

    // Until the value is that many times the bound, or the budget is spent.
    void solve(double enough_of_bound, step_budget& budget)
    {
        constexpr double most_noise = 0.01;
        double noise = most_noise;
        for (std::uint64_t round = 0; !budget.is_spent();) {
            while (enter_surplus(budget)) {
            }
            price(noise, round++, budget);
            if (static_cast<double>(bound_) * enough_of_bound >= value() - 1e-6 && !is_any_cheap())
                return;
            // Entering the best columns alone takes a tenth of the pivots of entering all that pay.
            const double enough = std::max(1e-6, 0.97 * (static_cast<double>(pricer_.best()) / one_ - 1));
            bool better = false;
            pricer_.visit([&](std::span<const class_run> runs) {
                better |= enter(runs, enough, budget);
                return !budget.is_spent();
            });
            if (better)
                noise = most_noise;
            else if (noise > 0)
                noise = noise > 0.1 * most_noise ? 0.3 * noise : 0;
            else if (!raise_premiums())
                return;
        }
    }

    // No packing has fewer bins.
    std::uint64_t bound() const { return bound_; }
    const std::vector<column>& columns() const { return columns_; }

private:
    double cost(const column& c) const { return c.of == kind::bin ? 1 : c.of == kind::loose ? cost_[c.row] : 0; }
    double value() const
    {
        double sum = 0;
        for (const column& c : columns_)
            sum += c.amount * cost(c);
        return sum;
    }

    // Prices bins at the duals, less a little noise: of many bins that are worth the same, other ones each round.
    // Divided by what the best bin is worth, any values are a solution of the dual program, and so their sum a bound. It is
    // computed in integers: no rounding of the simplex makes it wrong.
    void price(double noise, std::uint64_t round, step_budget& budget)
    {
        std::vector<std::int64_t> values;
        std::uint64_t worth = 0;
        for (std::size_t r = 0; r < rows_; ++r) {
            const double drawn = static_cast<double>(batten::detail::draw(round, r) >> 40U) * 0x1p-24;
            values.push_back(static_cast<std::int64_t>(std::clamp(duals_[r] * (1 - noise * drawn), 0.0, 1.0) * one_));
            worth += static_cast<std::uint64_t>(values[r]) * classes_[r].count;
        }
        pricer_.price(values, budget);
        const auto best = static_cast<std::uint64_t>(std::max<std::int64_t>(pricer_.best(), 1));
        bound_ = std::max(bound_, worth / best + (worth % best != 0 ? 1 : 0));
    }

    // Whether a piece is loose at less than a bin: then the value is not yet one of bins alone.
    bool is_any_cheap() const
    {
        return std::any_of(columns_.begin(), columns_.end(), [&](const column& c) { return is_cheap(c); });
    }
    bool is_cheap(const column& c) const { return c.of == kind::loose && c.amount > 1e-9 && cost_[c.row] < 1; }

    bool raise_premiums()
    {
        bool raised = false;
        for (std::size_t i = 0; i < rows_; ++i) {
            const column& c = columns_[i];
            if (!is_cheap(c))
                continue;
            const double before = cost_[c.row];
            cost_[c.row] = std::min(1.0, before * (1 + premium_[c.row]));
            premium_[c.row] *= 2;
            subtract(duals_.data(), inverse_.data() + i * row_stride_, before - cost_[c.row]);
            raised = true;
        }
        return raised;
    }

    // A surplus of pieces that are covered too often enters where a dual is negative.
    bool enter_surplus(step_budget& budget)
    {
        const auto least = std::min_element(duals_.begin(), duals_.begin() + static_cast<std::ptrdiff_t>(rows_));
        if (budget.is_spent() || *least > -1e-7)
            return false;
        const auto r = static_cast<std::size_t>(least - duals_.begin());
        direction_.assign(rows_, 0.0);
        for (std::size_t i = 0; i < rows_; ++i)
            direction_[i] = -inverse_[i * row_stride_ + r];
        return pivot({kind::surplus, 0, {}, 0}, -*least, budget);
    }

    bool enter(std::span<const class_run> runs, double enough, step_budget& budget)
    {
        double gain = -1;
        for (const class_run& run : runs)
            gain += duals_[run.of] * static_cast<double>(run.copies);
        if (gain < enough)
            return false;
        direction_.assign(rows_, 0.0);
        for (std::size_t i = 0; i < rows_; ++i)
            for (const class_run& run : runs)
                direction_[i] += inverse_[i * row_stride_ + run.of] * static_cast<double>(run.copies);
        return pivot({kind::bin, 0, {runs.begin(), runs.end()}, 0}, gain, budget);
    }

    // Brings a column into the basis for the one that falls to 0 first. direction_ says how much of each column of the basis it
    // takes the place of, `gain` what one of it is worth beyond its cost.
    bool pivot(column entering, double gain, step_budget& budget)
    {
        std::size_t out = rows_;
        for (std::size_t i = 0; i < rows_; ++i) {
            if (direction_[i] <= 1e-9)
                continue;
            const double ratio = columns_[i].amount / direction_[i];
            if (out == rows_ || ratio < entering.amount || (ratio == entering.amount && direction_[i] > direction_[out])) {
                out = i;
                entering.amount = ratio;
            }
        }
        if (out == rows_)
            return false;
        double* const leaving = inverse_.data() + out * row_stride_;
        const double scale = 1 / direction_[out];
        for (std::size_t j = 0; j < row_stride_; ++j)
            leaving[j] *= scale;
        std::uint64_t touched = 1;
        for (std::size_t i = 0; i < rows_; ++i) {
            if (i == out || direction_[i] == 0)
                continue;
            subtract(inverse_.data() + i * row_stride_, leaving, direction_[i]);
            columns_[i].amount = std::max(0.0, columns_[i].amount - entering.amount * direction_[i]);
            ++touched;
        }
        subtract(duals_.data(), leaving, gain);
        columns_[out] = std::move(entering);
        budget.spend(touched * row_stride_ / 2);
        return true;
    }

    // In blocks of 8, which compilers turn into vector code at -O2.
    void subtract(double* from, const double* row, double factor) const
    {
        for (std::size_t j = 0; j < row_stride_; j += 8)
            for (std::size_t k = 0; k < 8; ++k)
                from[j + k] -= factor * row[j + k];
    }

    std::span<const size_class> classes_;
    bin_pricer pricer_;
    std::size_t rows_;
    std::size_t row_stride_;  // of the inverse: rows, rounded up
    double one_ = 1;
    std::uint64_t bound_ = 0;
    std::vector<double> premium_{};    // on a loose piece of each class, when it is raised next
    std::vector<double> cost_{};       // of a loose piece of each class, in bins
    std::vector<column> columns_{};    // the basis
    std::vector<double> inverse_{};    // of the basis, [rows, row_stride]
    std::vector<double> duals_{};      // what a piece of each class is worth, in bins
    std::vector<double> direction_{};
};

// ---- bins by sums of what is left -------------------------------------------------------------------------------------------

// Fills bins from the largest piece left on, each as full as the pieces left allow, by the sums that they reach (a bit for
// each). Of several ways to a sum the one with the larger pieces, so that small ones stay for later bins.
class subset_filler {
public:
    subset_filler(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), slots_(slots), depth_(depth), words_(slots / 64 + 1)
    {
    }

    // Whether its tables have a reasonable size.
    bool is_practical() const { return classes_.size() * words_ <= std::size_t{1} << 22U; }

    // Packs `left` of each class; false where the budget ends first.
    bool fill(std::vector<std::uint64_t>& left, pattern_list& packed, step_budget& budget)
    {
        reach_.assign((classes_.size() + 1) * words_, 0);
        reach_[classes_.size() * words_] = 1;
        std::vector<class_run> runs;
        for (std::size_t first = 0; first < classes_.size();) {
            if (left[first] == 0) {
                ++first;
                continue;
            }
            find_sums(left, first, budget);
            if (budget.is_spent())
                return false;
            fill_one(left, first, runs);
            std::uint64_t bins = left[first];
            for (const class_run& run : runs)
                bins = std::min(bins, left[run.of] / run.copies);
            for (const class_run& run : runs)
                left[run.of] -= bins * run.copies;
            packed.add(runs, bins);
        }
        return true;
    }

private:
    // Sums of pieces of class c and after, for c from `first` on.
    void find_sums(const std::vector<std::uint64_t>& left, std::size_t first, step_budget& budget)
    {
        std::uint64_t shifts = 0;
        for (std::size_t c = classes_.size(); c-- > first;) {
            std::uint64_t* const sums = reach_.data() + c * words_;
            std::copy_n(sums + words_, words_, sums);
            std::uint64_t copies = std::min<std::uint64_t>(left[c], slots_ / classes_[c].slots);
            for (std::uint64_t part = 1; copies != 0; part *= 2) {
                const std::uint64_t now = std::min(part, copies);
                copies -= now;
                add_shifted(sums, static_cast<std::size_t>(now) * classes_[c].slots);
                ++shifts;
            }
        }
        budget.spend((shifts + classes_.size() - first) * words_);
    }

    // Every sum, and every sum + by, that is less than 64 * words_.
    void add_shifted(std::uint64_t* sums, std::size_t by) const
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

    // The fullest bin with a piece of the first class in it, up to `depth` pieces.
    void fill_one(const std::vector<std::uint64_t>& left, std::size_t first, std::vector<class_run>& runs) const
    {
        std::size_t rest = slots_ - classes_[first].slots;
        while (!reaches_with(left[first] - 1, first, rest))
            --rest;
        runs.assign(1, {static_cast<std::uint32_t>(first), 1});
        std::uint64_t pieces = 1;
        for (std::size_t c = first; c < classes_.size() && rest != 0 && pieces < depth_; ++c) {
            std::uint64_t copies =
                std::min({left[c] - (c == first ? 1 : 0), std::uint64_t{rest / classes_[c].slots}, depth_ - pieces});
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

    // Whether so many pieces of class c, and any after it, make up a sum.
    bool reaches_with(std::uint64_t copies, std::size_t c, std::size_t sum) const
    {
        for (std::uint64_t k = 0; k <= copies && k * classes_[c].slots <= sum; ++k)
            if (reaches(c + 1, sum - static_cast<std::size_t>(k) * classes_[c].slots))
                return true;
        return false;
    }

    std::span<const size_class> classes_;
    std::size_t slots_;
    std::uint64_t depth_;
    std::size_t words_;
    std::vector<std::uint64_t> reach_{};  // [classes + 1, words]
};

// ---- all together -----------------------------------------------------------------------------------------------------------

class tight_packer {
public:
    // Requires: no class of no slots.
    tight_packer(const bin_problem& problem, packing_bounds& bounds)
        : problem_(problem), bounds_(bounds), best_(best_fit_packer(problem).run())
    {
    }

    pattern_list run()
    {
        for (const size_class& c : problem_.classes)
            left_.push_back(c.count);
        if (is_optimal())
            return std::move(best_);
        finish({}, left_);
        for (int stage = 0; stage < most_stages && !is_optimal(); ++stage) {
            const std::size_t grain = choose_grain();
            if (grain == 1) {
                solve_exactly(stage == 0);
                break;
            }
            if (!solve_coarsely(grain))
                break;
            finish(packed_, left_);
        }
        return std::move(best_);
    }

private:
    static constexpr int most_stages = 4;
    static constexpr std::uint64_t most_steps = 500'000'000;      // of the relaxations
    static constexpr std::uint64_t most_fill_steps = 60'000'000;  // of filling what is left once
    static constexpr std::uint64_t most_tries = 24;
    static constexpr std::uint64_t most_try_steps = 100'000'000;  // of all tries to round
    static constexpr std::size_t most_rows = 600;  // of a relaxation
    static constexpr std::size_t most_coarse_rows = 300;
    static constexpr std::size_t most_cells = std::size_t{1} << 20U;  // rows * slots

    bool is_optimal() const { return best_.bins() <= bounds_.best(); }

    // Packs what is left beside `packed` in both ways, and keeps the better one if it is the best so far.
    void finish(const pattern_list& packed, const std::vector<std::uint64_t>& left, step_budget* shared = nullptr)
    {
        bin_problem rest;
        rest.slots = problem_.slots;
        rest.depth = problem_.depth;
        std::vector<std::uint32_t> of;
        for (std::size_t c = 0; c < left.size(); ++c)
            if (left[c] != 0) {
                static_cast<void>(rest.add(problem_.classes[c].slots, left[c]));
                of.push_back(static_cast<std::uint32_t>(c));
            }
        keep(packed, best_fit_packer(rest).run(), of);
        subset_filler filler(rest.classes, rest.slots, rest.depth);
        if (!filler.is_practical())
            return;
        std::vector<std::uint64_t> counts;
        for (const size_class& c : rest.classes)
            counts.push_back(c.count);
        pattern_list filled;
        step_budget own(most_fill_steps);
        if (filler.fill(counts, filled, shared != nullptr ? *shared : own))
            keep(packed, filled, of);
    }

    // `rest` counts classes that are left, of[i] is the i-th of them.
    void keep(const pattern_list& packed, const pattern_list& rest, const std::vector<std::uint32_t>& of)
    {
        if (packed.bins() + rest.bins() >= best_.bins())
            return;
        best_ = packed;
        std::vector<class_run> runs;
        for (std::size_t p = 0; p < rest.size(); ++p) {
            runs.assign(rest.runs(p).begin(), rest.runs(p).end());
            for (class_run& run : runs)
                run.of = of[run.of];
            best_.add(runs, rest.count(p));
        }
    }

    // Slots that count as one: 1 where the relaxation is small enough as it is.
    std::size_t choose_grain() const
    {
        const auto is_small = [&](std::size_t grain, std::size_t most) {
            std::size_t rows = 0;
            std::size_t last = 0;
            for (std::size_t c = 0; c < left_.size(); ++c)
                if (left_[c] != 0 && coarse(c, grain) != last) {
                    last = coarse(c, grain);
                    ++rows;
                }
            return rows <= most && rows * (problem_.slots / grain) <= most_cells / most_rows * most;
        };
        std::size_t grain = 1;
        if (is_small(grain, most_rows))
            return grain;
        while (!is_small(grain, most_coarse_rows))
            ++grain;
        return grain;
    }
    std::size_t coarse(std::size_t c, std::size_t grain) const
    {
        return std::clamp<std::size_t>((problem_.classes[c].slots + grain / 2) / grain, 1, problem_.slots / grain);
    }

    // Takes up to `bins` bins with these runs from what is left, and says how many.
    static std::uint64_t take(std::span<const class_run> runs, std::uint64_t bins, std::vector<std::uint64_t>& left)
    {
        for (const class_run& run : runs)
            bins = std::min(bins, left[run.of] / run.copies);
        for (const class_run& run : runs)
            left[run.of] -= bins * run.copies;
        return bins;
    }

    // The relaxation of what is left, rounded down; then, in several tries, ever more of its fractions up.
    void solve_exactly(bool of_everything)
    {
        std::vector<size_class> classes;
        std::vector<std::uint32_t> of;
        for (std::size_t c = 0; c < left_.size(); ++c)
            if (left_[c] != 0) {
                classes.push_back({problem_.classes[c].slots, left_[c]});
                of.push_back(static_cast<std::uint32_t>(c));
            }
        column_generation relaxation(classes, problem_.slots, problem_.depth);
        relaxation.solve(1, budget_);
        if (of_everything)
            bounds_.lp = relaxation.bound();
        std::vector<fraction> fractions;
        for (const column_generation::column& column : relaxation.columns()) {
            if (column.of != column_generation::kind::bin)
                continue;
            fraction f{column.runs, column.amount};
            for (class_run& run : f.runs)
                run.of = of[run.of];
            const std::uint64_t bins = take(f.runs, static_cast<std::uint64_t>(f.part + 1e-6), left_);
            if (bins != 0)
                packed_.add(f.runs, bins);
            f.part -= static_cast<double>(bins);
            fractions.push_back(std::move(f));
        }
        finish(packed_, left_);
        step_budget budget(most_try_steps);
        for (std::uint64_t i = 0; i < most_tries && !is_optimal() && !budget.is_spent(); ++i)
            round_up(fractions, i, budget);
    }

    struct fraction {
        std::vector<class_run> runs{};
        double part = 0;   // of a bin
        double order = 0;  // largest first
        std::size_t number = 0;
    };

    // The largest fractions first, in every try but the first with more and more noise.
    void round_up(std::vector<fraction> fractions, std::uint64_t number, step_budget& budget)
    {
        for (std::size_t f = 0; f < fractions.size(); ++f) {
            const double drawn = static_cast<double>(batten::detail::draw(number, f) >> 40U) * 0x1p-24;
            fractions[f].order = fractions[f].part + drawn * static_cast<double>(number) / static_cast<double>(most_tries);
            fractions[f].number = f;
        }
        std::sort(fractions.begin(), fractions.end(), [](const fraction& a, const fraction& b) {
            return a.order != b.order ? a.order > b.order : a.number < b.number;
        });
        pattern_list packed = packed_;
        std::vector<std::uint64_t> left = left_;
        std::size_t next = 0;
        for (std::size_t part = 1; part <= 8 && !is_optimal(); ++part) {
            for (; next < fractions.size() * part / 8; ++next)
                if (take(fractions[next].runs, 1, left) != 0)
                    packed.add(fractions[next].runs, 1);
            finish(packed, left, &budget);
        }
    }

    // ---- where there are too many classes: those of about the same size are one

    struct coarse_class {
        std::size_t begin = 0;  // classes [begin, end) of the problem
        std::size_t end = 0;
    };

    // The relaxation at a grain, rounded down; its bins are filled with pieces of the sizes that it says, give or take half a
    // grain, and a last one that fits what they leave. False where no bin came of it.
    bool solve_coarsely(std::size_t grain)
    {
        std::vector<size_class> classes;
        std::vector<coarse_class> members;
        for (std::size_t c = 0; c < left_.size(); ++c) {
            if (left_[c] == 0)
                continue;
            if (classes.empty() || classes.back().slots != coarse(c, grain)) {
                classes.push_back({coarse(c, grain), 0});
                members.push_back({c, c});
            }
            classes.back().count += left_[c];
            members.back().end = c + 1;
        }
        column_generation relaxation(classes, problem_.slots / grain, problem_.depth);
        relaxation.solve(1.0003, budget_);
        const std::uint64_t before = packed_.bins();
        for (const column_generation::column& column : relaxation.columns())
            if (column.of == column_generation::kind::bin)
                realize(column.runs, static_cast<std::uint64_t>(column.amount + 1e-6), classes, members, grain);
        return packed_.bins() != before;
    }

    void realize(std::span<const class_run> pattern, std::uint64_t bins, const std::vector<size_class>& classes,
                 const std::vector<coarse_class>& members, std::size_t grain)
    {
        std::size_t used = 0;
        for (const class_run& run : pattern)
            used += static_cast<std::size_t>(run.copies) * classes[run.of].slots;
        const std::size_t waste = (problem_.slots / grain - used + 2) * grain;
        std::vector<class_run> runs;
        for (bool largest = true; bins != 0;) {
            if (!find_members(pattern, members, largest, waste, runs) &&
                !find_members(pattern, members, !largest, waste, runs))
                return;
            const std::uint64_t taken = take(runs, bins, left_);
            packed_.add(runs, taken);
            bins -= taken;
            largest = !largest;
        }
    }

    // Pieces for one bin: from the large and from the small end of the classes in turn, so that they are of middling size
    // together, and last the largest piece that fits. False where more than `waste` slots would stay free.
    bool find_members(std::span<const class_run> pattern, const std::vector<coarse_class>& members, bool largest,
                      std::size_t waste, std::vector<class_run>& runs)
    {
        runs.clear();
        std::size_t space = problem_.slots;
        const auto add = [&](std::size_t c) {
            if (c == left_.size() || problem_.classes[c].slots > space)
                return false;
            space -= problem_.classes[c].slots;
            --left_[c];
            const auto same = std::find_if(runs.begin(), runs.end(), [&](const class_run& run) { return run.of == c; });
            if (same != runs.end())
                ++same->copies;
            else
                runs.push_back({static_cast<std::uint32_t>(c), 1});
            return true;
        };
        bool found = true;
        for (std::size_t r = 0; r < pattern.size() && found; ++r)
            for (std::uint64_t k = 0; k < pattern[r].copies && found; ++k) {
                const bool last = r + 1 == pattern.size() && k + 1 == pattern[r].copies;
                found = add(last ? largest_within(space) : member(members[pattern[r].of], largest));
                largest = !largest;
            }
        for (const class_run& run : runs)
            left_[run.of] += run.copies;
        std::sort(runs.begin(), runs.end(), [](const class_run& a, const class_run& b) { return a.of < b.of; });
        return found && space <= waste;
    }

    std::size_t member(const coarse_class& of, bool largest) const
    {
        for (std::size_t c = of.begin; c < of.end; ++c) {
            const std::size_t at = largest ? c : of.end - 1 - (c - of.begin);
            if (left_[at] != 0)
                return at;
        }
        return left_.size();
    }
    std::size_t largest_within(std::size_t space) const
    {
        const auto fits = std::partition_point(problem_.classes.begin(), problem_.classes.end(),
                                               [&](const size_class& c) { return c.slots > space; });
        auto c = static_cast<std::size_t>(fits - problem_.classes.begin());
        while (c < left_.size() && left_[c] == 0)
            ++c;
        return c;
    }

    const bin_problem& problem_;
    packing_bounds& bounds_;
    pattern_list best_;
    pattern_list packed_{};              // of the stages so far
    std::vector<std::uint64_t> left_{};  // of each class, in none of these bins
    step_budget budget_{most_steps};
};

// Puts pieces of no slots where there is room for their number.
inline pattern_list with_empty_pieces(const pattern_list& packed, class_run empty, std::uint64_t depth)
{
    pattern_list all;
    std::vector<class_run> runs;
    const auto add = [&](std::span<const class_run> before, std::uint64_t copies, std::uint64_t bins) {
        runs.assign(before.begin(), before.end());
        if (copies != 0)
            runs.push_back({empty.of, copies});
        if (bins != 0)
            all.add(runs, bins);
        empty.copies -= copies * bins;
    };
    for (std::size_t p = 0; p < packed.size(); ++p) {
        std::uint64_t room = depth;
        for (const class_run& run : packed.runs(p))
            room -= run.copies;
        const std::uint64_t full = room == 0 ? 0 : std::min(packed.count(p), empty.copies / room);
        add(packed.runs(p), room, full);
        const std::uint64_t rest = full == packed.count(p) ? 0 : empty.copies;
        add(packed.runs(p), std::min(rest, room), rest == 0 || room == 0 ? 0 : 1);
        add(packed.runs(p), 0, packed.count(p) - full - (rest == 0 || room == 0 ? 0 : 1));
    }
    add({}, depth, empty.copies / depth);
    add({}, empty.copies, empty.copies == 0 ? 0 : 1);
    return all;
}

struct tight_method {
    pattern_list operator()(const bin_problem& problem, packing_bounds& bounds) const
    {
        if (problem.classes.empty() || problem.classes.back().slots != 0)
            return tight_packer(problem, bounds).run();
        bin_problem some = problem;
        const std::uint64_t empty = some.classes.back().count;
        some.classes.pop_back();
        some.pieces -= empty;
        return with_empty_pieces(tight_packer(some, bounds).run(),
                                 {static_cast<std::uint32_t>(some.classes.size()), empty}, problem.depth);
    }
};

}  // namespace detail

// Bins filled to the brim: the relaxation of Gilmore and Gomory by column generation, rounded, and what that leaves packed by
// subset sums. On most lists as few bins as can be, never more than best fit; where best fit reaches a bound, that is returned.
// bounds.lp is there where the relaxation was solved on all lengths as they are: up to 600 of them, and 1 Mi lengths * slots.
//
// Errors   those of best fit.
// Cost     bounded by a number of steps, not by a clock: a few tenths of a second, about a second at the most, whatever n is;
//          for a list of lengths O(n) more.
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] result<packing> try_pack_tight(const Lengths& lengths, const packing_options& options)
{
    packing packed;
    error reason;
    if (!detail::pack_lengths(lengths, options, detail::tight_method{}, packed, reason))
        return reason;
    return packed;
}
[[nodiscard]] inline result<pattern_packing> try_pack_tight(const histogram& lengths, const packing_options& options)
{
    pattern_packing packed;
    error reason;
    if (!detail::pack_histogram(lengths, options, detail::tight_method{}, packed, reason))
        return reason;
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] packing pack_tight(const Lengths& lengths, const packing_options& options)
{
    return try_pack_tight(lengths, options).value();
}
[[nodiscard]] inline pattern_packing pack_tight(const histogram& lengths, const packing_options& options)
{
    return try_pack_tight(lengths, options).value();
}

}  // namespace batten::plan

#endif
