// SPDX-License-Identifier: MIT
// What Transformers, Tokenizers, PyTorch and TRL make of the same sequences: tests/golden/golden.txt, which make.py beside it
// got from them. Where Batten differs on purpose the test says why, and checks the difference itself.

#include "mask_support.hpp"

#include <batten/mask/dense.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/varlen.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::line;
using tests::line_of;
using tests::ragged;

namespace mask = batten::mask;

namespace {

// As in make.py.
constexpr int pad_id = 0;
constexpr int pad_type = 2;

// ---- the file ---------------------------------------------------------------------------------------------------------------

// Some lines, each a name and its value; a matrix is its rows, each ended by a semicolon.
class golden {
public:
    void add(const std::string& entry)
    {
        const std::size_t space = entry.find(' ');
        values_[entry.substr(0, space)] = space == std::string::npos ? "" : entry.substr(space + 1);
    }

    const std::string& what() const { return values_.at("case"); }
    bool has(const std::string& name) const { return values_.count(name) != 0; }
    const std::string& text(const std::string& name) const
    {
        INFO("golden.txt: '" << name << "' of a case " << what());
        REQUIRE(has(name));
        return values_.at(name);
    }
    long long number(const std::string& name) const { return std::stoll(text(name)); }
    std::size_t count(const std::string& name) const { return static_cast<std::size_t>(number(name)); }
    grid matrix(const std::string& name) const
    {
        grid rows;
        std::istringstream all(text(name));
        for (std::string row; std::getline(all, row, ';');) {
            rows.emplace_back();
            std::istringstream cells(row);
            for (long long cell = 0; cells >> cell;)
                rows.back().push_back(cell);
        }
        return rows;
    }
    // Of a matrix of one row.
    line row(const std::string& name) const
    {
        const grid rows = matrix(name);
        REQUIRE(rows.size() == 1);
        return rows[0];
    }
    // A matrix of 0 and 1, whose cells stand together.
    grid bits(const std::string& name) const
    {
        grid rows(1);
        for (const char cell : text(name))
            if (cell == ';')
                rows.emplace_back();
            else if (cell != ' ')
                rows.back().push_back(cell - '0');
        rows.pop_back();
        return rows;
    }

    // For INFO: which case it is.
    std::string title() const
    {
        std::string all = what();
        for (const char* const name :
             {"kind", "name", "batch", "labels_of", "side", "strategy", "max_length", "multiple", "cut"})
            if (has(name))
                all.append(", ").append(name).append(" ").append(values_.at(name));
        return all;
    }

private:
    std::map<std::string, std::string> values_;
};

std::vector<golden> read_all()
{
    std::ifstream file(BATTEN_TEST_GOLDEN);
    REQUIRE(file);
    std::vector<golden> all;
    for (std::string entry; std::getline(file, entry);) {
        if (entry.empty() || entry[0] == '#')
            continue;
        if (entry.starts_with("case "))
            all.emplace_back();
        REQUIRE_FALSE(all.empty());
        all.back().add(entry);
    }
    return all;
}

// The cases of one peer; there are some.
std::vector<golden> cases(std::string_view what)
{
    static const std::vector<golden> all = read_all();
    std::vector<golden> chosen;
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen),
                 [&](const golden& given) { return given.what() == what; });
    REQUIRE_FALSE(chosen.empty());
    return chosen;
}

ragged ragged_of(const grid& rows)
{
    ragged sequences;
    for (const line& row : rows)
        sequences.emplace_back(row.begin(), row.end());
    return sequences;
}

// The sequences that a case speaks of, and what comes with them.
struct sequences {
    ragged tokens;
    std::vector<int> prompts;  // 0 where the case does not ask for them
    ragged types;

    explicit sequences(const golden& given)
    {
        for (const golden& named : cases("sequences"))
            if (named.text("batch") == given.text("batch")) {
                tokens = ragged_of(named.matrix("tokens"));
                types = ragged_of(named.matrix("types"));
                prompts.assign(tokens.size(), 0);
                if (given.has("labels_of") && given.text("labels_of") == "prompts") {
                    const line lengths = named.row("prompts");
                    prompts.assign(lengths.begin(), lengths.end());
                }
            }
        REQUIRE_FALSE(tokens.empty());
    }
};

// ---- policies by name -------------------------------------------------------------------------------------------------------

