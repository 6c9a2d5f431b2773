// SPDX-License-Identifier: MIT
// Random batches against the model, for every kind of input and everything that may travel beside it, into memory of the
// caller's.

#include "reference.hpp"

namespace {

using tests::below;
using tests::line;
using tests::random;
using tests::sample;

constexpr long long pad_id = 3;  // a real token as well
constexpr long long ignore_index = -7;

struct user_sample {
    std::vector<std::int64_t> ids;
    std::uint32_t prompt = 0;
    std::vector<float> loss;
};

// What the user has, in every form at once.
struct data_set {
    std::vector<sample> samples;
    tests::ragged nested;
    std::vector<std::uint16_t> flat;
    std::vector<std::int32_t> narrow_offsets{0};
    std::vector<std::int64_t> wide_offsets{0};
    std::vector<std::span<const std::uint16_t>> spans;
    std::vector<user_sample> users;
    std::vector<int> prompts;
    std::vector<std::vector<std::uint8_t>> loss;

    data_set(random& any, std::size_t limit)
    {
        samples.resize(below(any, 9));
        for (sample& s : samples) {
            s.ids.resize(below(any, 5) == 0 ? 0 : below(any, 2 * limit + 3));
            for (long long& id : s.ids)
                id = static_cast<long long>(below(any, 10));
            s.prompt = below(any, s.ids.size() + 1);
            for (std::size_t t = 0; t < s.ids.size(); ++t)
                s.loss.push_back(static_cast<long long>(below(any, 3)));
            nested.emplace_back(s.ids.begin(), s.ids.end());
            for (const long long id : s.ids)
                flat.push_back(static_cast<std::uint16_t>(id));
            narrow_offsets.push_back(static_cast<std::int32_t>(flat.size()));
            wide_offsets.push_back(static_cast<std::int64_t>(flat.size()));
            prompts.push_back(static_cast<int>(s.prompt));
            loss.emplace_back(s.loss.begin(), s.loss.end());
            users.push_back(
                {{s.ids.begin(), s.ids.end()}, static_cast<std::uint32_t>(s.prompt), {s.loss.begin(), s.loss.end()}});
        }
        for (std::size_t i = 0; i < samples.size(); ++i)
            spans.push_back(std::span(flat).subspan(static_cast<std::size_t>(wide_offsets[i]), samples[i].ids.size()));
    }
};

enum class beside {
    nothing,
    prompts,
    loss,
    both
};

// The samples as the model is to see them.
std::vector<sample> with(std::vector<sample> samples, beside what)
{
    for (sample& s : samples) {
        if (what == beside::nothing || what == beside::loss)
            s.prompt = 0;
        if (what == beside::nothing || what == beside::prompts)
            s.loss.clear();
    }
    return samples;
}

// Everything of a call is at random but the types.
template <class Side, class Length, class Overflow>
class checker {
    using fields = tests::modelled_fields;
    using collator = batten::collator<typename Side::type, typename Length::type, typename Overflow::type, fields>;

public:
    explicit checker(std::uint64_t seed) : any_(seed) {}

    void run(int rounds)
    {
        for (int round = 0; round < rounds; ++round) {
            const Length length(any_);
            const data_set data(any_, length.limit() == batten::no_limit ? 20 : length.limit());
            alignment_ = static_cast<batten::target_alignment>(below(any_, 4));
            kinds(length, data);
        }
        CHECK(good_ > 0);
        CHECK(bad_ == 0);
    }

private:
    void kinds(const Length& length, const data_set& data)
    {
        const batten::ragged_view narrow{data.flat, data.narrow_offsets};
        const batten::ragged_view wide{data.flat, data.wide_offsets};
        const auto each_ids = batten::each(data.users, &user_sample::ids);
        const auto each_prompt = batten::each(data.users, &user_sample::prompt);
        const auto each_loss = batten::each(data.users, &user_sample::loss);
        bundles(length, data.samples, data.nested, data.prompts, data.loss);
        bundles(length, data.samples, data.spans, data.prompts, data.loss);
        bundles(length, data.samples, narrow, data.prompts, data.loss);
        bundles(length, data.samples, wide, data.prompts, data.loss);
        bundles(length, data.samples, each_ids, each_prompt, each_loss);
        selections(length, data);
    }

