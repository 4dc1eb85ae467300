// SPDX-License-Identifier: GPL-2.0
//
// The extensions that the entries of a table use, found once, by their names: whoever comes
// later asks here.
#pragma once

#include "umh/core/blob/entry.h"
#include "umh/core/extension/extension.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::blob {

class Uses {
public:
    using Matches = std::span<const extension::MatchExtension *const>;

    // Of the next entry: its matches in order, then its target.
    void add(const extension::MatchExtension *match) { matches_.push_back(match); }
    void add(const extension::TargetExtension *target)
    {
        targets_.push_back(target);
        ends_.push_back(static_cast<std::uint32_t>(matches_.size()));
    }

    [[nodiscard]] std::size_t size() const { return targets_.size(); }
    [[nodiscard]] Matches matches(std::size_t entry) const
    {
        const std::size_t begin = entry == 0 ? 0 : ends_.at(entry - 1);
        return Matches(matches_).subspan(begin, ends_.at(entry) - begin);
    }
    [[nodiscard]] const extension::TargetExtension &target(std::size_t entry) const
    {
        return *targets_.at(entry);
    }

private:
    std::vector<const extension::MatchExtension *> matches_; // of one entry behind the other
    std::vector<std::uint32_t> ends_;                        // of each entry, in matches_
    std::vector<const extension::TargetExtension *> targets_;
};

// Calls `f(extension, view, offset)` for every match of an entry and then for its target.
template <typename F> void each_extension(const Entry &entry, std::size_t id, const Uses &uses, F f)
{
    std::size_t n = 0;
    entry.each_match([&](const ExtensionView &view, std::size_t offset) {
        f(static_cast<const extension::Extension &>(*uses.matches(id)[n++]), view, offset);
        return true;
    });
    f(static_cast<const extension::Extension &>(uses.target(id)), entry.target(),
      entry.target_offset());
}

} // namespace bpfilter::blob