template <class Call>
void with_side(const golden& given, Call call)
{
    if (given.text("side") == "right")
        call(batten::pad_right{});
    else
        call(batten::pad_left{});
}

// call(side, length): the longest row or a fixed length, as they are or rounded up to a multiple of 8.
template <class Call>
void with_policies(const golden& given, Call call)
{
    with_side(given, [&](auto side) {
        const bool fixed = given.text("strategy") == "max_length";
        const batten::fixed_length length(fixed ? given.number("max_length") : 1);
        if (given.number("multiple") == 1) {
            if (fixed)
                call(side, length);
            else
                call(side, batten::dynamic_length{});
        } else {
            REQUIRE(given.number("multiple") == 8);
            if (fixed)
                call(side, batten::round_up_to<8, batten::fixed_length>{.inner = length});
            else
                call(side, batten::round_up_to<8>{});
        }
    });
}

template <class Side, class Length, class... Field>
auto padding(Length length, Field... field)
{
    using fields = batten::fields<Field...>;
    return batten::collator<Side, Length, batten::reject, fields>{
        {.pad_id = pad_id, .length = length, .fields = fields{field...}}};
}

// The total as it is, or padded to a multiple of 8.
template <batten::trailing_pads Tail, class... Field, class Call>
void with_packing(const golden& given, Call call)
{
    using fields = batten::fields<Field...>;
    if (!given.has("multiple") || given.number("multiple") == 1)
        call(batten::varlen_collator<batten::dynamic_length, fields, Tail>{{.pad_id = pad_id}});
    else
        call(batten::varlen_collator<batten::round_up_to<8>, fields, Tail>{{.pad_id = pad_id}});
}

// ---- what peers say otherwise -----------------------------------------------------------------------------------------------

// Rule 6: no token is trained from a pad. Peers leave the label of a left-padded row's first token on, and the model, which
// shifts, then trains it from the pad before it. Takes those labels, once they are seen to be there, out of theirs.
template <class Side>
void turn_off_first_labels(grid& theirs, const sequences& in, const Side& side)
{
    for (std::size_t r = 0; r < theirs.size(); ++r) {
        const std::size_t length = in.tokens[r].size();
        const std::size_t first = side.offset(length, theirs[r].size());
        if (first == 0 || length == 0)
            continue;
        CHECK(theirs[r][first] == (in.prompts[r] == 0 ? in.tokens[r][0] : -100));
        theirs[r][first] = -100;
    }
}

// Peers that find borders by positions do not see an empty sequence. Batten has an entry for every one (rule 2).
line without_repeats(line offsets)
{
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
    return offsets;
}

// The number, from 0, of each cell's sequence among those that are not empty.
line numbered_from_zero(const line& segment_ids)
{
    line numbers;
    for (std::size_t c = 0; c < segment_ids.size(); ++c)
        numbers.push_back(c == 0 ? 0 : numbers.back() + (segment_ids[c] != segment_ids[c - 1] ? 1 : 0));
    return numbers;
}

}  // namespace

// ---- padding ----------------------------------------------------------------------------------------------------------------

TEST_CASE("golden: tokenizer.pad of Transformers, on both sides, to the longest or a length, and to multiples")
{
    for (const golden& given : cases("tokenizer.pad")) {
        INFO(given.title());
        const sequences in(given);
        ragged special;
        for (const auto& row : in.tokens) {
            special.emplace_back(row.size(), 0);
            if (!row.empty())
                special.back()[0] = 1;
        }
        const auto columns =
            batten::columns{batten::named<"token_type_ids">(in.types), batten::named<"special_tokens_mask">(special)};
        with_policies(given, [&](auto side, auto length) {
            const auto collate = padding<decltype(side)>(length, batten::token_ids<>{}, batten::attention_mask<>{},
                                                         batten::column<"token_type_ids">{.pad_value = pad_type},
                                                         batten::column<"special_tokens_mask">{.pad_value = 1});
            const auto batch = collate(batten::inputs{in.tokens, batten::none, batten::none, columns});
            CHECK(grid_of(batch.template view<batten::token_ids>()) == given.matrix("input_ids"));
            CHECK(grid_of(batch.template view<batten::attention_mask>()) == given.bits("attention_mask"));
            CHECK(grid_of(batch.template view<"token_type_ids">()) == given.matrix("token_type_ids"));
            CHECK(grid_of(batch.template view<"special_tokens_mask">()) == given.bits("special_tokens_mask"));
        });
    }
}

