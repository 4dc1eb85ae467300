// SPDX-License-Identifier: GPL-2.0
//
// -m frag: the fragment header.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv6/ip6t_frag.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_frag(Bytes payload)
{
    const auto frag = load<ip6t_frag>(payload, 0);
    if (frag.invflags & ~IP6T_FRAG_INV_MASK)
        return fail(EINVAL, "match frag: unknown inversion flags");
    return ir::FragmentHeader{
        .id = {frag.ids[0], frag.ids[1], (frag.invflags & IP6T_FRAG_INV_IDS) != 0},
        .reserved = (frag.flags & IP6T_FRAG_RES) != 0,
        .first = (frag.flags & IP6T_FRAG_FST) != 0,
        .more = (frag.flags & IP6T_FRAG_MF) != 0,
        .last = (frag.flags & IP6T_FRAG_NMF) != 0,
    };
}

std::string frag_text(Bytes payload)
{
    const auto frag = load<ip6t_frag>(payload, 0);
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
    decode_frag,
    frag_text,
};

} // namespace bpfilter::extension
