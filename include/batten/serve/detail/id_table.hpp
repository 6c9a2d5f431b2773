// SPDX-License-Identifier: MIT
// The slot of each waiting request by its id: a hash table of a fixed capacity.
#ifndef BATTEN_SERVE_DETAIL_ID_TABLE_HPP_INCLUDED
#define BATTEN_SERVE_DETAIL_ID_TABLE_HPP_INCLUDED

#include <batten/detail/random.hpp>
#include <batten/integer.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batten::serve::detail {

// Open addressing with linear probing and at least twice as many entries as ids. Allocates only when it is made.
class id_table {
public:
    static constexpr std::size_t nowhere = batten::detail::size_limit;

private:
    struct entry {
        std::uint64_t id = 0;
        std::size_t slot = nowhere;
    };

public:
    static constexpr std::size_t max_bytes_per_id = 4 * sizeof(entry);

    constexpr explicit id_table(std::size_t capacity) : entries_(std::bit_ceil(2 * capacity), entry{}) {}

    [[nodiscard]] constexpr std::size_t find(std::uint64_t id) const noexcept { return entries_[place_of(id)].slot; }
    // Requires: the id is not in the table, which holds fewer than `capacity` ids.
    constexpr void insert(std::uint64_t id, std::size_t slot) noexcept { entries_[place_of(id)] = {id, slot}; }
    // Requires: the id is in the table.
    constexpr void erase(std::uint64_t id) noexcept
    {
        // Backward-shift deletion: an entry whose home is at or before the hole moves into it.
        std::size_t hole = place_of(id);
        for (std::size_t next = after(hole); entries_[next].slot != nowhere; next = after(next)) {
            const std::size_t past_home = (next - home_of(entries_[next].id)) & mask();
            if (past_home >= ((next - hole) & mask()))
                entries_[std::exchange(hole, next)] = entries_[next];
        }
        entries_[hole].slot = nowhere;
    }

private:
    constexpr std::size_t mask() const noexcept { return entries_.size() - 1; }
    constexpr std::size_t home_of(std::uint64_t id) const noexcept
    {
        return static_cast<std::size_t>(batten::detail::mix(id)) & mask();
    }
    constexpr std::size_t after(std::size_t place) const noexcept { return (place + 1) & mask(); }

    // The id's place, or the free one that it would take.
    constexpr std::size_t place_of(std::uint64_t id) const noexcept
    {
        std::size_t place = home_of(id);
        while (entries_[place].slot != nowhere && entries_[place].id != id)
            place = after(place);
        return place;
    }

    std::vector<entry> entries_;
};

}  // namespace batten::serve::detail

#endif