TEST_CASE("golden: a row over max_length stays as it is in Transformers, and is an error here")
{
    for (const golden& given : cases("tokenizer.pad_too_long")) {
        const sequences in(given);
        const line lengths = given.row("lengths");
        const std::size_t limit = given.count("max_length");
        REQUIRE(lengths.size() == in.tokens.size());
        std::size_t first = lengths.size();
        for (std::size_t r = lengths.size(); r-- > 0;) {
            CHECK(static_cast<std::size_t>(lengths[r]) == std::max(in.tokens[r].size(), limit));  // no matrix
            if (in.tokens[r].size() > limit)
                first = r;
        }
        REQUIRE(first < lengths.size());
        const auto collate = padding<batten::pad_right>(batten::fixed_length(limit), batten::token_ids<>{});
        CHECK(error_is(collate.try_collate(in.tokens).error()) ==
              error_is(batten::errors::row_over_limit, first, in.tokens[first].size(), limit));
    }
}

TEST_CASE("golden: padding and truncation of Tokenizers")
{
    for (const golden& given : cases("tokenizers.padding")) {
        INFO(given.title());
        const sequences in(given);
        ragged types;  // texts of one part: all 0
        for (const auto& row : in.tokens)
            types.emplace_back(row.size(), 0);
        const auto columns = batten::columns{batten::named<"token_type_ids">(types)};
        with_policies(given, [&](auto side, auto length) {
            const auto collate = padding<decltype(side)>(length, batten::token_ids<std::uint32_t>{},
                                                         batten::attention_mask<std::uint32_t>{},
                                                         batten::column<"token_type_ids">{.pad_value = pad_type});
            const auto batch = collate(batten::inputs{in.tokens, batten::none, batten::none, columns});
            CHECK(grid_of(batch.template view<batten::token_ids>()) == given.matrix("input_ids"));
            CHECK(grid_of(batch.template view<batten::attention_mask>()) == given.bits("attention_mask"));
            CHECK(grid_of(batch.template view<"token_type_ids">()) == given.matrix("token_type_ids"));
        });
    }
    for (const golden& given : cases("tokenizers.truncation")) {
        INFO(given.title());
        const sequences in(given);
        const batten::dynamic_length length{.max_length = given.number("max_length")};
        const auto check = [&](auto overflow) {
            const batten::presets::encoder<decltype(overflow), batten::dynamic_length> collate{
                {.pad_id = pad_id, .length = length}};
            const auto batch = collate(in.tokens);
            CHECK(grid_of(batch.template view<batten::token_ids>()) == given.matrix("input_ids"));
            CHECK(grid_of(batch.template view<batten::attention_mask>()) == given.bits("attention_mask"));
            CHECK(line_of(batch.truncated_tokens()) == given.row("dropped"));
        };
        if (given.text("cut") == "right")
            check(batten::truncate_right{});
        else
            check(batten::truncate_left{});
    }
}

TEST_CASE("golden: torch.nn.utils.rnn.pad_sequence, of integers and of floats")
{
    for (const golden& given : cases("torch.pad_sequence")) {
        INFO(given.title());
        const sequences in(given);
        std::vector<std::vector<float>> weights;
        for (const auto& row : in.types)
            weights.emplace_back(row.begin(), row.end());
        const auto columns = batten::columns{batten::named<"weights">(weights)};
        with_side(given, [&](auto side) {
            const auto collate = padding<decltype(side)>(batten::dynamic_length{}, batten::token_ids<>{},
                                                         batten::column<"weights", float>{.pad_value = -3.0F});
            const auto batch = collate(batten::inputs{in.tokens, batten::none, batten::none, columns});
            CHECK(grid_of(batch.template view<batten::token_ids>()) == given.matrix("input_ids"));
            CHECK(grid_of(batch.template view<"weights">()) == given.matrix("weights"));
        });
    }
}

// ---- labels -----------------------------------------------------------------------------------------------------------------

namespace {

using label_fields = batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>, batten::labels<>>;
using batch_of_labels = batten::basic_batch<label_fields>;

// call(side, batch): the padded batch of a case, once its tokens and its mask are seen to be theirs.
template <class Call>
void with_padded(const golden& given, const sequences& in, Call call)
{
    with_policies(given, [&](auto side, auto length) {
        const batten::collator<decltype(side), decltype(length), batten::reject, label_fields> collate{
            {.pad_id = pad_id, .length = length}};
        const batch_of_labels batch = collate(batten::inputs{in.tokens, in.prompts});
        CHECK(grid_of(batch.view<batten::token_ids>()) == given.matrix("input_ids"));
        CHECK(grid_of(batch.view<batten::attention_mask>()) == given.bits("attention_mask"));
        call(side, batch);
    });
}

}  // namespace

