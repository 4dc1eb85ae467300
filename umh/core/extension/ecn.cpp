// SPDX-License-Identifier: GPL-2.0
//
// -m ecn, what it asks of the IP header: xt_ecn. TCP's bits are the kernel's: it looks for them
// where the header would be in a later fragment too.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter/xt_ecn.h>

#include <string>

namespace bpfilter::extension {

namespace {

constexpr std::uint32_t ip_mask = XT_ECN_IP_MASK & 0xff;
constexpr unsigned of_tcp = XT_ECN_OP_MATCH_ECE | XT_ECN_OP_MATCH_CWR;

bool asks_tcp(Bytes payload)
{
    const auto info = load<xt_ecn_info>(payload, 0);
    return (info.operation & XT_ECN_OP_MATCH_MASK) == 0 && (info.operation & of_tcp) != 0;
}

std::string wrong(const xt_ecn_info &info)
{
    if (((info.operation | info.invert) & XT_ECN_OP_MATCH_MASK) != 0)
        return "unknown flags";
    return (info.operation & of_tcp) != 0 ? "of TCP only the kernel has it" : "";
}

ir::Conditions lower(const xt_ecn_info &info)
{
    ir::Conditions conditions;
    if ((info.operation & XT_ECN_OP_MATCH_IP) != 0)
        ask_masked(conditions, ir::Field::tos, ip_mask, info.ip_ect,
                   (info.invert & XT_ECN_OP_MATCH_IP) != 0);
    return conditions;
}

std::string text(const xt_ecn_info &info)
{
    if ((info.operation & XT_ECN_OP_MATCH_IP) == 0)
        return {};
    return option_text("--ecn-ip-ect", (info.invert & XT_ECN_OP_MATCH_IP) != 0,
                       std::to_string(info.ip_ect));
}

} // namespace

constexpr MatchExtension ecn_match{
    {.name = "ecn", .size = sizeof(xt_ecn_info)},
    reader<wrong, lower, text>,
    asks_tcp,
};

} // namespace bpfilter::extension
