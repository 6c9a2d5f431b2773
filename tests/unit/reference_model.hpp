// SPDX-License-Identifier: MIT
// A small decoder in double, as plainly as it can be written: what a batch is for. Embeddings, layers of attention over a KV
// cache and of an MLP, logits. Seeded weights, positions learned or rotary.
#ifndef BATTEN_TESTS_REFERENCE_MODEL_HPP_INCLUDED
#define BATTEN_TESTS_REFERENCE_MODEL_HPP_INCLUDED

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

namespace tests {

using vec = std::vector<double>;

enum class positions_are : unsigned char { learned, rotary };

struct model_shape {
    positions_are positions = positions_are::learned;
    std::size_t vocabulary = 13;
    std::size_t most_positions = 64;
    std::size_t width = 8;  // a multiple of 2 * heads
    std::size_t heads = 2;
    std::size_t layers = 2;
};

// Keys and values of one row, [layers][columns]. What was never written is NaN: to attend to it shows.
struct kv_cache {
    kv_cache(const model_shape& of, std::size_t columns) : keys(of.layers, std::vector<vec>(columns, nothing(of))), values(keys)
    {
    }
    static vec nothing(const model_shape& of) { return vec(of.width, std::numeric_limits<double>::quiet_NaN()); }

    std::vector<std::vector<vec>> keys, values;
};

class reference_model {
public:
    explicit reference_model(const model_shape& shape, std::uint64_t seed = 1) : shape_(shape)
    {
        const std::size_t d = shape.width;
        weights.resize((shape.vocabulary + shape.most_positions) * d + shape.layers * 8 * d * d);
        std::mt19937_64 any(seed);
        for (double& weight : weights)  // uniform in [-1, 1), alike on every platform
            weight = static_cast<double>(any() >> 11) * 0x1p-52 - 1;
    }

    // All of them, so that a test can take every derivative.
    vec weights;

    kv_cache cache(std::size_t columns) const { return {shape_, columns}; }

    // Runs columns [first, first + n) of a row, writes their keys and values to the cache, and returns their logits.
    // attends(i, key): whether the i-th of these columns sees column `key` of the cache.
    template <class Int, class Attends>
    std::vector<vec> run(kv_cache& cache, std::size_t first, std::span<const Int> ids, std::span<const Int> positions,
                         Attends attends) const
    {
        const std::size_t d = shape_.width;
        std::vector<vec> x;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            x.push_back(row(static_cast<std::size_t>(ids[i])));
            if (shape_.positions == positions_are::learned)
                add(x[i], row(shape_.vocabulary + static_cast<std::size_t>(positions[i])));
        }
        const double* weight = weights.data() + (shape_.vocabulary + shape_.most_positions) * d;
        for (std::size_t layer = 0; layer < shape_.layers; ++layer, weight += 8 * d * d) {
            for (std::size_t i = 0; i < x.size(); ++i) {
                cache.keys[layer][first + i] = turned(product(weight, normed(x[i]), d), positions[i]);
                cache.values[layer][first + i] = product(weight + d * d, normed(x[i]), d);
            }
            for (std::size_t i = 0; i < x.size(); ++i) {
                const vec query = turned(product(weight + 2 * d * d, normed(x[i]), d), positions[i]);
                const vec seen = attention(query, cache.keys[layer], cache.values[layer],
                                           [&](std::size_t key) { return attends(i, key); });
                add(x[i], product(weight + 3 * d * d, seen, d));
                vec hidden = product(weight + 4 * d * d, normed(x[i]), 2 * d);
                for (double& h : hidden)
                    h = std::tanh(h);
                add(x[i], product(weight + 6 * d * d, hidden, d));
            }
        }
        std::vector<vec> logits;
        for (const vec& column : x)
            logits.push_back(product(weights.data(), normed(column), shape_.vocabulary));
        return logits;
    }

private:
    vec row(std::size_t i) const
    {
        return {weights.data() + i * shape_.width, weights.data() + (i + 1) * shape_.width};
    }
    static void add(vec& to, const vec& what)
    {
        for (std::size_t i = 0; i < to.size(); ++i)
            to[i] += what[i];
    }
    static double dot(const double* a, const double* b, std::size_t n)
    {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i)
            sum += a[i] * b[i];
        return sum;
    }
    // A matrix of `rows` rows, times x.
    static vec product(const double* matrix, const vec& x, std::size_t rows)
    {
        vec y(rows);
        for (std::size_t r = 0; r < rows; ++r)
            y[r] = dot(matrix + r * x.size(), x.data(), x.size());
        return y;
    }
    static vec normed(vec x)
    {
        const double scale = 1 / std::sqrt(dot(x.data(), x.data(), x.size()) / static_cast<double>(x.size()) + 1e-6);
        for (double& value : x)
            value *= scale;
        return x;
    }

    // Rotary: pair j of a head turns by position / 10^j.
    template <class Int>
    vec turned(vec x, Int position) const
    {
        if (shape_.positions != positions_are::rotary)
            return x;
        const std::size_t pairs = shape_.width / shape_.heads / 2;
        for (std::size_t p = 0; p < x.size() / 2; ++p) {
            const double angle = static_cast<double>(position) / std::pow(10.0, static_cast<double>(p % pairs));
            const double a = x[2 * p], b = x[2 * p + 1];
            x[2 * p] = a * std::cos(angle) - b * std::sin(angle);
            x[2 * p + 1] = a * std::sin(angle) + b * std::cos(angle);
        }
        return x;
    }

    // Softmax over the keys that are seen; of none, zeros.
    template <class Sees>
    vec attention(const vec& query, const std::vector<vec>& keys, const std::vector<vec>& values, Sees sees) const
    {
        const std::size_t per_head = shape_.width / shape_.heads;
        const double scale = 1 / std::sqrt(static_cast<double>(per_head));
        vec out(shape_.width, 0.0);
        for (std::size_t h = 0; h < shape_.width; h += per_head) {
            double total = 0;
            for (std::size_t key = 0; key < keys.size(); ++key) {
                if (!sees(key))
                    continue;
                const double share = std::exp(dot(&query[h], &keys[key][h], per_head) * scale);
                total += share;
                for (std::size_t i = h; i < h + per_head; ++i)
                    out[i] += share * values[key][i];
            }
            for (std::size_t i = h; total != 0 && i < h + per_head; ++i)
                out[i] /= total;
        }
        return out;
    }

    model_shape shape_;
};

// -log of the softmax's share of `target`.
inline double cross_entropy(const vec& logits, std::size_t target)
{
    double total = 0;
    for (const double logit : logits)
        total += std::exp(logit - logits[target]);
    return std::log(total);
}

}  // namespace tests

#endif