TEST_CASE("golden: DataCollatorForSeq2Seq pads labels as it pads tokens; a label that a pad would predict is off here")
{
    for (const golden& given : cases("DataCollatorForSeq2Seq")) {
        INFO(given.title());
        const sequences in(given);
        with_padded(given, in, [&](auto side, const batch_of_labels& batch) {
            grid theirs = given.matrix("labels");
            turn_off_first_labels(theirs, in, side);
            CHECK(grid_of(batch.view<batten::labels>()) == theirs);
        });
    }
}

// It takes every token with the pad's id for a pad, and so the end-of-text token of each row where the two are one: the model
// is then never taught to stop. Here lengths alone say what a pad is.
TEST_CASE("golden: DataCollatorForLanguageModeling without masking turns off labels by value, and Batten by length")
{
    std::size_t genuine = 0;
    for (const golden& given : cases("DataCollatorForLanguageModeling")) {
        INFO(given.title());
        const sequences in(given);
        with_padded(given, in, [&](auto side, const batch_of_labels& batch) {
            grid theirs = given.matrix("labels");
            for (std::size_t r = 0; r < theirs.size(); ++r) {
                const auto first = side.offset(in.tokens[r].size(), theirs[r].size());
                for (std::size_t i = 0; i < in.tokens[r].size(); ++i)
                    if (in.tokens[r][i] == pad_id) {
                        CHECK(theirs[r][first + i] == -100);
                        theirs[r][first + i] = pad_id;
                        ++genuine;
                    }
            }
            turn_off_first_labels(theirs, in, side);
            CHECK(grid_of(batch.view<batten::labels>()) == theirs);
        });
    }
    CHECK(genuine != 0);
}

TEST_CASE("golden: TRL's DataCollatorForLanguageModeling, padded")
{
    for (const golden& given : cases("trl.padded")) {
        INFO(given.title());
        const sequences in(given);
        with_padded(given, in, [&](auto /*side*/, const batch_of_labels& batch) {
            CHECK(grid_of(batch.view<batten::position_ids>()) == given.matrix("position_ids"));
            CHECK(grid_of(batch.view<batten::labels>()) == given.matrix("labels"));
        });
    }
}

// ---- one packed row ---------------------------------------------------------------------------------------------------------

TEST_CASE("golden: DataCollatorWithFlattening; it drops empty sequences, and Batten repeats their offset")
{
    std::size_t empty = 0;
    for (const golden& given : cases("DataCollatorWithFlattening")) {
        INFO(given.title());
        const sequences in(given);
        const batten::varlen_collator<batten::dynamic_length,
                                      batten::fields<batten::token_ids<>, batten::labels<>, batten::position_ids<>,
                                                     batten::segment_ids<>, batten::cu_seqlens<>>>
            collate{{.pad_id = pad_id}};
        const auto batch = collate(batten::inputs{in.tokens, in.prompts});
        CHECK(line_of(batch.token_ids()) == given.row("input_ids"));
        CHECK(line_of(batch.labels()) == given.row("labels"));
        CHECK(line_of(batch.position_ids()) == given.row("position_ids"));
        CHECK(numbered_from_zero(line_of(batch.segment_ids())) == given.row("seq_idx"));
        CHECK(batch.cu_seqlens().size() == in.tokens.size() + 1);
        const line borders = without_repeats(line_of(batch.cu_seqlens()));
        CHECK(borders == given.row("cu_seq_lens_q"));
        CHECK(batch.summary().max_seqlen == given.count("max_length_q"));
        // What Transformers finds out by the positions alone.
        CHECK(borders == given.row("found_cu_seq_lens"));
        CHECK(batch.summary().max_seqlen == given.count("found_max_length"));
        CHECK(numbered_from_zero(line_of(batch.segment_ids())) == given.row("found_seq_idx"));
        empty += batch.cu_seqlens().size() - borders.size();
    }
    CHECK(empty != 0);
}

