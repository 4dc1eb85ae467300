// SPDX-License-Identifier: GPL-2.0
//
// A match or target as it stands in an entry: struct xt_entry_match, struct xt_entry_target.
#pragma once

#include "umh/util/bytes.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bpfilter::extension {

// The same everywhere.
inline constexpr std::size_t extension_header_size = 32;
inline constexpr std::size_t extension_name_offset = 2;
inline constexpr std::size_t extension_name_size = 29;
inline constexpr std::size_t extension_revision_offset = 31;
inline constexpr std::size_t error_name_size = 30; // XT_FUNCTION_MAXNAMELEN

// Checked to lie within its entry.
class ExtensionView {
public:
    explicit ExtensionView(Bytes bytes) : bytes_(bytes) {}

    // Without its NUL. Not terminated: 29 bytes.
    std::string_view name() const
    {
        return load_string(slice(bytes_, extension_name_offset, extension_name_size));
    }
    bool terminated() const { return name().size() < extension_name_size; }
    std::uint8_t revision() const { return load<std::uint8_t>(bytes_, extension_revision_offset); }
    Bytes header() const { return bytes_.first(extension_header_size); }
    Bytes payload() const { return bytes_.subspan(extension_header_size); }
    std::size_t size() const { return bytes_.size(); }

private:
    Bytes bytes_;
};

} // namespace bpfilter::extension
