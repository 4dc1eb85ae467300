// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/names.h"

#include <array>

namespace bpfilter::ir {

namespace {

constexpr std::array<std::string_view, hook_count> chain_names{"PREROUTING", "INPUT", "FORWARD",
                                                               "OUTPUT", "POSTROUTING"};

struct ProtocolName {
    std::uint16_t protocol;
    std::string_view name;
};

// As Debian's /etc/protocols has them, which is what iptables prints.
constexpr auto protocol_names = std::to_array<ProtocolName>({
    {1, "icmp"},       {2, "igmp"},        {4, "ipencap"},    {6, "tcp"},
    {17, "udp"},       {33, "dccp"},       {41, "ipv6"},      {43, "ipv6-route"},
    {44, "ipv6-frag"}, {47, "gre"},        {50, "esp"},       {51, "ah"},
    {58, "ipv6-icmp"}, {59, "ipv6-nonxt"}, {60, "ipv6-opts"}, {89, "ospf"},
    {103, "pim"},      {112, "vrrp"},      {132, "sctp"},     {135, "mobility-header"},
    {136, "udplite"},
});

} // namespace

std::string_view chain_name(Hook hook)
{
    return chain_names.at(static_cast<std::size_t>(hook));
}

std::string hook_names(std::uint32_t mask)
{
    std::string names;
    for (std::size_t hook = 0; hook < hook_count; ++hook) {
        if (!(mask & (1U << hook)))
            continue;
        if (!names.empty())
            names += '/';
        names += chain_names[hook];
    }
    return names.empty() ? "no hook" : names;
}

std::string protocol_name(std::uint16_t protocol)
{
    for (const auto &known : protocol_names) {
        if (known.protocol == protocol)
            return std::string(known.name);
    }
    return std::to_string(protocol);
}

} // namespace bpfilter::ir