// Its pads have position 0, which begins a sequence: each pad is one of its own. Here all of them are one (rule 7), so that
// padding a batch adds one entry to cu_seqlens and not a number that depends on the total.
TEST_CASE("golden: TRL's padding_free; each of its pads is a sequence, and Batten's tail is one")
{
    std::size_t several = 0;
    for (const golden& given : cases("trl.padding_free")) {
        INFO(given.title());
        const sequences in(given);
        with_packing<batten::trailing_pads::own_segment, batten::token_ids<>, batten::labels<>, batten::position_ids<>,
                     batten::segment_ids<>, batten::cu_seqlens<>>(given, [&](const auto& collate) {
            const auto batch = collate(batten::inputs{in.tokens, in.prompts});
            CHECK(line_of(batch.token_ids()) == given.row("input_ids"));
            CHECK(line_of(batch.labels()) == given.row("labels"));
            CHECK(line_of(batch.position_ids()) == given.row("position_ids"));

            const auto total = static_cast<long long>(batch.summary().real_tokens);
            const auto width = static_cast<long long>(batch.width());
            line borders = without_repeats(line_of(batch.cu_seqlens()));
            CHECK(borders.back() == width);
            if (width - total > 1) {
                REQUIRE(borders[borders.size() - 2] == total);
                borders.pop_back();
                for (long long column = total + 1; column <= width; ++column)
                    borders.push_back(column);
                ++several;
            }
            CHECK(borders == given.row("cu_seq_lens_q"));
            CHECK(batch.summary().max_seqlen ==
                  std::max(given.count("max_length_q"), static_cast<std::size_t>(width - total)));

            line numbers = numbered_from_zero(line_of(batch.segment_ids()));
            for (long long column = total + 1; column < width; ++column)
                numbers[static_cast<std::size_t>(column)] = numbers[static_cast<std::size_t>(column - 1)] + 1;
            CHECK(numbers == given.row("seq_idx"));
        });
    }
    CHECK(several != 0);
}

// ---- packing ----------------------------------------------------------------------------------------------------------------

namespace {

// TRL's bins: pieces, and where each bin begins.
struct their_bins {
    std::vector<batten::piece> pieces;
    std::vector<std::size_t> offsets{0};

    explicit their_bins(const grid& rows)
    {
        for (const line& row : rows) {
            REQUIRE(row.size() % 3 == 0);
            for (std::size_t i = 0; i < row.size(); i += 3)
                pieces.push_back({static_cast<std::uint32_t>(row[i]), static_cast<std::uint32_t>(row[i + 1]),
                                  static_cast<std::uint32_t>(row[i + 2])});
            offsets.push_back(pieces.size());
        }
    }
    operator batten::bins() const { return {pieces, offsets}; }
};

// The pieces that are not empty, in the order of the sequences.
grid sorted_pieces(const batten::bins& bins)
{
    grid all;
    for (const batten::piece& p : bins.pieces)
        if (p.length != 0)
            all.push_back({p.sequence, p.begin, p.length});
    std::sort(all.begin(), all.end());
    return all;
}

// How full each bin is, by size.
line sorted_fills(const batten::bins& bins)
{
    line fills;
    for (std::size_t b = 0; b + 1 < bins.offsets.size(); ++b) {
        fills.push_back(0);
        for (const batten::piece& p : bins.pieces.subspan(bins.offsets[b], bins.offsets[b + 1] - bins.offsets[b]))
            fills.back() += p.length;
    }
    std::sort(fills.begin(), fills.end());
    return fills;
}

// The tokens that make.py had packed: sequence * 2048 + index + 1.
ragged numbered(const line& lengths)
{
    ragged all;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
        all.emplace_back(static_cast<std::size_t>(lengths[s]));
        std::iota(all.back().begin(), all.back().end(), static_cast<int>(s) * 2048 + 1);
    }
    return all;
}

using binning = batten::packed_collator<batten::dynamic_length>;

}  // namespace

// Among equal lengths, and among bins with equal space, the order is free: it decides who shares a bin with whom, and not how
// many bins there are or how full they are, since sequences and bins of equal size do for one another.
TEST_CASE("golden: TRL's bfd and bfd_split have as many bins as best_fit, as full, and of the same pieces")
{
    for (const golden& given : cases("trl.pack_dataset")) {
        INFO(given.title());
        const their_bins theirs(given.matrix("bins"));
        line lengths = given.row("lengths");
        batten::plan::packing_options options{.capacity = given.count("capacity")};
        if (given.text("strategy") == "bfd_split")
            options.over = batten::plan::over_capacity::is_split;
        else  // it cuts off what is over the capacity; here that is for the caller to say
            for (long long& length : lengths)
                length = std::min(length, given.number("capacity"));
        const batten::plan::packing ours = batten::plan::pack_best_fit(lengths, options);
        CHECK(sorted_fills(ours) == sorted_fills(theirs));
        CHECK(sorted_pieces(ours) == sorted_pieces(theirs));
    }
}

