// SPDX-License-Identifier: GPL-2.0
//
// -m frag: the fragment header.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv6/ip6t_frag.h>

namespace bpfilter::extension {

namespace {

std::string wrong_frag(const ip6t_frag &frag)
{
    return frag.invflags & ~IP6T_FRAG_INV_MASK ? "unknown inversion flags" : "";
}

ir::Conditions lower_frag(const ip6t_frag &frag)
{
    // Of frag_bits: what is reserved, the offset, and that more follow.
    constexpr std::uint32_t reserved = 0xff0006;
    constexpr std::uint32_t offset = 0x00fff8;
    constexpr std::uint32_t more = 0x000001;
    ir::Conditions conditions{ir::Require{ir::Field::frag}};
    ask_range(conditions, ir::Field::frag_id, frag.ids[0], frag.ids[1],
              (frag.invflags & IP6T_FRAG_INV_IDS) != 0);
    if (frag.flags & IP6T_FRAG_RES)
        ask_masked(conditions, ir::Field::frag_bits, reserved, 0);
    if (frag.flags & IP6T_FRAG_FST)
        ask_masked(conditions, ir::Field::frag_bits, offset, 0);
    if (frag.flags & IP6T_FRAG_MF)
        ask_masked(conditions, ir::Field::frag_bits, more, more);
    if (frag.flags & IP6T_FRAG_NMF)
        ask_masked(conditions, ir::Field::frag_bits, more, 0);
    return conditions;
}

std::string frag_text(const ip6t_frag &frag)
{
    std::string text;
    if (frag.ids[0] != 0 || frag.ids[1] != 0xffffffff)
        text = range_text("--fragid", frag.ids[0], frag.ids[1], frag.invflags & IP6T_FRAG_INV_IDS);
    // The kernel does not look at the length: the header has none.
    if (frag.flags & IP6T_FRAG_LEN)
        text += option_text("--fraglen", frag.invflags & IP6T_FRAG_INV_LEN,
                            std::to_string(frag.hdrlen));
    if (frag.flags & IP6T_FRAG_RES)
        text += " --fragres";
    if (frag.flags & IP6T_FRAG_FST)
        text += " --fragfirst";
    if (frag.flags & IP6T_FRAG_MF)
        text += " --fragmore";
    if (frag.flags & IP6T_FRAG_NMF)
        text += " --fraglast";
    return text;
}

} // namespace

constexpr MatchExtension frag_match{
    {.name = "frag", .family = ir::Family::ipv6, .size = sizeof(ip6t_frag)},
    reader<wrong_frag, lower_frag, frag_text>,
};

} // namespace bpfilter::extension
