// SPDX-License-Identifier: GPL-2.0
//
// -m hbh and -m dst: hop-by-hop and destination options, the same but for the header.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv6/ip6t_opts.h>

#include <fmt/format.h>

namespace bpfilter::extension {

namespace {

constexpr unsigned any_length = 0xff;

std::string wrong_options(const ip6t_opts &opts)
{
    if (opts.invflags & ~IP6T_OPTS_INV_MASK)
        return "unknown inversion flags";
    if (opts.optsnr > IP6T_OPTS_OPTSNR)
        return "too many options";
    if (opts.flags & IP6T_OPTS_NSTRICT)
        return "--hbh-not-strict is not implemented";
    return {};
}

// The fields of one of the two headers.
struct Header {
    ir::Field state;
    ir::Field length;
    ir::Field count;
    ir::Field first;
};

// The header's first options must be these, in this order. One of type 0 has no length.
ir::Conditions lower_options(const ip6t_opts &opts, const Header &header)
{
    ir::Conditions conditions{ir::Require{header.state}};
    if (opts.flags & IP6T_OPTS_LEN)
        ask_number(conditions, header.length, opts.hdrlen,
                   (opts.invflags & IP6T_OPTS_INV_LEN) != 0);
    if (!(opts.flags & IP6T_OPTS_OPTS))
        return conditions;
    ask_range(conditions, header.count, opts.optsnr, IP6T_OPTS_OPTSNR);
    for (unsigned i = 0; i < opts.optsnr; ++i) {
        const unsigned type = opts.opts[i] >> 8;
        const unsigned length = opts.opts[i] & 0xff;
        const bool any = type == 0 || length == any_length;
        ask_range(conditions, at(header.first, i), type << 8 | (any ? 0 : length),
                  type << 8 | (any ? 0xff : length));
    }
    return conditions;
}

std::string options_text(const ip6t_opts &opts, std::string_view name)
{
    std::string text;
    if (opts.flags & IP6T_OPTS_LEN)
        text = option_text(fmt::format("--{}-len", name), opts.invflags & IP6T_OPTS_INV_LEN,
                           std::to_string(opts.hdrlen));
    if (opts.flags & IP6T_OPTS_OPTS)
        text += fmt::format(" --{}-opts", name);
    for (unsigned i = 0; i < opts.optsnr; ++i) {
        const unsigned length = opts.opts[i] & 0xff;
        text += fmt::format("{}{}", i == 0 ? ' ' : ',', opts.opts[i] >> 8);
        if (length != any_length)
            text += fmt::format(":{}", length);
    }
    return text;
}

ir::Conditions lower_hbh(const ip6t_opts &opts)
{
    return lower_options(opts, {ir::Field::hop, ir::Field::hop_length, ir::Field::hop_options,
                                ir::Field::hop_option_0});
}

ir::Conditions lower_dst(const ip6t_opts &opts)
{
    return lower_options(opts, {ir::Field::dst, ir::Field::dst_length, ir::Field::dst_options,
                                ir::Field::dst_option_0});
}

std::string hbh_text(const ip6t_opts &opts)
{
    return options_text(opts, "hbh");
}

std::string dst_text(const ip6t_opts &opts)
{
    return options_text(opts, "dst");
}

} // namespace

constexpr MatchExtension hbh_match{
    {.name = "hbh", .family = ir::Family::ipv6, .size = sizeof(ip6t_opts)},
    reader<wrong_options, lower_hbh, hbh_text>,
};

constexpr MatchExtension dst_match{
    {.name = "dst", .family = ir::Family::ipv6, .size = sizeof(ip6t_opts)},
    reader<wrong_options, lower_dst, dst_text>,
};

} // namespace bpfilter::extension
