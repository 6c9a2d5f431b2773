// SPDX-License-Identifier: MIT
// Masked language modelling, as BERT is trained: some tokens are chosen to be predicted, most of them hidden from the model.
//
//     const mask::mlm_masking hide{{.mask_id = 103, .vocabulary = 30522, .special_ids = {0, 101, 102}}};
//     hide.into(where, sequence_numbers, epoch, token_ids, labels);
#ifndef BATTEN_MASK_MLM_HPP_INCLUDED
#define BATTEN_MASK_MLM_HPP_INCLUDED

#include <batten/detail/random.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/mask/errors.hpp>
#include <batten/mask/segments.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace batten::mask {

struct mlm_options {
    double mlm_probability = 0.15;              // of tokens (or words) that are predicted
    double mask_replace_prob = 0.8;                 // of those chosen: become mask_id
    double random_replace_prob = 0.1;               // of those chosen: become a random id that is not special. The rest stay
    std::optional<integer> mask_id{};        // required where mask_replace_prob is not 0
    std::uint64_t vocabulary = 0;            // ids are [0, vocabulary); required where random_replace_prob is not 0
    std::vector<std::int64_t> special_ids{}; // never chosen, never drawn; mask_id is one of them by itself
    integer ignore_index = -100;             // label of a token that is not predicted
    bool at_least_one = false;               // choose one token (or word) of a sequence of which chance chose none
    std::uint64_t seed = 0;
};

// What may be told of each cell, [rows, width]; empty: nothing.
struct mlm_columns {
    std::span<const std::int32_t> word_ids{};  // a run of one number is a word, chosen as a whole; below 0: never chosen
    std::span<const std::uint8_t> special{};   // not 0: never chosen, as a tokenizer's special_tokens_mask
};

// How many tokens were chosen, and what became of them: chosen = masked + random + kept.
struct mlm_summary {
    std::size_t chosen = 0;
    std::size_t masked = 0;
    std::size_t random = 0;
    std::size_t kept = 0;
    std::size_t sequences_without_choice = 0;
    friend constexpr bool operator==(const mlm_summary&, const mlm_summary&) noexcept = default;
};

// Chooses and hides tokens. What becomes of a token depends on the seed, the epoch, the number of its sequence and its index in
// it alone: not on threads, platform, padding, or which other sequences are in the batch.
//
// Errors   of the options, when it is made: shares outside of [0, 1] or past 1 in sum; no mask_id; no id to draw.
// Cost     one draw for each token (or word), two more for each chosen; labels are written once, ids where they change.
class mlm_masking {
public:
    constexpr explicit mlm_masking(mlm_options settings) : options_(std::move(settings))
    {
        error reason;
        if (!prepare(reason))
            batten::detail::raise(reason);
    }

    // The constructor that returns its error.
    [[nodiscard]] static constexpr result<mlm_masking> try_make(mlm_options settings)
    {
        mlm_masking made(std::move(settings), unchecked{});
        error reason;
        if (!made.prepare(reason))
            return reason;
        return made;
    }

    [[nodiscard]] constexpr const mlm_options& options() const noexcept { return options_; }

