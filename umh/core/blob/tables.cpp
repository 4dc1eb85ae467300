// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/tables.h"

#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>

#include <cerrno>

namespace bpfilter::blob {

namespace {

constexpr std::uint32_t bit(ir::Hook hook)
{
    return 1U << static_cast<unsigned>(hook);
}

constexpr std::uint32_t pre = bit(ir::Hook::pre_routing);
constexpr std::uint32_t in = bit(ir::Hook::local_in);
constexpr std::uint32_t forward = bit(ir::Hook::forward);
constexpr std::uint32_t out = bit(ir::Hook::local_out);
constexpr std::uint32_t post = bit(ir::Hook::post_routing);

constexpr std::array<std::int32_t, ir::hook_count> everywhere(std::int32_t priority)
{
    return {priority, priority, priority, priority, priority};
}

// In the order of the hooks: a source is translated where a packet leaves the machine's view.
constexpr std::array<std::int32_t, ir::hook_count> nat_priorities = {
    NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC, 0, NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC};

static_assert(int(NF_IP_PRI_RAW) == int(NF_IP6_PRI_RAW));
static_assert(int(NF_IP_PRI_MANGLE) == int(NF_IP6_PRI_MANGLE));
static_assert(int(NF_IP_PRI_NAT_DST) == int(NF_IP6_PRI_NAT_DST));
static_assert(int(NF_IP_PRI_FILTER) == int(NF_IP6_PRI_FILTER));
static_assert(int(NF_IP_PRI_SECURITY) == int(NF_IP6_PRI_SECURITY));
static_assert(int(NF_IP_PRI_NAT_SRC) == int(NF_IP6_PRI_NAT_SRC));

constexpr auto tables = std::to_array<TableProperties>({
    {.name = "filter", .valid_hooks = in | forward | out, .priority = everywhere(NF_IP_PRI_FILTER)},
    {.name = "nat", .valid_hooks = pre | in | out | post, .priority = nat_priorities, .nat = true},
    {.name = "mangle",
     .valid_hooks = pre | in | forward | out | post,
     .priority = everywhere(NF_IP_PRI_MANGLE),
     .reroutes = out},
    {.name = "raw", .valid_hooks = pre | out, .priority = everywhere(NF_IP_PRI_RAW)},
    {.name = "security",
     .valid_hooks = in | forward | out,
     .priority = everywhere(NF_IP_PRI_SECURITY)},
});

} // namespace

Result<const TableProperties *> find_table(std::string_view name)
{
    for (const auto &table : tables) {
        if (table.name == name)
            return &table;
    }
    return fail(ENOENT, "there is no table " + extension::printable(name));
}

} // namespace bpfilter::blob
