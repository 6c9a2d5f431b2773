// SPDX-License-Identifier: MIT
// Random batches against the model, for every combination of policies.

#include "reference.hpp"

#include <string>

namespace {

using batten::target_alignment;
using tests::below;
using tests::random;
using tests::sample;

constexpr target_alignment alignments[] = {batten::same_position, batten::model_shifts, batten::next_token,
                                           batten::next_token_drop_last};
constexpr long long pad_id = 3;  // a real token as well: the ids below are 0 to 9
constexpr long long ignore_index = -7;

// Up to seven sequences around the limit of the batch: empty ones, exact fits and one over among them.
std::vector<sample> random_samples(random& any, std::size_t limit, bool may_be_over)
{
    const std::size_t usual = limit == batten::no_limit ? 40 : limit;
    const std::size_t most = may_be_over ? usual + 1 + below(any, usual) : usual;
    std::vector<sample> samples(below(any, 8));
    for (sample& s : samples) {
        const std::size_t kind = below(any, 6);
        s.ids.resize(kind == 0 ? 0 : kind == 1 ? usual : below(any, most + 1));
        for (long long& id : s.ids)
            id = static_cast<long long>(below(any, 10));
        s.prompt = below(any, 3) == 0 ? 0 : below(any, s.ids.size() + 1);
        s.loss.resize(s.ids.size());
        for (long long& entry : s.loss)
            entry = static_cast<long long>(below(any, 3));
    }
    return samples;
}

// What a call gave is the model's batch, or the model's error.
template <class Result, class Batch>
bool is_expected(const Result& result, const Batch& batch, const tests::expected_batch& expected)
{
    if (expected.code)
        return !result.has_value() && result.error().code == expected.code && result.error().row == expected.error_row;
    return result.has_value() && result->summary == expected.totals() && tests::is_batch(batch, expected);
}

// ---- every side x every length strategy x every overflow policy, alignments and prompts at random ---------------------

template <class Side, class Length, class Overflow>
void policies_agree_with_the_model(std::uint64_t seed)
{
    random any(seed);
    using collator =
        batten::collator<typename Side::type, typename Length::type, typename Overflow::type, tests::modelled_fields>;
    typename collator::batch_type batch;  // reused by all, so that what a larger batch left behind would be seen
    constexpr int rounds = 48;
    int good = 0;
    int bad = 0;
    for (int round = 0; round < rounds; ++round) {
        const Length length(any);
        const target_alignment alignment = alignments[below(any, 4)];
        std::vector<sample> samples =
            random_samples(any, length.limit(), !std::is_same_v<Overflow, tests::reject_case> || round % 4 == 0);
        tests::ragged ids;
        std::vector<std::size_t> prompts;
        for (sample& s : samples) {
            ids.emplace_back(s.ids.begin(), s.ids.end());
            prompts.push_back(s.prompt);
            s.loss.clear();
        }
        const collator collate{
            {.pad_id = pad_id, .length = length.make(), .side = {}, .targets = alignment, .ignore_index = ignore_index}};
        const auto expected = tests::model_batch<Side, Overflow>(samples, length, alignment, pad_id, ignore_index);
        const auto result = collate.try_collate(batten::inputs{ids, prompts}, batch);
        (is_expected(result, batch, expected) ? good : bad) += 1;
    }
    CHECK(good == rounds);
    CHECK(bad == 0);
}

template <class Side, class Length>
void overflow_policies_agree(std::uint64_t seed)
{
    policies_agree_with_the_model<Side, Length, tests::reject_case>(seed);
    policies_agree_with_the_model<Side, Length, tests::truncate_right_case>(seed + 1);
    policies_agree_with_the_model<Side, Length, tests::truncate_left_case>(seed + 2);
    policies_agree_with_the_model<Side, Length, tests::middle_case>(seed + 3);
}

template <class Length>
void sides_agree(std::uint64_t seed)
{
    overflow_policies_agree<tests::right_case, Length>(seed);
    overflow_policies_agree<tests::left_case, Length>(seed + 10);
    overflow_policies_agree<tests::centred_case, Length>(seed + 20);
}

TEST_CASE("fixed widths agree with the model, on every side and with every overflow policy")
{
    sides_agree<tests::fixed_case>(1000);
    sides_agree<tests::static_case<7>>(2000);
}
TEST_CASE("dynamic widths agree with the model, on every side and with every overflow policy")
{
    sides_agree<tests::dynamic_case>(3000);
    sides_agree<tests::dynamic_max_case>(4000);
}
TEST_CASE("a ladder's widths agree with the model, on every side and with every overflow policy")
{
    sides_agree<tests::bucketed_case>(5000);
}
TEST_CASE("widths rounded up agree with the model, over every strategy, on every side and with every overflow policy")
{
    sides_agree<tests::round_up_case<8, tests::fixed_case>>(6000);
    sides_agree<tests::round_up_case<64, tests::static_case<65>>>(7000);
    sides_agree<tests::round_up_case<3, tests::dynamic_case>>(8000);
    sides_agree<tests::round_up_case<8, tests::dynamic_max_case>>(9000);
    sides_agree<tests::round_up_case<4, tests::bucketed_case>>(10000);
}
TEST_CASE("widths rounded up twice agree with the model, on every side and with every overflow policy")
{
    sides_agree<tests::round_up_case<16, tests::round_up_case<6, tests::dynamic_max_case>>>(11000);
}

}  // namespace
