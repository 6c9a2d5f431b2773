// SPDX-License-Identifier: MIT
// The two sets of outputs that are measured, the memory they go to, and the bytes that must come out.
#ifndef BENCH_OUTPUTS_HPP_INCLUDED
#define BENCH_OUTPUTS_HPP_INCLUDED

#include "data.hpp"
#include "fills.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bench {

// An output array as a caller would allocate it who cares: aligned, huge pages advised, touched beforehand.
template <class T>
class array {
public:
    explicit array(std::size_t elements) : bytes_((elements * sizeof(T) + alignment - 1) / alignment * alignment)
    {
        memory_.reset(::operator new (bytes_, std::align_val_t{alignment}));
#if defined(__linux__)
        madvise(memory_.get(), bytes_, MADV_HUGEPAGE);
#endif
        std::memset(memory_.get(), 0xAB, bytes_);
    }
    T* data() const
    {
        return static_cast<T*>(memory_.get());
    }
    void spoil(std::size_t elements)
    {
        std::memset(memory_.get(), 0xAB, elements * sizeof(T));
    }

private:
    static constexpr std::size_t alignment = std::size_t{1} << 21;
    struct free {
        void operator()(void* memory) const { ::operator delete (memory, std::align_val_t{alignment}); }
    };
    std::size_t bytes_;
    std::unique_ptr<void, free> memory_{};
};

inline constexpr std::int32_t pad_id = 0;
inline constexpr std::int64_t ignore_index = -100;

using byte_spans = std::vector<std::span<const std::byte>>;

template <class T>
std::span<const std::byte> bytes_of(const T* cells, std::size_t count)
{
    return std::as_bytes(std::span<const T>(cells, count));
}

// Token ids, attention mask, position ids and labels.
struct four_int64 {
    static constexpr std::string_view name = "4 x int64";
    static constexpr std::size_t cell_bytes = 32;
    using fields = batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>, batten::labels<>>;

    struct memory {
        explicit memory(std::size_t cells) : ids(cells), mask(cells), positions(cells), labels(cells) {}
        array<std::int64_t> ids, mask, positions, labels;

        auto outputs(std::size_t cells) const
        {
            const auto span = [cells](const auto& of) { return std::span(of.data(), cells); };
            auto i = span(ids), m = span(mask), p = span(positions), l = span(labels);
            return batten::outputs{batten::set<batten::token_ids>(i), batten::set<batten::attention_mask>(m),
                                   batten::set<batten::position_ids>(p), batten::set<batten::labels>(l)};
        }
        byte_spans written(std::size_t cells) const
        {
            return {bytes_of(ids.data(), cells), bytes_of(mask.data(), cells), bytes_of(positions.data(), cells),
                    bytes_of(labels.data(), cells)};
        }
        void spoil(std::size_t cells)
        {
            ids.spoil(cells);
            mask.spoil(cells);
            positions.spoil(cells);
            labels.spoil(cells);
        }
        std::vector<fill_part> fill_parts(std::size_t real, std::size_t cells) const
        {
            return {make_part(ids.data(), real, cells, 8, 0x9ABCU, 0), make_part(mask.data(), real, cells, 8, 1, 0),
                    make_part(positions.data(), real, cells, 8, 0x81U, 0),
                    make_part(labels.data(), real, cells, 8, 0x9ABCU, static_cast<std::uint64_t>(ignore_index))};
        }
    };

    template <class Batch>
    static byte_spans written(const Batch& b)
    {
        const std::size_t cells = b.rows() * b.width();
        return {bytes_of(b.token_ids().data(), cells), bytes_of(b.attention_mask().data(), cells),
                bytes_of(b.position_ids().data(), cells), bytes_of(b.labels().data(), cells)};
    }
};

// Token ids as int32 and a mask of bytes.
struct int32_and_mask {
    static constexpr std::string_view name = "i32 + u8";
    static constexpr std::size_t cell_bytes = 5;
    using fields = batten::fields<batten::token_ids<std::int32_t>, batten::attention_mask<std::uint8_t>>;