// It turns labels off between packed sequences where padding_free is on alone; in padded rows the last token of a sequence is
// trained to predict the first of the next one.
TEST_CASE("golden: TRL's packed rows are bins here; a label across a border is off")
{
    std::size_t across = 0;
    for (const golden& given : cases("trl.pack_dataset")) {
        if (!given.has("input_ids"))
            continue;
        INFO(given.title());
        const their_bins bins(given.matrix("bins"));
        const ragged tokens = numbered(given.row("lengths"));
        const binning collate{{.pad_id = pad_id}};
        const auto batch = collate(batten::packed(tokens, bins));
        const grid ids = given.matrix("input_ids");
        CHECK(grid_of(batch.view<batten::token_ids>()) == ids);
        CHECK(grid_of(batch.view<batten::attention_mask>()) == given.bits("attention_mask"));
        CHECK(grid_of(batch.view<batten::position_ids>()) == given.matrix("position_ids"));
        grid theirs = given.matrix("labels");
        for (std::size_t b = 0; b < theirs.size(); ++b) {
            std::size_t column = 0;
            for (std::size_t p = bins.offsets[b]; p < bins.offsets[b + 1]; ++p) {
                CHECK(theirs[b][column] == ids[b][column]);
                theirs[b][column] = -100;
                across += column != 0 ? 1U : 0U;
                column += bins.pieces[p].length;
            }
        }
        CHECK(grid_of(batch.view<batten::labels>()) == theirs);
    }
    CHECK(across != 0);
}

TEST_CASE("golden: TRL's wrapped rows are bins of slices that are cut wherever a row is full")
{
    for (const golden& given : cases("trl.wrapped")) {
        INFO(given.title());
        const ragged tokens = numbered(given.row("lengths"));
        const std::size_t capacity = given.count("capacity");
        std::vector<batten::piece> pieces;
        std::vector<std::size_t> offsets{0};
        std::size_t column = 0;
        for (std::size_t s = 0; s < tokens.size(); ++s)
            for (std::size_t begin = 0, length = 0; begin < tokens[s].size(); begin += length) {
                if (column == capacity) {
                    offsets.push_back(pieces.size());
                    column = 0;
                }
                length = std::min(capacity - column, tokens[s].size() - begin);
                pieces.push_back({static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(begin),
                                  static_cast<std::uint32_t>(length)});
                column += length;
            }
        offsets.push_back(pieces.size());
        const binning collate{{.pad_id = pad_id}};
        const auto batch = collate(batten::packed(tokens, {pieces, offsets}));
        grid theirs = given.matrix("input_ids");
        theirs.back().resize(capacity, pad_id);
        CHECK(grid_of(batch.view<batten::token_ids>()) == theirs);
    }
}

// ---- positions, unpadding ---------------------------------------------------------------------------------------------------

TEST_CASE("golden: the positions that generate makes of a mask; pads hold 0 in Transformers 5, and 1 in 4 and some models")
{
    for (const golden& given : cases("generate.position_ids")) {
        INFO(given.title());
        const sequences in(given);
        with_side(given, [&](auto side) {
            using zeros = batten::position_ids<std::int64_t, batten::pad_position<0>>;
            using ones = batten::position_ids<std::int64_t, batten::pad_position<1>>;
            const auto batch = padding<decltype(side)>(batten::dynamic_length{}, zeros{}, ones{})(in.tokens);
            CHECK(grid_of(batch.template view<zeros>()) == given.matrix("pads_hold_0"));
            CHECK(grid_of(batch.template view<ones>()) == given.matrix("pads_hold_1"));
        });
    }
}