    // Hides tokens of a batch in place and writes the labels of all cells: the token where it is predicted, else ignore_index.
    //
    // Shapes    numbers: one for each sequence, its own in the data set; token_ids, labels and the columns [rows, width]
    // Requires  spans that do not overlap.
    // Errors    an arrangement that does not fit together; spans of other sizes; a mask id or vocabulary that Token, or an
    //           ignore_index or token that Label cannot hold; a token that may be chosen and is the ignore_index.
    template <arrangement Where, integer_range Numbers, integer_number Token, integer_number Label>
    constexpr result<mlm_summary> try_into(const Where& where, const Numbers& numbers, std::uint64_t epoch,
                                           std::span<Token> token_ids, std::span<Label> labels,
                                           const mlm_columns& columns = {}) const
    {
        error reason;
        if (!check(where, std::ranges::size(numbers), token_ids, labels, columns, reason))
            return reason;
        mlm_summary sum;
        std::size_t next = 0, s = 0;
        const auto ignore_up_to = [&](std::size_t end) {
            cells::fill(labels.subspan(next, end - next), options_.ignore_index.template to<Label>());
            next = end;
        };
        const std::size_t width = where.measured().queries;
        where.walk(
            [&](const place& at) {
                const std::size_t first = at.row * width + at.first_query;
                ignore_up_to(first + at.queries);
                const auto number = batten::detail::element_at(numbers, s++);
                const auto part = [&](auto column) { return column.empty() ? column : column.subspan(first, at.queries); };
                sequence<Token, Label> one{part(token_ids), part(labels), {part(columns.word_ids), part(columns.special)}};
                hide(one, batten::detail::key_of({options_.seed, epoch, static_cast<std::uint64_t>(number)}), sum);
                return true;
            },
            reason);
        ignore_up_to(labels.size());
        return sum;
    }
    template <arrangement Where, integer_range Numbers, integer_number Token, integer_number Label>
    constexpr mlm_summary into(const Where& where, const Numbers& numbers, std::uint64_t epoch, std::span<Token> token_ids,
                               std::span<Label> labels, const mlm_columns& columns = {}) const
    {
        return try_into(where, numbers, epoch, token_ids, labels, columns).value();
    }

private:
    struct unchecked {};

    // The cells of one sequence.
    template <class Token, class Label>
    struct sequence {
        std::span<Token> ids{};
        std::span<Label> labels{};
        mlm_columns columns{};
    };

    // Streams of draws, for each sequence: a draw is of its key with this added, and of the token's index.
    enum purpose : std::uint64_t {
        choice,
        fate,
        random_id,
        one_of_all
    };

    constexpr mlm_masking(mlm_options settings, unchecked) : options_(std::move(settings)) {}

    static constexpr std::uint64_t draw(std::uint64_t key, purpose of, std::uint64_t index) noexcept
    {
        return batten::detail::draw(batten::detail::mix(key + of), index);
    }

    // A probability as the number of the 2^32 values of 32 even bits that lie below it: the same on every platform.
    static constexpr std::uint64_t threshold(double share) noexcept
    {
        return static_cast<std::uint64_t>(share * 4294967296.0 + 0.5);
    }
    static constexpr std::uint64_t upper_half(std::uint64_t bits) noexcept { return bits >> 32U; }

    constexpr bool prepare(error& reason)
    {
        const auto is_probability = [&](double share, std::string_view name) {
            return (share >= 0 && share <= 1) ||
                   detail::fail(reason, error::of(errors::probability_out_of_range, {}, {}, name));
        };
        if (!is_probability(options_.mlm_probability, "mlm_probability") || !is_probability(options_.mask_replace_prob, "mask_replace_prob") ||
            !is_probability(options_.random_replace_prob, "random_replace_prob"))
            return false;
        const double replaced = options_.mask_replace_prob + options_.random_replace_prob;
        if (replaced > 1 + 1e-9)  // 1 as the sum of two doubles may round up
            return detail::fail(reason, error::of(errors::probabilities_past_one,
                                         static_cast<std::uint64_t>(replaced * 1e6 + 0.5)));
        if (options_.mask_replace_prob > 0 && !options_.mask_id)
            return detail::fail(reason, error::of(errors::mask_id_missing));

        std::vector<std::int64_t>& special = options_.special_ids;
        if (options_.mask_id && options_.mask_id->template fits<std::int64_t>())
            special.push_back(options_.mask_id->template to<std::int64_t>());
        std::sort(special.begin(), special.end());
        special.erase(std::unique(special.begin(), special.end()), special.end());
        for (const std::int64_t id : special)
            special_in_vocabulary_ += id >= 0 && static_cast<std::uint64_t>(id) < options_.vocabulary ? 1 : 0;
        if (options_.random_replace_prob > 0 && options_.vocabulary <= special_in_vocabulary_)
            return detail::fail(reason, error::of(errors::vocabulary_too_small, options_.vocabulary,
                                         special_in_vocabulary_));
        chosen_below_ = threshold(options_.mlm_probability);
        masked_below_ = threshold(options_.mask_replace_prob);
        random_below_ = masked_below_ + threshold(options_.random_replace_prob);
        return true;
    }

