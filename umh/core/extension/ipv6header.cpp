// SPDX-License-Identifier: GPL-2.0
//
// -m ipv6header: which headers a packet has.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/header_set.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv6/ip6t_ipv6header.h>

#include <array>

namespace bpfilter::extension {

namespace {

struct Name {
    std::uint8_t flag;
    const char *name;
};

// In the order in which ip6tables prints them.
constexpr std::array names{
    Name{MASK_HOPOPTS, "hop-by-hop"},
    Name{MASK_DSTOPTS, "ipv6-opts"},
    Name{MASK_ROUTING, "ipv6-route"},
    Name{MASK_FRAGMENT, "ipv6-frag"},
    Name{MASK_AH, "ah"},
    Name{MASK_ESP, "esp"},
    Name{MASK_NONE, "ipv6-nonxt"},
    Name{MASK_PROTO, "protocol"},
};

static_assert(MASK_HOPOPTS == ir::header_set::hop);
static_assert(MASK_DSTOPTS == ir::header_set::destination);
static_assert(MASK_ROUTING == ir::header_set::routing);
static_assert(MASK_FRAGMENT == ir::header_set::fragment);
static_assert(MASK_AH == ir::header_set::authentication);
static_assert(MASK_ESP == ir::header_set::esp);
static_assert(MASK_NONE == ir::header_set::none);
static_assert(MASK_PROTO == ir::header_set::protocol);

std::string wrong_ipv6header(const ip6t_ipv6header_info &info)
{
    return !info.modeflag && info.invflags != 0 && info.invflags != 0xff
               ? "inverted in part, without --soft"
               : "";
}

// Soft: ((the packet's ^ matchflags ^ invflags) & matchflags) == 0.
// Else: (the packet's == matchflags) != (invflags is not 0).
ir::Conditions lower_ipv6header(const ip6t_ipv6header_info &info)
{
    constexpr ir::Field set = ir::Field::header_set;
    ir::Conditions conditions;
    if (info.modeflag) {
        ask_masked(conditions, set, ir::header_set::unknown | info.matchflags,
                   (info.matchflags ^ info.invflags) & info.matchflags);
    } else {
        ask_range(conditions, set, 0, ir::header_set::unknown - 1);
        ask_number(conditions, set, info.matchflags, info.invflags != 0);
    }
    return conditions;
}

std::string ipv6header_text(const ip6t_ipv6header_info &info)
{
    std::string list;
    for (const auto &[flag, name] : names) {
        if (info.matchflags & flag)
            list.append(list.empty() ? "" : ",").append(name);
    }
    return option_text("--header", info.invflags != 0, list) + (info.modeflag ? " --soft" : "");
}

} // namespace

constexpr MatchExtension ipv6header_match{
    {.name = "ipv6header", .family = ir::Family::ipv6, .size = sizeof(ip6t_ipv6header_info)},
    reader<wrong_ipv6header, lower_ipv6header, ipv6header_text>,
};

} // namespace bpfilter::extension