TEST_CASE("golden: unpad_input and pad_input of FlashAttention, which look at a mask where Batten looks at lengths")
{
    for (const golden& given : cases("flash.unpad_input")) {
        INFO(given.title());
        const sequences in(given);
        const std::size_t width = given.count("width");
        const grid unpadded = given.matrix("unpadded");
        const std::size_t d = unpadded[0].size();
        with_side(given, [&](auto side) {
            const auto batch =
                padding<decltype(side)>(batten::round_up_to<8>{}, batten::token_ids<>{}, batten::attention_mask<>{})(in.tokens);
            CHECK(grid_of(batch.template view<batten::token_ids>()) == given.matrix("input_ids"));
            CHECK(line_of(batch.lengths()) == given.row("seqused"));
            const batten::varlen_map between(batch);
            const batten::varlen_shape shape = between.shape();
            CHECK(shape.max_seqlen == given.count("max_seqlen"));

            std::vector<std::int32_t> cu_seqlens(shape.rows + 1);
            between.cu_seqlens(cu_seqlens);
            CHECK(line_of(cu_seqlens) == given.row("cu_seqlens"));
            std::vector<std::int64_t> indices(shape.tokens);
            between.indices(indices);
            CHECK(line_of(indices) == given.row("indices"));

            std::vector<std::int64_t> hidden(shape.rows * width * d), packed(shape.tokens * d), padded(hidden.size(), -1);
            std::iota(hidden.begin(), hidden.end(), 0);
            between.gather_rows(hidden, d, packed);
            CHECK(grid_of(batten::matrix_view(packed.data(), shape.tokens, d, d)) == unpadded);
            between.scatter_rows(packed, d, padded);
            CHECK(grid_of(batten::matrix_view(padded.data(), shape.rows * width, d, d)) == given.matrix("padded"));
        });
        // The packed layout is what unpadding a padded batch would give.
        const batten::varlen_collator<batten::dynamic_length, batten::varlen_inference_fields> collate{{.pad_id = pad_id}};
        const auto batch = collate(in.tokens);
        const grid padded = given.matrix("input_ids");
        line gathered;
        for (const long long index : given.row("indices"))
            gathered.push_back(padded[static_cast<std::size_t>(index) / width][static_cast<std::size_t>(index) % width]);
        CHECK(line_of(batch.token_ids()) == gathered);
        CHECK(line_of(batch.cu_seqlens()) == given.row("cu_seqlens"));
        CHECK(batch.summary().max_seqlen == given.count("max_seqlen"));
    }
}

// ---- masks ------------------------------------------------------------------------------------------------------------------

namespace {

// call(kind), by its name.
template <class Call>
void with_kind(const golden& given, const std::vector<int>& prompts, Call call)
{
    const std::string& kind = given.text("kind");
    const auto window = static_cast<std::int32_t>(given.number("window"));
    const auto chunk = static_cast<std::int32_t>(given.number("chunk"));
    if (kind == "causal")
        call(mask::causal{});
    else if (kind == "bidirectional")
        call(mask::bidirectional{});
    else if (kind == "sliding_window")
        call(mask::sliding_window{.width = window});
    else if (kind == "symmetric_window")
        // Theirs is distance <= window on both sides, but distance < window on one; here it is < in both.
        call(mask::symmetric_window{.width = window + 1});
    else if (kind == "prefix_lm")
        call(mask::prefix_lm(prompts));
    else if (kind == "chunked")
        // None of Batten's own: any callable will do.
        call([=](const mask::query& q) {
            return mask::interval{q.position / chunk * chunk, q.position + 1};
        });
    else
        FAIL("unknown kind " << kind);
}

grid dense(const std::vector<mask::interval>& seen, const mask::dimensions& of)
{
    std::vector<std::uint8_t> cells(mask::dense_elements(of));
    mask::bytes(seen, of, cells);
    return grid_of(batten::matrix_view<const std::uint8_t>(cells.data(), of.rows * of.queries, of.keys, of.keys));
}

// The additive mask of element T is 0 where the boolean one is 1, and elsewhere what theirs holds there.
template <class T, class Bits>
void check_additive(const std::vector<mask::interval>& seen, const mask::dimensions& of, const grid& attends,
                    const golden& given, const std::string& type)
{
    if (!given.has(type))
        return;  // nothing is masked
    INFO(type);
    std::vector<T> cells(mask::dense_elements(of));
    mask::additive(seen, of, cells);
    static_assert(sizeof(T) == sizeof(Bits));
    std::vector<Bits> bits(cells.size());
    std::memcpy(bits.data(), cells.data(), cells.size() * sizeof(T));
    std::vector<Bits> theirs;
    for (const line& row : attends)
        for (const long long cell : row)
            theirs.push_back(cell == 1 ? Bits{0} : static_cast<Bits>(given.number(type)));
    CHECK(bits == theirs);
}

void check_additive(const std::vector<mask::interval>& seen, const mask::dimensions& of, const grid& attends,
                    const golden& given)
{
    check_additive<float, std::uint32_t>(seen, of, attends, given, "float32");
    check_additive<batten::bfloat16, std::uint16_t>(seen, of, attends, given, "bfloat16");
    check_additive<batten::float16, std::uint16_t>(seen, of, attends, given, "float16");
}

}  // namespace

