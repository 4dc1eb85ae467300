// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/allocator.h"

#include <algorithm>
#include <iterator>
#include <utility>

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
    while (free_.size() + spare_.size() < count_ + 2)
        spare_.emplace(0, 0);
    // Nothing can fail from here on.
    auto node = free_.extract(found);
    const std::uint32_t place = node.key();
    if (node.mapped() > size) {
        node.key() += size;
        node.mapped() -= size;
        free_.insert(std::move(node));
    } else {
        spare_.insert(std::move(node));
    }
    taken_ += size;
    ++count_;
    return place;
}

void Allocator::give(std::uint32_t place, std::uint32_t size) noexcept
{
    release(place, size);
    --count_;
    while (!spare_.empty() && free_.size() + spare_.size() > count_ + 1)
        spare_.erase(spare_.begin());
}

void Allocator::cut(std::uint32_t place, std::uint32_t size) noexcept
{
    release(place, size);
}

void Allocator::release(std::uint32_t place, std::uint32_t size) noexcept
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
            spare_.insert(free_.extract(before));
        }
    }
    if (next != free_.end() && place + size == next->first) {
        size += next->second;
        spare_.insert(free_.extract(next));
    }
    auto node = spare_.extract(spare_.begin());
    node.key() = place;
    node.mapped() = size;
    free_.insert(std::move(node));
}

} // namespace bpfilter::records
