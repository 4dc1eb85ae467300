// SPDX-License-Identifier: GPL-2.0
//
// -m multiport: up to 15 ports or ranges of ports, of the source, the destination or either.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter/xt_multiport.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::extension {

namespace {

constexpr std::array<std::uint16_t, 5> protocols{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
                                                 IPPROTO_SCTP, IPPROTO_DCCP};

struct Ports {
    std::uint32_t min = 0;
    std::uint32_t max = 0;
};

// A range takes two places, of which the first one has the flag.
bool has_broken_range(const xt_multiport_v1 &info)
{
    for (unsigned i = 0; i < info.count; ++i) {
        if (info.pflags[i] == 0)
            continue;
        ++i;
        if (i >= info.count || info.pflags[i] != 0 || info.ports[i - 1] > info.ports[i])
            return true;
    }
    return false;
}

std::string wrong(const xt_multiport_v1 &info)
{
    if (info.flags > XT_MULTIPORT_EITHER)
        return "unknown flags";
    if (info.count > XT_MULTI_PORTS)
        return "too many ports";
    return has_broken_range(info) ? "a range that is none" : "";
}

std::vector<Ports> listed(const xt_multiport_v1 &info)
{
    std::vector<Ports> list;
    for (unsigned i = 0; i < info.count; ++i) {
        const std::uint32_t min = info.ports[i];
        if (info.pflags[i] != 0)
            ++i;
        list.push_back({min, info.ports[i]});
    }
    return list;
}

// The same ports, ascending, and a range where ports are neighbours.
std::vector<Ports> merged(std::vector<Ports> list)
{
    std::ranges::sort(list, {}, &Ports::min);
    std::vector<Ports> result;
    for (const Ports &ports : list) {
        if (!result.empty() && ports.min <= result.back().max + 1)
            result.back().max = std::max(result.back().max, ports.max);
        else
            result.push_back(ports);
    }
    return result;
}

std::vector<ir::Field> fields(const xt_multiport_v1 &info)
{
    switch (info.flags) {
    case XT_MULTIPORT_SOURCE:
        return {ir::Field::source_port};
    case XT_MULTIPORT_DESTINATION:
        return {ir::Field::destination_port};
    default:
        return {ir::Field::destination_port, ir::Field::source_port};
    }
}

// One range is enough for most packets: what is not between the first and the last.
void ask_any(ir::Conditions &to, std::span<const ir::Field> fields, std::span<const Ports> list)
{
    if (list.empty()) {
        to.emplace_back(ir::Never{});
        return;
    }
    if (fields.size() == 1)
        ask_range(to, fields[0], list.front().min, list.back().max);
    if (fields.size() == 1 && list.size() == 1)
        return;
    ir::AnyOf any;
    for (const ir::Field field : fields)
        for (const Ports &ports : list)
            any.groups.push_back({ir::Range{field, ports.min, ports.max - ports.min}});
    to.emplace_back(any);
}

// Fewer than four bytes: the packet is dropped. The kernel's is (listed) ^ invert, as numbers:
// more than 1 always holds.
ir::Conditions lower(const xt_multiport_v1 &info)
{
    ir::Conditions conditions{ir::Require{ir::Field::pair}};
    const std::vector<Ports> list = merged(listed(info));
    const std::vector<ir::Field> asked = fields(info);
    if (info.invert == 0) {
        ask_any(conditions, asked, list);
    } else if (info.invert == 1) {
        for (const ir::Field field : asked)
            for (const Ports &ports : list)
                ask_range(conditions, field, ports.min, ports.max, true);
    }
    return conditions;
}

std::string text(const xt_multiport_v1 &info)
{
    constexpr std::array options{"--sports", "--dports", "--ports"};
    std::string value;
    for (const Ports &ports : listed(info)) {
        value += (value.empty() ? "" : ",") + std::to_string(ports.min);
        if (ports.max != ports.min)
            value += ":" + std::to_string(ports.max);
    }
    return option_text(options.at(info.flags), info.invert != 0, value);
}

} // namespace

constexpr MatchExtension multiport_match{
    {.name = "multiport", .revision = 1, .size = sizeof(xt_multiport_v1), .protocols = protocols},
    reader<wrong, lower, text>,
};

} // namespace bpfilter::extension
