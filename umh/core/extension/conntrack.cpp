// SPDX-License-Identifier: GPL-2.0
//
// -m conntrack, what it asks of states: xt_conntrack. The rest of it is the kernel's.
#include "umh/core/extension/list.h"

#include "umh/core/ir/lower.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

#include <bit>
#include <string>

namespace bpfilter::extension {

namespace {

constexpr std::uint32_t translated = XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT;
// One of these each packet has.
constexpr std::uint32_t states = XT_CONNTRACK_STATE_INVALID |
                                 XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) |
                                 XT_CONNTRACK_STATE_BIT(IP_CT_RELATED) |
                                 XT_CONNTRACK_STATE_BIT(IP_CT_NEW) | XT_CONNTRACK_STATE_UNTRACKED;

bool asks_more(Bytes payload)
{
    const auto flags = load<xt_conntrack_mtinfo3>(payload, 0).match_flags;
    return (flags & ~XT_CONNTRACK_STATE_ALIAS) != XT_CONNTRACK_STATE;
}

std::string wrong(const xt_conntrack_mtinfo3 & /*info*/)
{
    return {};
}

// Neighbours among the states are a range of what `connection` may be, which is one bit.
bool are_neighbours(std::uint32_t mask)
{
    const std::uint32_t between = states & (std::bit_floor(mask) - 1U) & ~((mask & -mask) - 1U);
    return (between & ~mask) == 0;
}

ir::Test is_in(std::uint32_t mask)
{
    if (are_neighbours(mask)) {
        const std::uint32_t low = mask & -mask;
        return ir::Range{ir::Field::connection, low, std::bit_floor(mask) - low};
    }
    return ir::Masked{ir::Field::connection, mask, 1, ~0U - 1};
}

// Whether one of the bits of the mask is there.
ir::Conditions lower(const xt_conntrack_mtinfo3 &info)
{
    const std::uint32_t mask = info.state_mask & states;
    const std::uint32_t translation = info.state_mask & translated;
    const bool invert = (info.invert_flags & XT_CONNTRACK_STATE) != 0;
    ir::Conditions conditions;
    if (translation == 0 && mask != 0 && are_neighbours(mask)) {
        ask_range(conditions, ir::Field::connection, mask & -mask, std::bit_floor(mask), invert);
    } else if (translation == 0 || mask == 0) {
        ask_masked(conditions, mask != 0 ? ir::Field::connection : ir::Field::translation,
                   mask | translation, 0, !invert);
    } else if (invert) {
        ask_masked(conditions, ir::Field::connection, mask, 0);
        ask_masked(conditions, ir::Field::translation, translation, 0);
    } else {
        conditions.push_back(ir::AnyOf{
            {{is_in(mask)}, {ir::Masked{ir::Field::translation, translation, 1, ~0U - 1}}}});
    }
    return conditions;
}

std::string text(const xt_conntrack_mtinfo3 &info)
{
    struct Name {
        std::uint32_t bit;
        const char *name;
    };
    static constexpr Name names[] = {
        {XT_CONNTRACK_STATE_INVALID, "INVALID"},
        {XT_CONNTRACK_STATE_BIT(IP_CT_NEW), "NEW"},
        {XT_CONNTRACK_STATE_BIT(IP_CT_RELATED), "RELATED"},
        {XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED), "ESTABLISHED"},
        {XT_CONNTRACK_STATE_UNTRACKED, "UNTRACKED"},
        {XT_CONNTRACK_STATE_SNAT, "SNAT"},
        {XT_CONNTRACK_STATE_DNAT, "DNAT"},
    };
    std::string list;
    for (const auto &[bit, name] : names) {
        if ((info.state_mask & bit) != 0)
            list += (list.empty() ? "" : ",") + std::string(name);
    }
    const bool invert = (info.invert_flags & XT_CONNTRACK_STATE) != 0;
    return fmt::format("{} --ctstate {}", invert ? " !" : "", list);
}

} // namespace

constexpr MatchExtension conntrack_match{
    {.name = "conntrack",
     .revision = 3,
     .size = sizeof(xt_conntrack_mtinfo3),
     .kernel_checks = true},
    reader<wrong, lower, text>,
    asks_more,
};

} // namespace bpfilter::extension
