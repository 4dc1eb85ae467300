// SPDX-License-Identifier: GPL-2.0
//
// records: memory of the arena that a table is written to.
#pragma once

#include "umh/bpf/record.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

namespace bpfilter::records {

// From a place in the arena on, one thing after the other.
class Writer {
public:
    Writer(std::span<std::byte> to, std::uint32_t place) : to_(to), place_(place) {}
    // Nowhere: to learn what it takes.
    Writer() : only_counts_(true) {}

    // Where the next `size` bytes will be.
    std::uint32_t take(std::size_t size)
    {
        const std::size_t aligned = (size + 15) / 16 * 16;
        if (!only_counts_ && aligned > to_.size() - used_)
            throw std::length_error("a table is larger in the arena than it was thought to be");
        const auto place = place_ + static_cast<std::uint32_t>(used_);
        used_ += aligned;
        return place;
    }

    template <typename T> void write(std::uint32_t place, const T &value)
    {
        if (!only_counts_)
            std::memcpy(to_.data() + (place - place_), &value, sizeof(value));
    }

    template <typename T> std::uint32_t add(const T &value)
    {
        const std::uint32_t place = take(sizeof(value));
        write(place, value);
        return place;
    }

    [[nodiscard]] std::size_t used() const { return used_; }

private:
    std::span<std::byte> to_;
    std::uint32_t place_ = 0;
    std::size_t used_ = 0;
    bool only_counts_ = false;
};

} // namespace bpfilter::records