    template <class Where, class Token, class Label>
    constexpr bool check(const Where& where, std::size_t numbers, std::span<Token> ids, std::span<Label> labels,
                         const mlm_columns& columns, error& reason) const
    {
        detail::arranged found;
        if (!detail::check_arrangement(where, found, reason))
            return false;
        const std::size_t cells = found.of.rows * found.of.queries;
        const auto is_sized = [&](std::size_t given, std::string_view name) {
            return given == cells || detail::fail(reason, {given < cells ? errors::span_too_small
                                                                         : errors::span_too_large,
                                                           error::no_row, cells, given, name});
        };
        if (!is_sized(ids.size(), "token_ids") || !is_sized(labels.size(), "labels") ||
            (!columns.word_ids.empty() && !is_sized(columns.word_ids.size(), "word_ids")) ||
            (!columns.special.empty() && !is_sized(columns.special.size(), "special")))
            return false;
        if (numbers != found.sequences)
            return detail::fail(reason, error::of(errors::count_mismatch, numbers, found.sequences,
                                         "the list of sequence numbers"));
        if (options_.mask_replace_prob > 0 && !options_.mask_id->template fits<Token>())
            return detail::fail(
                reason, error::of(errors::mask_id_not_representable, *options_.mask_id, {}, "token_ids"));
        if (options_.random_replace_prob > 0 && !integer(options_.vocabulary - 1).template fits<Token>())
            return detail::fail(
                reason, error::of(errors::value_not_representable, options_.vocabulary - 1, {}, "token_ids"));
        if (!options_.ignore_index.template fits<Label>())
            return detail::fail(
                reason, error::of(errors::ignore_index_not_representable, options_.ignore_index, {}, "labels"));
        return tokens_fit(where, ids, labels, reason) && tokens_are_not_ignored(where, ids, labels, columns, reason);
    }

    // No token that may be chosen is the ignore_index, which as its label would not be trained. Looked through only where a
    // token can be it.
    template <class Where, class Token, class Label>
    constexpr bool tokens_are_not_ignored(const Where& where, std::span<Token> ids, std::span<Label> /*labels*/,
                                          const mlm_columns& columns, error& reason) const
    {
        const integer& ignore_index = options_.ignore_index;
        if (ignore_index.is_negative() || !ignore_index.template fits<Token>())
            return true;
        const Token ignored = ignore_index.template to<Token>();
        const std::size_t width = where.measured().queries;
        return where.walk(
            [&](const place& at) {
                const std::size_t first = at.row * width + at.first_query;
                const auto part = [&](auto column) { return column.empty() ? column : column.subspan(first, at.queries); };
                const sequence<Token, Label> one{part(ids), {}, {part(columns.word_ids), part(columns.special)}};
                std::size_t found = at.queries;
                each_unit(one, [&](std::size_t begin, std::size_t end) {
                    for (std::size_t i = begin; i < end && found == at.queries; ++i)
                        if (one.ids[i] == ignored && !is_special(one, i))
                            found = i;
                });
                return found == at.queries ||
                       detail::fail(reason,
                                    error::of_row(errors::target_is_ignore_index, at.row, found, ignore_index, "labels"));
            },
            reason);
    }

    // Every token may become a label. Looked through only where Label is the narrower type.
    template <class Where, class Token, class Label>
    static constexpr bool tokens_fit(const Where& where, std::span<Token> ids, std::span<Label> /*labels*/, error& reason)
    {
        using limits = std::numeric_limits<Token>;
        if constexpr (std::in_range<Label>(limits::min()) && std::in_range<Label>(limits::max())) {
            return true;
        } else {
            const std::size_t width = where.measured().queries;
            return where.walk(
                [&](const place& at) {
                    for (std::size_t i = 0; i < at.queries; ++i)
                        if (const Token id = ids[at.row * width + at.first_query + i]; !std::in_range<Label>(id))
                            return detail::fail(reason, error::of_row(errors::token_not_representable, at.row, i, id, "labels"));
                    return true;
                },
                reason);
        }
    }

