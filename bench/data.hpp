// SPDX-License-Identifier: MIT
// What is collated: the five workloads, the batches of the inference case, and named length distributions. The same on every
// machine: from a counter generator, not from the standard library's distributions, which differ from one library to the next.
#ifndef BENCH_DATA_HPP_INCLUDED
#define BENCH_DATA_HPP_INCLUDED

#include <batten/batten.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

// Number `counter` of stream `seed`: splitmix64.
inline std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter)
{
    std::uint64_t z = (seed + 1) * 0xD1B54A32D192ED03U + (counter + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

class generator {
public:
    explicit generator(std::uint64_t seed) : seed_(seed) {}

    // (0, 1]
    double uniform() { return static_cast<double>((random_bits(seed_, counter_++) >> 11) + 1) * 0x1p-53; }

    // [0, n), n far below 2^53
    std::size_t below(std::size_t n) { return std::min(static_cast<std::size_t>(uniform() * static_cast<double>(n)), n - 1); }

    // Box and Muller
    double normal()
    {
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

    std::size_t lognormal(double median, double sigma, std::size_t least, std::size_t most)
    {
        const double drawn = median * std::exp(sigma * normal());
        return std::clamp(static_cast<std::size_t>(std::lround(drawn)), least, most);
    }

    // Of GPT-2's vocabulary, but 0, which is the pad here.
    std::int32_t token() { return static_cast<std::int32_t>(1 + below(50256)); }

    template <class T>
    void shuffle(std::vector<T>& values)
    {
        for (std::size_t i = values.size(); i > 1; --i)
            std::swap(values[i - 1], values[below(i)]);
    }

private:
    std::uint64_t seed_;
    std::uint64_t counter_ = 0;
};

// The same rows twice: as vectors, and flat.
struct batch {
    std::vector<std::vector<std::int32_t>> rows{};
    std::vector<std::int32_t> tokens{};
    std::vector<std::int64_t> offsets{};
    std::size_t width = 0;  // the longest row

    batten::ragged_view<std::int32_t, std::int64_t> flat() const { return {tokens, offsets}; }
    std::size_t cells() const { return rows.size() * width; }
    std::size_t real() const { return tokens.size(); }
};

inline batch make_batch(const std::vector<std::size_t>& lengths, generator& draw)
{
    batch made;
    made.offsets.push_back(0);
    for (const std::size_t length : lengths) {
        std::vector<std::int32_t> row(length);
        for (std::int32_t& token : row)
            token = draw.token();
        made.tokens.insert(made.tokens.end(), row.begin(), row.end());
        made.offsets.push_back(static_cast<std::int64_t>(made.tokens.size()));
        made.rows.push_back(std::move(row));
        made.width = std::max(made.width, length);
    }
    return made;
}

struct workload {
    std::string name{};
    std::vector<batch> batches{};

    std::size_t largest_cells() const
    {
        std::size_t most = 0;
        for (const batch& b : batches)
            most = std::max(most, b.cells());
        return most;
    }
    std::size_t cells() const
    {
        std::size_t sum = 0;
        for (const batch& b : batches)
            sum += b.cells();
        return sum;
    }
    std::size_t real() const
    {
        std::size_t sum = 0;
        for (const batch& b : batches)
            sum += b.real();
        return sum;
    }
};

struct workload_kind {
    std::string_view name;
    std::size_t rows;
    std::size_t batches;  // collated in turn, so that the same lengths do not come back to back
    std::size_t longest;
    std::size_t pool;  // not 0: of this many batches, drawn, sorted by length and cut, `batches` are taken, evenly spread
};

inline constexpr workload_kind workload_kinds[] = {
    {"B32", 32, 16, 2048, 0},    {"B256", 256, 4, 2048, 0},       {"B256bkt", 256, 8, 2048, 64},
    {"B1024", 1024, 2, 4096, 0}, {"B8192bkt", 8192, 2, 4096, 16},
};

// Lengths lognormal, median 180, sigma 0.9, at least 8.
inline workload make_workload(const workload_kind& kind)
{
    generator draw(kind.rows * 2 + (kind.pool != 0 ? 1 : 0));
    workload made{std::string(kind.name), {}};
    const std::size_t drawn = kind.pool != 0 ? kind.pool : kind.batches;
    std::vector<std::size_t> lengths(drawn * kind.rows);
    for (std::size_t& length : lengths)
        length = draw.lognormal(180.0, 0.9, 8, kind.longest);
    if (kind.pool != 0)
        std::sort(lengths.begin(), lengths.end());
    for (std::size_t i = 0; i < kind.batches; ++i) {
        const std::size_t which = kind.pool != 0 ? (2 * i + 1) * kind.pool / (2 * kind.batches) : i;
        const auto first = lengths.begin() + static_cast<std::ptrdiff_t>(which * kind.rows);
        std::vector<std::size_t> own(first, first + static_cast<std::ptrdiff_t>(kind.rows));
        draw.shuffle(own);  // rows of one bucket come in no order
        made.batches.push_back(make_batch(own, draw));
    }
    return made;
}

// `batches` batches of `rows` short prompts, 8 to 64 tokens.
inline workload make_inference(std::size_t rows, std::size_t batches)
{
    generator draw(1000 + rows);
    workload made{"B=" + std::to_string(rows), {}};
    for (std::size_t i = 0; i < batches; ++i) {
        std::vector<std::size_t> lengths(rows);
        for (std::size_t& length : lengths)
            length = 8 + draw.below(57);
        made.batches.push_back(make_batch(lengths, draw));
    }
    return made;
}

// ---- named length distributions ----------------------------------------------------------------------------------------

// Lengths at the percentiles below, by nearest rank, computed from the list that `source` names.
struct distribution_kind {
    std::string_view name;
    std::string_view source;
    std::string_view file;     // below shared/data
    std::string_view columns;  // of the file: those whose sum is a length; "length*count" for a histogram
    std::size_t quantiles[21];
};

inline constexpr double quantile_percents[21] = {0,  1,  2.5, 5,  10, 15, 20, 25,   30, 40, 50,
                                                 60, 70, 75,  80, 85, 90, 95, 97.5, 99, 100};

inline constexpr distribution_kind distribution_kinds[] = {
    {"chat prompts",
     "Azure/AzurePublicDataset, AzureLLMInferenceTrace_conv.csv (CC BY 4.0; Splitwise, ISCA 2024)",
     "traces/azure_2023_conv.csv",
     "context_tokens",
     {2, 29, 120, 181, 207, 372, 387, 396, 403, 703, 1020, 1071, 1130, 1189, 1315, 1877, 2735, 4083, 4092, 4142, 14050}},
    {"long documents",
     "kvcache-ai/Mooncake, FAST25-release/traces/conversation_trace.jsonl (Apache-2.0)",
     "traces/mooncake_conversation.csv",
     "input_length",
     {891,  894,   896,   901,   964,   1261,  1662,  2306,  3263,  4993,  6909,
      9570, 13196, 15368, 17869, 21467, 27367, 39552, 59009, 85401, 126195}},
    {"instruction tuning",
     "yizhongw/self-instruct, data/finetuning/t0_train_50k (Apache-2.0)",
     "lengths/t0_train_sample.csv",
     "prompt_tokens+completion_tokens",
     {10, 20, 24, 30, 37, 44, 52, 58, 65, 81, 111, 169, 242, 307, 422, 476, 501, 612, 1272, 1998, 5886}},
    {"math",
     "openai/grade-school-math, data/train.jsonl (MIT)",
     "lengths/gsm8k_train.csv",
     "prompt_tokens+completion_tokens",
     {48, 67, 73, 79, 89, 96, 102, 108, 115, 127, 140, 155, 172, 183, 193, 208, 227, 258, 283, 315, 433}},
    {"BERT pre-training",
     "graphcore/examples, tutorials/blogs_code/packedBERT/histograms.py (MIT)",
     "traces/packedbert_wikipedia_histogram.csv",
     "length*count",
     {5, 22, 29, 36, 48, 59, 70, 84, 100, 143, 204, 288, 407, 484, 512, 512, 512, 512, 512, 512, 512}},
};

struct distribution {
    std::string_view name{};
    bool from_list = false;  // else from the quantiles
    std::vector<std::size_t> sample{};
    std::size_t longest = 0;  // of the whole list
};

namespace detail {

inline std::vector<std::string> split(std::string_view text, char at)
{
    std::vector<std::string> parts;
    std::istringstream in{std::string(text)};
    for (std::string part; std::getline(in, part, at);)
        parts.push_back(part);
    return parts;
}

// Lengths and how often each comes. Empty where there is no such file.
inline std::vector<std::pair<std::size_t, std::size_t>> read_lengths(const std::string& path, std::string_view columns)
{
    std::vector<std::pair<std::size_t, std::size_t>> read;
    std::ifstream in(path);
    std::string line;
    if (!std::getline(in, line))
        return read;
    const std::vector<std::string> header = split(line, ',');
    const bool histogram = columns == "length*count";
    const std::vector<std::string> wanted = histogram ? split("length*count", '*') : split(columns, '+');
    while (std::getline(in, line)) {
        const std::vector<std::string> values = split(line, ',');
        std::vector<std::size_t> found;
        for (const std::string& name : wanted)
            for (std::size_t i = 0; i < header.size() && i < values.size(); ++i)
                if (header[i] == name)
                    found.push_back(std::stoul(values[i]));
        if (found.size() != wanted.size())
            return {};  // another format than the one known here
        if (histogram)
            read.emplace_back(found[0], found[1]);
        else if (found.size() == 2)
            read.emplace_back(found[0] + found[1], 1);
        else
            read.emplace_back(found[0], 1);
    }
    return read;
}

}  // namespace detail

// `rows` lengths drawn with replacement: from the list below `data` where it is there, else from the quantiles, between which
// lengths are taken to lie on straight lines.
inline distribution make_distribution(const distribution_kind& kind, const std::string& data, std::size_t rows)
{
    generator draw(2000 + kind.name.size());
    distribution made{kind.name, false, {}, kind.quantiles[20]};
    const auto list = detail::read_lengths(data + "/" + std::string(kind.file), kind.columns);
    std::vector<std::size_t> up_to;  // lengths counted, up to and with entry i
    std::size_t all = 0;
    for (const auto& [length, count] : list)
        up_to.push_back(all += count);
    made.from_list = all != 0;
    if (made.from_list) {
        made.longest = 0;
        for (const auto& [length, count] : list)
            made.longest = count != 0 ? std::max(made.longest, length) : made.longest;
    }
    for (std::size_t i = 0; i < rows; ++i) {
        if (made.from_list) {
            const auto at = std::upper_bound(up_to.begin(), up_to.end(), draw.below(all));
            made.sample.push_back(list[static_cast<std::size_t>(at - up_to.begin())].first);
        } else {
            const double percent = 100.0 * draw.uniform();
            std::size_t above = 1;
            while (quantile_percents[above] < percent)
                ++above;
            const double low = static_cast<double>(kind.quantiles[above - 1]);
            const double high = static_cast<double>(kind.quantiles[above]);
            const double part =
                (percent - quantile_percents[above - 1]) / (quantile_percents[above] - quantile_percents[above - 1]);
            made.sample.push_back(static_cast<std::size_t>(std::lround(low + part * (high - low))));
        }
    }
    return made;
}

// At most `count` edges, the last `longest`, that leave the fewest pads on the sample, among 128 lengths of it to choose from.
inline std::vector<std::size_t> least_padding_edges(std::vector<std::size_t> sample, std::size_t count, std::size_t longest)
{
    std::sort(sample.begin(), sample.end());
    std::vector<std::size_t> lengths{0}, up_to{0};  // candidate edges, and how many rows are at most so long
    for (std::size_t i = 1; i <= 128; ++i) {
        const std::size_t length = i == 128 ? longest : sample[i * sample.size() / 128 - 1];
        if (length == lengths.back())
            continue;
        lengths.push_back(length);
        up_to.push_back(static_cast<std::size_t>(std::upper_bound(sample.begin(), sample.end(), length) - sample.begin()));
    }
    // cells[e] with k edges, the last of them e: the best of all edges before it
    const std::size_t edges = lengths.size();
    std::vector<std::size_t> cells(edges);
    for (std::size_t e = 1; e < edges; ++e)
        cells[e] = up_to[e] * lengths[e];
    std::vector<std::vector<std::size_t>> before(1, std::vector<std::size_t>(edges, 0));
    for (std::size_t k = 1; k < count; ++k) {
        std::vector<std::size_t> next = cells;
        before.push_back(std::vector<std::size_t>(edges, edges));  // edges: as good without one more
        for (std::size_t e = 2; e < edges; ++e)
            for (std::size_t b = 1; b < e; ++b)
                if (const std::size_t sum = cells[b] + (up_to[e] - up_to[b]) * lengths[e]; sum < next[e]) {
                    next[e] = sum;
                    before[k][e] = b;
                }
        cells = std::move(next);
    }
    std::vector<std::size_t> chosen;
    std::size_t e = edges - 1;
    for (std::size_t k = count; k-- != 0 && e != 0;) {
        if (before[k][e] == edges)
            continue;
        chosen.push_back(lengths[e]);
        e = before[k][e];
    }
    std::reverse(chosen.begin(), chosen.end());
    return chosen;
}

}  // namespace bench

#endif
