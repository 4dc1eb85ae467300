// SPDX-License-Identifier: GPL-2.0
//
// -m eui64: a source address made of the sender's Ethernet address.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

constexpr std::uint32_t hooks_with_a_frame =
    1U << NF_INET_PRE_ROUTING | 1U << NF_INET_LOCAL_IN | 1U << NF_INET_FORWARD;

Result<ir::Match> decode_eui64(Bytes)
{
    return ir::Eui64{};
}

std::string eui64_text(Bytes)
{
    return {};
}

} // namespace

constexpr MatchExtension eui64_match{
    {.name = "eui64", .family = ir::Family::ipv6, .size = sizeof(int), .hooks = hooks_with_a_frame},
    decode_eui64,
    eui64_text,
};

} // namespace bpfilter::extension
