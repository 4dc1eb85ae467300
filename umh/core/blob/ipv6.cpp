// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/ipv6.h"

#include "umh/core/blob/conditional.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"
#include "umh/core/ir/names.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv6/ip6_tables.h>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace bpfilter::blob {

namespace {

constexpr std::size_t address_size = sizeof(in6_addr);

std::uint16_t protocol_of(Bytes ip)
{
    return load<std::uint16_t>(ip, offsetof(ip6t_ip6, proto));
}

bool has_protocol_flag(Bytes ip)
{
    return (load<std::uint8_t>(ip, offsetof(ip6t_ip6, flags)) & IP6T_F_PROTO) != 0;
}

// The length of the prefix that this mask is, if it is one.
std::optional<unsigned> prefix_of(const in6_addr &mask)
{
    unsigned ones = 0;
    while (ones < 8 * address_size && (mask.s6_addr[ones / 8] & (0x80U >> ones % 8)) != 0)
        ++ones;
    in6_addr rest = mask;
    std::fill_n(rest.s6_addr, ones / 8, 0);
    if (ones % 8 != 0)
        rest.s6_addr[ones / 8] &= 0xff >> ones % 8;
    if (!all_zero(std::as_bytes(std::span(rest.s6_addr))))
        return std::nullopt;
    return ones;
}

std::string address_text(const char *option, Bytes ip, std::size_t value, std::size_t mask,
                         bool invert)
{
    const auto mask_address = load<in6_addr>(ip, mask);
    const auto prefix = prefix_of(mask_address);
    if (prefix == 0U && !invert)
        return {};
    return extension::option_text(
        option, invert,
        extension::ipv6_address_text(load<in6_addr>(ip, value)) + "/" +
            (prefix ? std::to_string(*prefix) : extension::ipv6_address_text(mask_address)));
}

ir::Conditions conditions_of(Bytes ip, bool asks_protocol)
{
    const auto inverted = load<std::uint8_t>(ip, offsetof(ip6t_ip6, invflags));
    const auto inverts = [inverted](unsigned flag) { return (inverted & flag) != 0; };
    ir::Conditions conditions;

    ask_address(conditions, ir::Field::source, ip, offsetof(ip6t_ip6, src),
                offsetof(ip6t_ip6, smsk), address_size, StrayBits::ignored,
                inverts(IP6T_INV_SRCIP));
    ask_address(conditions, ir::Field::destination, ip, offsetof(ip6t_ip6, dst),
                offsetof(ip6t_ip6, dmsk), address_size, StrayBits::ignored,
                inverts(IP6T_INV_DSTIP));
    ask_interface(conditions, ir::Field::in_0, ip, offsetof(ip6t_ip6, iniface),
                  offsetof(ip6t_ip6, iniface_mask), inverts(IP6T_INV_VIA_IN));
    ask_interface(conditions, ir::Field::out_0, ip, offsetof(ip6t_ip6, outiface),
                  offsetof(ip6t_ip6, outiface_mask), inverts(IP6T_INV_VIA_OUT));
    if (never(conditions))
        return {ir::Never{}};
    if (!asks_protocol)
        return conditions;

    // Asked even where the answer is known: the packet is dropped if it has no such header.
    // Protocol 0 matches all others, inverted or not.
    conditions.emplace_back(ir::Require{ir::Field::transport});
    if (const auto protocol = protocol_of(ip); protocol != 0)
        ask_number(conditions, ir::Field::protocol, protocol, inverts(IP6T_INV_PROTO));
    return conditions;
}

} // namespace

ir::Conditions ipv6_conditions(Bytes ip)
{
    return conditions_of(ip, has_protocol_flag(ip) || protocol_of(ip) != 0);
}

ir::Conditions ipv6_lax_conditions(Bytes ip)
{
    return conditions_of(ip, has_protocol_flag(ip));
}

std::string ipv6_text(Bytes ip)
{
    const auto inverted = load<std::uint8_t>(ip, offsetof(ip6t_ip6, invflags));
    const auto flags = load<std::uint8_t>(ip, offsetof(ip6t_ip6, flags));
    const auto protocol = protocol_of(ip);
    const auto inverts = [inverted](unsigned flag) { return (inverted & flag) != 0; };

    std::string text = address_text("-s", ip, offsetof(ip6t_ip6, src), offsetof(ip6t_ip6, smsk),
                                    inverts(IP6T_INV_SRCIP));
    text += address_text("-d", ip, offsetof(ip6t_ip6, dst), offsetof(ip6t_ip6, dmsk),
                         inverts(IP6T_INV_DSTIP));
    text += interface_text("-i", ip, offsetof(ip6t_ip6, iniface), offsetof(ip6t_ip6, iniface_mask),
                           inverts(IP6T_INV_VIA_IN));
    text += interface_text("-o", ip, offsetof(ip6t_ip6, outiface),
                           offsetof(ip6t_ip6, outiface_mask), inverts(IP6T_INV_VIA_OUT));
    if (protocol != 0)
        text += extension::option_text("-p", inverts(IP6T_INV_PROTO), ir::protocol_name(protocol));
    // What nobody can ask for and the kernel does not look at, but ip6tables prints.
    if (flags & IP6T_F_TOS)
        text +=
            extension::option_text("-?", inverts(IP6T_INV_TOS),
                                   std::to_string(load<std::uint8_t>(ip, offsetof(ip6t_ip6, tos))));
    return text;
}

} // namespace bpfilter::blob
