// SPDX-License-Identifier: MIT
// The relaxation of bin packing, by column generation: fractions of bins that cover every class of pieces.
#ifndef BATTEN_PLAN_DETAIL_COLUMN_GENERATION_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_COLUMN_GENERATION_HPP_INCLUDED

#include <batten/detail/random.hpp>
#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/detail/step_budget.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan::detail {

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

}  // namespace batten::plan::detail

#endif