    template <class Sequences, class Prompts, class Loss>
    void bundles(const Length& length, const std::vector<sample>& samples, const Sequences& ids, const Prompts& prompts,
                 const Loss& loss)
    {
        check(length, with(samples, beside::nothing), ids);
        check(length, with(samples, beside::prompts), batten::inputs{ids, prompts});
        check(length, with(samples, beside::loss), batten::inputs{ids, batten::none, loss});
        check(length, with(samples, beside::both), batten::inputs{ids, prompts, loss});
    }

    void selections(const Length& length, const data_set& data)
    {
        std::vector<std::uint32_t> rows(data.samples.empty() ? 0 : below(any_, 7));
        std::vector<sample> chosen;
        for (std::uint32_t& row : rows) {
            row = static_cast<std::uint32_t>(below(any_, data.samples.size()));
            chosen.push_back(data.samples[row]);
        }
        const batten::ragged_view wide{data.flat, data.wide_offsets};
        check(length, with(chosen, beside::nothing), batten::select(wide, rows));
        check(length, with(chosen, beside::both), batten::select(batten::inputs{data.nested, data.prompts, data.loss}, rows));
    }

    template <class In>
    void check(const Length& length, const std::vector<sample>& samples, const In& in)
    {
        const collator collate{
            {.pad_id = pad_id, .length = length.make(), .side = {}, .targets = alignment_, .ignore_index = ignore_index}};
        const auto expected = tests::model_batch<Side, Overflow>(samples, length, alignment_, pad_id, ignore_index);
        const auto owned = collate.try_collate(in);
        bool same = owned.error().code == expected.code;
        if (owned.has_value()) {
            same = same && tests::is_batch(*owned, expected);
            same = same && written_as_owned(collate, in, *owned);
        }
        (same ? good_ : bad_) += 1;
    }

    // Into guarded memory, at any element offset, with a row_stride or without, the same cells are written and no others.
    template <class In>
    bool written_as_owned(const collator& collate, const In& in, const typename collator::batch_type& owned)
    {
        const std::size_t row_stride = below(any_, 2) == 0 ? 0 : owned.width() + 1 + below(any_, 4);
        auto memory = tests::guarded_fields<fields>::of(collate.shape(in), row_stride, 60 + below(any_, 9));
        tests::guarded<std::int64_t> lengths(owned.rows());
        tests::guarded<std::int64_t> dropped(owned.rows());
        tests::guarded<std::int64_t> targets(owned.rows());
        const auto out = std::apply(
            [&](auto... named) {
                return batten::outputs{named..., batten::set<batten::lengths>(lengths.cells()),
                                       batten::set<batten::truncated_tokens>(dropped.cells()),
                                       batten::set<batten::target_counts>(targets.cells())};
            },
            memory.outputs(row_stride).spans);
        bool same = collate.into(in, out).summary == owned.summary() && memory.only_inside() && lengths.only_inside() &&
                    dropped.only_inside() && targets.only_inside();
        same = same && equal(lengths.cells(), owned.lengths()) && equal(dropped.cells(), owned.truncated_tokens()) &&
               equal(targets.cells(), owned.target_counts());
        const auto field_is_same = [&]<class Field>(const Field*) {
            auto& given = memory.template get<Field>();
            const auto cells = given.matrix(owned.rows(), owned.width(), row_stride);
            for (std::size_t r = 0; same && r < owned.rows(); ++r)
                same = equal(cells.row(r), owned.template get<Field>(r));
            same =
                same && (owned.rows() == 0 || given.only_rows(owned.rows(), owned.width(), row_stride == 0 ? owned.width() : row_stride));
        };
        [&]<class... Field>(const batten::fields<Field...>*) {
            (field_is_same(static_cast<const Field*>(nullptr)), ...);
        }(static_cast<const fields*>(nullptr));
        return same;
    }

    template <class A, class B>
    static bool equal(const A& a, const B& b)
    {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }

    random any_;
    batten::target_alignment alignment_{};
    long good_ = 0;
    long bad_ = 0;
};

TEST_CASE("every kind of input agrees with the model: padded right to the longest row, cut at the left")
{
    checker<tests::right_case, tests::dynamic_max_case, tests::truncate_left_case>(1).run(120);
}
TEST_CASE("every kind of input agrees with the model: padded left to a rounded fixed width, the middle kept")
{
    checker<tests::left_case, tests::round_up_case<8, tests::fixed_case>, tests::middle_case>(2).run(120);
}
TEST_CASE("every kind of input agrees with the model: centred on a ladder's width, too long ones refused")
{
    checker<tests::centred_case, tests::bucketed_case, tests::reject_case>(3).run(120);
}

}  // namespace
