// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/allocator.h"

#include <algorithm>
#include <iterator>

namespace bpfilter::records {

namespace {
constexpr std::uint32_t line = 64;
}

std::uint32_t Allocator::round(std::uint32_t size)
{
    return (size + line - 1) / line * line;
}

Allocator::Allocator(std::uint32_t first, std::uint32_t size)
{
    const std::uint32_t begin = round(first);
    if (begin < size)
        free_[begin] = (size - begin) / line * line;
}

std::optional<std::uint32_t> Allocator::take(std::uint32_t size)
{
    size = round(size);
    const auto found =
        std::ranges::find_if(free_, [size](const auto &range) { return range.second >= size; });
    if (found == free_.end())
        return {};
    const auto [place, all] = *found;
    free_.erase(found);
    if (all > size)
        free_[place + size] = all - size;
    taken_ += size;
    return place;
}

void Allocator::give(std::uint32_t place, std::uint32_t size)
{
    size = round(size);
    if (size == 0)
        return;
    taken_ -= size;
    auto next = free_.lower_bound(place);
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == place) {
            place = before->first;
            size += before->second;
            free_.erase(before);
        }
    }
    if (next != free_.end() && place + size == next->first) {
        size += next->second;
        free_.erase(next);
    }
    free_[place] = size;
}

} // namespace bpfilter::records
