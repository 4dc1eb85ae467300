// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/layout.h"

#include "umh/core/blob/ipv4.h"
#include "umh/core/blob/ipv6.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <bpfilter/pipe.h>

#include <cerrno>

namespace bpfilter::blob {

namespace {

constexpr Layout ipv4{
    .family = ir::Family::ipv4,
    .alignment = XT_ALIGN(1),
    .replace_size = sizeof(ipt_replace),
    .table_overhead = 64, // struct xt_table_info
    .ip_size = sizeof(ipt_ip),
    .target_offset = offsetof(ipt_entry, target_offset),
    .next_offset = offsetof(ipt_entry, next_offset),
    .comefrom = offsetof(ipt_entry, comefrom),
    .counters = offsetof(ipt_entry, counters),
    .entry_size = sizeof(ipt_entry),
    .flags = offsetof(ipt_ip, flags),
    .flags_mask = IPT_F_MASK,
    .goto_flag = IPT_F_GOTO,
    .inversion = offsetof(ipt_ip, invflags),
    .inversion_mask = IPT_INV_MASK,
    .inverted_protocol = IPT_INV_PROTO,
    .protocol = offsetof(ipt_ip, proto),
    .protocol_flag = 0,
    .ip_conditions = ipv4_conditions,
    .ip_text = ipv4_text,
};

constexpr Layout ipv6{
    .family = ir::Family::ipv6,
    .alignment = XT_ALIGN(1),
    .replace_size = sizeof(ip6t_replace),
    .table_overhead = 64, // struct xt_table_info
    .ip_size = sizeof(ip6t_ip6),
    .target_offset = offsetof(ip6t_entry, target_offset),
    .next_offset = offsetof(ip6t_entry, next_offset),
    .comefrom = offsetof(ip6t_entry, comefrom),
    .counters = offsetof(ip6t_entry, counters),
    .entry_size = sizeof(ip6t_entry),
    .flags = offsetof(ip6t_ip6, flags),
    .flags_mask = IP6T_F_MASK,
    .goto_flag = IP6T_F_GOTO,
    .inversion = offsetof(ip6t_ip6, invflags),
    .inversion_mask = IP6T_INV_MASK,
    .inverted_protocol = IP6T_INV_PROTO,
    .protocol = offsetof(ip6t_ip6, proto),
    .protocol_flag = IP6T_F_PROTO,
    .ip_conditions = ipv6_conditions,
    .ip_text = ipv6_text,
};

constexpr Layout lax_of(const Layout &strict)
{
    Layout lax = strict;
    lax.lax_protocol = true;
    lax.ip_conditions = ipv6_lax_conditions;
    return lax;
}

constexpr Layout ipv6_lax = lax_of(ipv6);

static_assert(offsetof(ipt_entry, ip) == 0);
static_assert(offsetof(ip6t_entry, ipv6) == 0);
static_assert(sizeof(ip6t_replace) == sizeof(ipt_replace));
static_assert(sizeof(xt_entry_match) == extension_header_size);
static_assert(sizeof(xt_entry_target) == extension_header_size);
static_assert(offsetof(xt_entry_target, u.user.name) == extension_name_offset);
static_assert(sizeof(xt_entry_target::u.user.name) == extension_name_size);
static_assert(offsetof(xt_entry_target, u.user.revision) == extension_revision_offset);
static_assert(XT_FUNCTION_MAXNAMELEN == error_name_size);
static_assert(sizeof(ipt_replace::name) == table_name_size);
static_assert(offsetof(ipt_replace, valid_hooks) == replace_valid_hooks);
static_assert(offsetof(ipt_replace, num_entries) == replace_num_entries);
static_assert(offsetof(ipt_replace, size) == replace_entries_size);
static_assert(offsetof(ipt_replace, hook_entry) == replace_hook_entry);
static_assert(offsetof(ipt_replace, underflow) == replace_underflow);
static_assert(offsetof(ipt_replace, num_counters) == replace_num_counters);
static_assert(sizeof(xt_counters) == counters_size);
static_assert(NF_INET_NUMHOOKS == ir::hook_count);

} // namespace

Result<const Layout *> find_layout(ir::Family family, std::uint32_t lax)
{
    const bool lax_protocol = (lax & BPFILTER_LAX_PROTOCOL) != 0;
    switch (family) {
    case ir::Family::ipv4:
        return &ipv4;
    case ir::Family::ipv6:
        return lax_protocol ? &ipv6_lax : &ipv6;
    }
    return fail(EINVAL, "this protocol family is not supported");
}

} // namespace bpfilter::blob
