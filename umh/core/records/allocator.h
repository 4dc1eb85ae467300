// SPDX-License-Identifier: GPL-2.0
//
// records: which parts of an arena are free.
#pragma once

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
    // What was taken, or the end of it.
    void give(std::uint32_t place, std::uint32_t size);

    [[nodiscard]] bool is_empty() const { return taken_ == 0; }
    [[nodiscard]] std::uint32_t taken() const { return taken_; }

    // What a size takes.
    static std::uint32_t round(std::uint32_t size);

private:
    std::map<std::uint32_t, std::uint32_t> free_; // place, size; no two touch
    std::uint32_t taken_ = 0;
};

} // namespace bpfilter::records