    // Goes through the units of a sequence that are chosen or not as a whole, tokens or words: use(first, last).
    template <class Token, class Label, class Use>
    static constexpr void each_unit(const sequence<Token, Label>& of, Use use)
    {
        const std::span<const std::int32_t> words = of.columns.word_ids;
        for (std::size_t first = 0, last = 0; first < of.ids.size(); first = last) {
            ++last;
            while (!words.empty() && last < words.size() && words[last] == words[first])
                ++last;
            if (words.empty() || words[first] >= 0)
                use(first, last);
        }
    }

    template <class Token, class Label>
    constexpr bool is_special(const sequence<Token, Label>& of, std::size_t i) const
    {
        if (!of.columns.special.empty() && of.columns.special[i] != 0)
            return true;
        return std::any_of(options_.special_ids.begin(), options_.special_ids.end(),
                           [&](std::int64_t id) { return std::cmp_equal(id, of.ids[i]); });
    }

    template <class Token, class Label>
    constexpr void hide(const sequence<Token, Label>& of, std::uint64_t key, mlm_summary& sum) const
    {
        const std::size_t before = sum.chosen;
        const std::uint64_t choices = batten::detail::mix(key + choice);
        each_unit(of, [&](std::size_t first, std::size_t last) {
            if (upper_half(batten::detail::draw(choices, first)) < chosen_below_)
                hide_unit(of, first, last, key, sum);
        });
        if (sum.chosen != before || (options_.at_least_one && hide_one(of, key, sum)))
            return;
        sum.sequences_without_choice += 1;
    }

    // Hides one of the units that have a token to hide, all equally likely. Whether there is any.
    template <class Token, class Label>
    constexpr bool hide_one(const sequence<Token, Label>& of, std::uint64_t key, mlm_summary& sum) const
    {
        const auto each_candidate = [&](auto use) {
            each_unit(of, [&](std::size_t first, std::size_t last) {
                for (std::size_t i = first; i < last; ++i)
                    if (!is_special(of, i))
                        return use(first, last);
            });
        };
        std::size_t candidates = 0;
        each_candidate([&](std::size_t, std::size_t) { ++candidates; });
        std::uint64_t left = batten::detail::below(candidates, draw(key, one_of_all, 0));
        each_candidate([&](std::size_t first, std::size_t last) {
            if (left-- == 0)
                hide_unit(of, first, last, key, sum);
        });
        return candidates != 0;
    }

    // Each token of a word that is chosen has a fate of its own, as in BERT.
    template <class Token, class Label>
    constexpr void hide_unit(const sequence<Token, Label>& of, std::size_t first, std::size_t last, std::uint64_t key,
                             mlm_summary& sum) const
    {
        for (std::size_t i = first; i < last; ++i) {
            if (is_special(of, i))
                continue;
            of.labels[i] = static_cast<Label>(of.ids[i]);
            sum.chosen += 1;
            const std::uint64_t drawn = upper_half(draw(key, fate, i));
            if (drawn < masked_below_) {
                of.ids[i] = options_.mask_id->template to<Token>();
                sum.masked += 1;
            } else if (drawn < random_below_) {
                of.ids[i] = static_cast<Token>(ordinary_id(draw(key, random_id, i)));
                sum.random += 1;
            } else {
                sum.kept += 1;
            }
        }
    }

    // An id of the vocabulary that is not special, all equally likely.
    constexpr std::uint64_t ordinary_id(std::uint64_t bits) const
    {
        std::uint64_t id = batten::detail::below(options_.vocabulary - special_in_vocabulary_, bits);
        for (const std::int64_t special : options_.special_ids)
            if (special >= 0 && static_cast<std::uint64_t>(special) <= id)
                ++id;
        return id;
    }

    mlm_options options_;
    std::uint64_t special_in_vocabulary_ = 0;
    std::uint64_t chosen_below_ = 0;
    std::uint64_t masked_below_ = 0;
    std::uint64_t random_below_ = 0;
};

}  // namespace batten::mask

#endif