// Theirs masks keys alone: a pad attends to real tokens, from where it stands. Nothing reads what a pad computes, and here it
// attends to nothing unless asked to.
TEST_CASE("golden: 4-D masks of padded batches, boolean and additive, of every kind; a pad attends to nothing here")
{
    std::size_t pads_that_see = 0;
    for (const golden& given : cases("mask.padded")) {
        INFO(given.title());
        const sequences in(given);
        std::vector<std::int64_t> lengths;
        for (const auto& row : in.tokens)
            lengths.push_back(static_cast<std::int64_t>(row.size()));
        with_side(given, [&](auto side) {
            const std::size_t width = given.count("width");
            const batten::padded_rows where(lengths, width, side);
            with_kind(given, in.prompts, [&](const auto& kind) {
                const auto seen = tests::intervals_of(where, kind);
                grid theirs = given.bits("attends");
                REQUIRE(theirs.size() == in.tokens.size() * width);
                for (std::size_t r = 0; r < in.tokens.size(); ++r) {
                    const std::size_t length = in.tokens[r].size();
                    const std::size_t first = side.offset(length, width);
                    for (std::size_t query = 0; query < width; ++query)
                        if (query < first || query >= first + length) {
                            line& row = theirs[r * width + query];
                            const auto keys = row.begin() + static_cast<std::ptrdiff_t>(first);
                            const auto reached =
                                static_cast<std::size_t>(std::count(keys, keys + static_cast<std::ptrdiff_t>(length), 1));
                            const std::string& name = given.text("kind");
                            if (name == "causal" || name == "prefix_lm" || name == "bidirectional")
                                CHECK(reached == (query < first && name != "bidirectional" ? 0 : length));
                            pads_that_see += reached != 0 ? 1U : 0U;
                            std::fill_n(keys, length, 0);
                        }
                }
                CHECK(dense(seen, tests::shape_of(where)) == theirs);
                check_additive(seen, tests::shape_of(where), theirs, given);
            });
        });
    }
    CHECK(pads_that_see != 0);
}

// Theirs are made from positions, as the model does that is given nothing else. Each pad of the tail has position 0 and so is a
// sequence of its own, which attends to itself: that is attend_to_self. By default the tail is one sequence here.
TEST_CASE("golden: 4-D masks of packed batches keep sequences apart")
{
    std::size_t tails = 0;
    for (const golden& given : cases("mask.packed")) {
        INFO(given.title());
        const sequences in(given);
        const std::size_t width = given.count("width");
        with_kind(given, in.prompts, [&](const auto& kind) {
            with_packing<batten::trailing_pads::excluded, batten::token_ids<>, batten::cu_seqlens<>>(
                given, [&](const auto& collate) {
                    const auto batch = collate(in.tokens);
                    REQUIRE(batch.width() == width);
                    const auto seen = tests::intervals_of(batch, kind, mask::fully_masked::attend_to_self);
                    CHECK(dense(seen, tests::shape_of(batch)) == given.bits("attends"));
                    check_additive(seen, tests::shape_of(batch), given.bits("attends"), given);
                });
            with_packing<batten::trailing_pads::own_segment, batten::token_ids<>, batten::cu_seqlens<>>(
                given, [&](const auto& collate) {
                    const auto batch = collate(in.tokens);
                    const batten::varlen_rows where(batch.cu_seqlens());
                    const grid ours = dense(tests::intervals_of(where, kind), tests::shape_of(where));
                    const grid theirs = given.bits("attends");
                    const std::size_t total = batch.summary().real_tokens;
                    for (std::size_t query = 0; query < width; ++query)
                        if (query <= total)
                            CHECK(ours[query] == theirs[query]);
                        else {
                            line alone(width, 0);
                            alone[query] = 1;
                            CHECK(theirs[query] == alone);
                            CHECK(ours[query][query - 1] == 1);
                            ++tails;
                        }
                });
        });
    }
    CHECK(tails != 0);
}