    struct memory {
        explicit memory(std::size_t cells) : ids(cells), mask(cells) {}
        array<std::int32_t> ids;
        array<std::uint8_t> mask;

        auto outputs(std::size_t cells) const
        {
            auto i = std::span(ids.data(), cells);
            auto m = std::span(mask.data(), cells);
            return batten::outputs{batten::set<batten::token_ids>(i), batten::set<batten::attention_mask>(m)};
        }
        byte_spans written(std::size_t cells) const { return {bytes_of(ids.data(), cells), bytes_of(mask.data(), cells)}; }
        void spoil(std::size_t cells)
        {
            ids.spoil(cells);
            mask.spoil(cells);
        }
        std::vector<fill_part> fill_parts(std::size_t real, std::size_t cells) const
        {
            return {make_part(ids.data(), real, cells, 4, 0x00009ABC00009ABCU, 0),
                    make_part(mask.data(), real, cells, 1, 0x0101010101010101U, 0)};
        }
    };

    template <class Batch>
    static byte_spans written(const Batch& b)
    {
        const std::size_t cells = b.rows() * b.width();
        return {bytes_of(b.token_ids().data(), cells), bytes_of(b.attention_mask().data(), cells)};
    }
};

// What Set's arrays must hold, cell by cell: the plainest way to say it, against which every contender's bytes are compared.
template <class Set>
std::vector<std::vector<std::byte>> expected_bytes(const batch& of, bool left)
{
    constexpr bool all_four = std::is_same_v<Set, four_int64>;
    const std::size_t sizes[] = {all_four ? 8 : 4, all_four ? 8 : 1, 8, 8};
    std::vector<std::vector<std::byte>> arrays;
    for (std::size_t which = 0; which < (all_four ? 4 : 2); ++which)
        arrays.emplace_back(of.cells() * sizes[which]);
    std::size_t cell = 0;
    const auto put = [&](std::size_t which, auto value) {
        std::memcpy(arrays[which].data() + cell * sizeof value, &value, sizeof value);
    };
    for (const std::vector<std::int32_t>& row : of.rows) {
        const std::size_t begin = left ? of.width - row.size() : 0;
        for (std::size_t c = 0; c < of.width; ++c, ++cell) {
            const bool real = c >= begin && c < begin + row.size();
            const std::int32_t token = real ? row[c - begin] : pad_id;
            if constexpr (all_four) {
                put(0, std::int64_t{token});
                put(1, std::int64_t{real});
                put(2, static_cast<std::int64_t>(real ? c - begin : 0));
                put(3, real ? std::int64_t{token} : ignore_index);
            } else {
                put(0, token);
                put(1, static_cast<std::uint8_t>(real));
            }
        }
    }
    return arrays;
}

// Ends the program where a contender is wrong: its time would mean nothing.
inline void check_bytes(const std::vector<std::vector<std::byte>>& expected, const byte_spans& found, const std::string& who)
{
    bool same = expected.size() == found.size();
    for (std::size_t i = 0; same && i < found.size(); ++i)
        same = found[i].size() == expected[i].size() && std::memcmp(found[i].data(), expected[i].data(), found[i].size()) == 0;
    if (!same) {
        std::fprintf(stderr, "%s wrote other bytes than the reference\n", who.c_str());
        std::exit(1);
    }
}

inline void check_fill(const std::vector<fill_part>& parts, const std::string& who)
{
    for (const fill_part& part : parts)
        for (std::size_t i = 0; i < part.real_bytes + part.pad_bytes; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, part.out + i, sizeof word);
            if (word != (i < part.real_bytes ? part.real_value : part.pad_value)) {
                std::fprintf(stderr, "%s wrote other bytes than it was told\n", who.c_str());
                std::exit(1);
            }
        }
}

}  // namespace bench

#endif
