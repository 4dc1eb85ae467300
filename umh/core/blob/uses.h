// SPDX-License-Identifier: GPL-2.0
//
// The extensions that the entries of a table use, found once, by their names: whoever comes
// later asks here. One that is the kernel's, of which we know nothing, is nullptr.
#pragma once

#include "umh/core/blob/entry.h"
#include "umh/core/extension/extension.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace bpfilter::blob {

class Uses {
public:
    // Of the next entry: its matches in order, then its target.
    void add(const extension::MatchExtension *match) { matches_.push_back(match); }
    void add(const extension::TargetExtension *target)
    {
        targets_.push_back(target);
        ends_.push_back(static_cast<std::uint32_t>(matches_.size()));
    }

    // The n-th of an entry, which has so many.
    [[nodiscard]] const extension::MatchExtension *match(std::size_t entry, std::size_t n) const
    {
        const std::size_t begin = entry == 0 ? 0 : ends_.at(entry - 1);
        if (n >= ends_.at(entry) - begin)
            throw std::out_of_range("an entry has fewer matches");
        return matches_.at(begin + n);
    }
    [[nodiscard]] const extension::TargetExtension *target(std::size_t entry) const
    {
        return targets_.at(entry);
    }

private:
    std::vector<const extension::MatchExtension *> matches_; // of one entry behind the other
    std::vector<std::uint32_t> ends_;                        // of each entry, in matches_
    std::vector<const extension::TargetExtension *> targets_;
};

// Calls `f(pointer to extension, view, offset)` for every match of an entry and then for its
// target.
template <typename F> void each_extension(const Entry &entry, std::size_t id, const Uses &uses, F f)
{
    std::size_t n = 0;
    entry.each_match([&](const ExtensionView &view, std::size_t offset) {
        f(static_cast<const extension::Extension *>(uses.match(id, n++)), view, offset);
        return true;
    });
    f(static_cast<const extension::Extension *>(uses.target(id)), entry.target(),
      entry.target_offset());
}

} // namespace bpfilter::blob
