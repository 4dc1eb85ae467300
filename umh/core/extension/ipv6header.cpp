// SPDX-License-Identifier: GPL-2.0
//
// -m ipv6header: which headers a packet has.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv6/ip6t_ipv6header.h>

#include <array>
#include <cerrno>

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

static_assert(MASK_HOPOPTS == ir::HeaderSet::hop);
static_assert(MASK_DSTOPTS == ir::HeaderSet::destination);
static_assert(MASK_ROUTING == ir::HeaderSet::routing);
static_assert(MASK_FRAGMENT == ir::HeaderSet::fragment);
static_assert(MASK_AH == ir::HeaderSet::authentication);
static_assert(MASK_ESP == ir::HeaderSet::esp);
static_assert(MASK_NONE == ir::HeaderSet::none);
static_assert(MASK_PROTO == ir::HeaderSet::protocol);

Result<ir::Match> decode_ipv6header(Bytes payload)
{
    const auto info = load<ip6t_ipv6header_info>(payload, 0);
    if (!info.modeflag && info.invflags != 0 && info.invflags != 0xff)
        return fail(EINVAL, "match ipv6header: inverted in part, without --soft");
    return ir::HeaderSet{info.matchflags, info.invflags, info.modeflag != 0};
}

std::string ipv6header_text(Bytes payload)
{
    const auto info = load<ip6t_ipv6header_info>(payload, 0);
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
    decode_ipv6header,
    ipv6header_text,
};

} // namespace bpfilter::extension
