// SPDX-License-Identifier: GPL-2.0
//
// -m eui64: a source address made of the sender's Ethernet address.
#include "umh/core/extension/list.h"

#include <linux/netfilter.h>

namespace bpfilter::extension {

namespace {

constexpr std::uint32_t hooks_with_a_frame =
    1U << NF_INET_PRE_ROUTING | 1U << NF_INET_LOCAL_IN | 1U << NF_INET_FORWARD;

struct Nothing {};

std::string wrong_eui64(const Nothing & /*info*/)
{
    return {};
}

ir::Conditions lower_eui64(const Nothing & /*info*/)
{
    return {ir::Require{ir::Field::eui64}};
}

std::string eui64_text(const Nothing & /*info*/)
{
    return {};
}

} // namespace

constexpr MatchExtension eui64_match{
    {.name = "eui64", .family = ir::Family::ipv6, .size = sizeof(int), .hooks = hooks_with_a_frame},
    reader<wrong_eui64, lower_eui64, eui64_text>,
};

} // namespace bpfilter::extension
