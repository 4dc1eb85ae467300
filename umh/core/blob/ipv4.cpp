// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/ipv4.h"

#include "umh/core/blob/conditional.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"
#include "umh/core/ir/names.h"

#include <fmt/format.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <array>
#include <bit>
#include <cstdint>

namespace bpfilter::blob {

namespace {

using Address4 = std::array<std::uint8_t, 4>;

std::string dotted(const Address4 &address)
{
    return fmt::format("{}.{}.{}.{}", address[0], address[1], address[2], address[3]);
}

std::string address_text(const char *option, Bytes ip, std::size_t value_offset,
                         std::size_t mask_offset, bool invert)
{
    const auto value = load<Address4>(ip, value_offset);
    const auto mask = load<Address4>(ip, mask_offset);
    const std::uint32_t bits = static_cast<std::uint32_t>(mask[0]) << 24 |
                               static_cast<std::uint32_t>(mask[1]) << 16 |
                               static_cast<std::uint32_t>(mask[2]) << 8 | mask[3];
    if (value == Address4{} && bits == 0 && !invert)
        return {};
    const int ones = std::countl_one(bits);
    const bool prefix = ones == std::popcount(bits);
    return extension::option_text(
        option, invert, dotted(value) + "/" + (prefix ? std::to_string(ones) : dotted(mask)));
}

} // namespace

ir::Conditions ipv4_conditions(Bytes ip)
{
    const auto inverted = load<std::uint8_t>(ip, offsetof(ipt_ip, invflags));
    const auto flags = load<std::uint8_t>(ip, offsetof(ipt_ip, flags));
    const auto protocol = load<std::uint16_t>(ip, offsetof(ipt_ip, proto));
    const auto inverts = [inverted](unsigned flag) { return (inverted & flag) != 0; };
    ir::Conditions conditions;

    ask_address(conditions, ir::Field::source, ip, offsetof(ipt_ip, src), offsetof(ipt_ip, smsk),
                sizeof(Address4), StrayBits::compared, inverts(IPT_INV_SRCIP));
    ask_address(conditions, ir::Field::destination, ip, offsetof(ipt_ip, dst),
                offsetof(ipt_ip, dmsk), sizeof(Address4), StrayBits::compared,
                inverts(IPT_INV_DSTIP));
    ask_interface(conditions, ir::Field::in_0, ip, offsetof(ipt_ip, iniface),
                  offsetof(ipt_ip, iniface_mask), inverts(IPT_INV_VIA_IN));
    ask_interface(conditions, ir::Field::out_0, ip, offsetof(ipt_ip, outiface),
                  offsetof(ipt_ip, outiface_mask), inverts(IPT_INV_VIA_OUT));
    // Protocol 0 asks nothing, inverted or not.
    if (protocol != 0)
        ask_number(conditions, ir::Field::protocol, protocol, inverts(IPT_INV_PROTO));
    // The inversion applies to "asked for a fragment, and this is none": without the question
    // it is an answer that is always no.
    if (flags & IPT_F_FRAG)
        ask_number(conditions, ir::Field::fragment, 0, !inverts(IPT_INV_FRAG));
    else if (inverts(IPT_INV_FRAG))
        conditions.emplace_back(ir::Never{});

    if (never(conditions))
        return {ir::Never{}};
    return conditions;
}

std::string ipv4_text(Bytes ip)
{
    const auto inverted = load<std::uint8_t>(ip, offsetof(ipt_ip, invflags));
    const auto flags = load<std::uint8_t>(ip, offsetof(ipt_ip, flags));
    const auto protocol = load<std::uint16_t>(ip, offsetof(ipt_ip, proto));
    const auto inverts = [inverted](unsigned flag) { return (inverted & flag) != 0; };

    std::string text = address_text("-s", ip, offsetof(ipt_ip, src), offsetof(ipt_ip, smsk),
                                    inverts(IPT_INV_SRCIP));
    text += address_text("-d", ip, offsetof(ipt_ip, dst), offsetof(ipt_ip, dmsk),
                         inverts(IPT_INV_DSTIP));
    text += interface_text("-i", ip, offsetof(ipt_ip, iniface), offsetof(ipt_ip, iniface_mask),
                           inverts(IPT_INV_VIA_IN));
    text += interface_text("-o", ip, offsetof(ipt_ip, outiface), offsetof(ipt_ip, outiface_mask),
                           inverts(IPT_INV_VIA_OUT));
    if (protocol != 0)
        text += extension::option_text("-p", inverts(IPT_INV_PROTO), ir::protocol_name(protocol));
    if (flags & IPT_F_FRAG)
        text += inverts(IPT_INV_FRAG) ? " ! -f" : " -f";
    return text;
}

} // namespace bpfilter::blob
