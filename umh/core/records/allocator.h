// SPDX-License-Identifier: GPL-2.0
//
// records: which parts of an arena are free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace bpfilter::records {

class Allocator {
public:
    // What is before `first` is never given away. In bytes; all that is given begins with a line.
    Allocator(std::uint32_t first, std::uint32_t size);

    // The first place with so many bytes.
    std::optional<std::uint32_t> take(std::uint32_t size);
    // What was taken, but for what was cut off.
    void give(std::uint32_t place, std::uint32_t size) noexcept;
    // The end of what was taken.
    void cut(std::uint32_t place, std::uint32_t size) noexcept;

    [[nodiscard]] bool is_empty() const { return taken_ == 0; }
    [[nodiscard]] std::uint32_t taken() const { return taken_; }

    // What a size takes.
    static std::uint32_t round(std::uint32_t size);

private:
    void release(std::uint32_t place, std::uint32_t size) noexcept;

    std::map<std::uint32_t, std::uint32_t> free_; // place, size; no two touch
    // To give back takes no memory, of which there may be none: between so many that were taken
    // there is one more that is free at most, and whoever takes makes the node.
    std::multimap<std::uint32_t, std::uint32_t> spare_;
    std::size_t count_ = 0; // of what is taken
    std::uint32_t taken_ = 0;
};

} // namespace bpfilter::records
