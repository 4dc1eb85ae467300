// SPDX-License-Identifier: GPL-2.0
//
// -m hbh and -m dst: hop-by-hop and destination options, the same but for the header.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv6/ip6t_opts.h>

#include <fmt/format.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_options(Bytes payload, ir::Options::Header header)
{
    const auto opts = load<ip6t_opts>(payload, 0);
    if (opts.invflags & ~IP6T_OPTS_INV_MASK)
        return fail(EINVAL, "match hbh or dst: unknown inversion flags");
    if (opts.optsnr > IP6T_OPTS_OPTSNR)
        return fail(EINVAL, "match hbh or dst: too many options");
    if (opts.flags & IP6T_OPTS_NSTRICT)
        return fail(EINVAL, "match hbh or dst: --hbh-not-strict is not implemented");
    ir::Options match{.header = header, .length = std::nullopt, .options = {}};
    if (opts.flags & IP6T_OPTS_LEN)
        match.length = ir::Number{opts.hdrlen, (opts.invflags & IP6T_OPTS_INV_LEN) != 0};
    for (unsigned i = 0; (opts.flags & IP6T_OPTS_OPTS) && i < opts.optsnr; ++i)
        match.options.push_back({static_cast<std::uint8_t>(opts.opts[i] >> 8),
                                 static_cast<std::uint8_t>(opts.opts[i] & 0xff)});
    return match;
}

std::string options_text(Bytes payload, std::string_view name)
{
    const auto opts = load<ip6t_opts>(payload, 0);
    std::string text;
    if (opts.flags & IP6T_OPTS_LEN)
        text = option_text(fmt::format("--{}-len", name), opts.invflags & IP6T_OPTS_INV_LEN,
                           std::to_string(opts.hdrlen));
    if (opts.flags & IP6T_OPTS_OPTS)
        text += fmt::format(" --{}-opts", name);
    for (unsigned i = 0; i < opts.optsnr; ++i) {
        const unsigned length = opts.opts[i] & 0xff;
        text += fmt::format("{}{}", i == 0 ? ' ' : ',', opts.opts[i] >> 8);
        if (length != ir::Options::any_length)
            text += fmt::format(":{}", length);
    }
    return text;
}

Result<ir::Match> decode_hbh(Bytes payload)
{
    return decode_options(payload, ir::Options::Header::hop);
}

Result<ir::Match> decode_dst(Bytes payload)
{
    return decode_options(payload, ir::Options::Header::destination);
}

std::string hbh_text(Bytes payload)
{
    return options_text(payload, "hbh");
}

std::string dst_text(Bytes payload)
{
    return options_text(payload, "dst");
}

} // namespace

constexpr MatchExtension hbh_match{
    {.name = "hbh", .family = ir::Family::ipv6, .size = sizeof(ip6t_opts)},
    decode_hbh,
    hbh_text,
};

constexpr MatchExtension dst_match{
    {.name = "dst", .family = ir::Family::ipv6, .size = sizeof(ip6t_opts)},
    decode_dst,
    dst_text,
};

} // namespace bpfilter::extension
