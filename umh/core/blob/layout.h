// SPDX-License-Identifier: GPL-2.0
//
// Layout: where things are in the requests and entries of one family.
//
// All that decode and encode know about struct ipt_entry and ip6t_entry is here; the code that
// walks entries is the same for both. What differs in kind, the conditional part at the start of an
// entry (struct ipt_ip, ip6t_ip6), is read by the two functions of the row.
#pragma once

#include "umh/core/extension/view.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::blob {

using extension::error_name_size;
using extension::extension_header_size;
using extension::extension_name_offset;
using extension::extension_name_size;
using extension::extension_revision_offset;
using extension::ExtensionView;

struct Layout {
    ir::Family family;
    std::size_t alignment; // of entries, matches and targets: XT_ALIGN

    // struct ipt_replace: all before the `counters` pointer is the same everywhere.
    std::size_t replace_size;
    // What the kernel adds to `size` before it compares with XT_MAX_TABLE_SIZE.
    std::size_t table_overhead;

    // struct ipt_entry. The conditional part is at 0.
    std::size_t ip_size;
    std::size_t target_offset;
    std::size_t next_offset;
    std::size_t comefrom;
    std::size_t counters;
    std::size_t entry_size; // matches begin here

    // In the conditional part.
    std::size_t flags;
    std::uint8_t flags_mask;
    std::uint8_t goto_flag;
    std::size_t inversion;
    std::uint8_t inversion_mask;
    std::uint8_t inverted_protocol;
    std::size_t protocol; // u16
    // Of flags: a protocol is asked for. The kernel sets it where one is named, unless it is lax
    // about it (BPFILTER_LAX_PROTOCOL). 0: there is no such flag.
    std::uint8_t protocol_flag;
    bool lax_protocol = false;

    // The questions of the conditional part, in the order in which ip_tables asks them. A
    // part that can never match, whatever the packet, gives one Never.
    ir::Conditions (*ip_conditions)(Bytes ip);
    // The same as iptables options: " -s 10.0.0.0/8 -i eth0".
    std::string (*ip_text)(Bytes ip);

    constexpr std::size_t align(std::size_t size) const
    {
        return (size + alignment - 1) / alignment * alignment;
    }
};

// struct ipt_replace: the same everywhere.
inline constexpr std::size_t table_name_size = 32;
inline constexpr std::size_t replace_valid_hooks = 32;
inline constexpr std::size_t replace_num_entries = 36;
inline constexpr std::size_t replace_entries_size = 40;
inline constexpr std::size_t replace_hook_entry = 44;
inline constexpr std::size_t replace_underflow = 64;
inline constexpr std::size_t replace_num_counters = 84;

inline constexpr std::size_t counters_size = 16; // struct xt_counters

// XT_MAX_TABLE_SIZE
inline constexpr std::size_t max_table_size = 512UL * 1024 * 1024;

// A hook that a table does not have, in hook_entry and underflow.
inline constexpr std::uint32_t no_offset = 0xffffffff;

// `lax`: what the kernel is lax about, a set of enum bpfilter_lax (bpfilter/pipe.h). EINVAL if the
// helper does not know the family.
Result<const Layout *> find_layout(ir::Family family, std::uint32_t lax = 0);

} // namespace bpfilter::blob
