// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/key.h"

#include <algorithm>

namespace bpfilter::test {

namespace {

ir::Surroundings::Name name_of(const std::string &device)
{
    ir::Surroundings::Name name{};
    std::ranges::copy(device, name.begin());
    return name;
}

} // namespace

ir::Key key_of(ir::Family family, const PacketBytes &packet, const Devices &devices)
{
    const PacketBytes frame = ethernet(
        {}, {}, family == ir::Family::ipv6 ? std::uint16_t{0x86dd} : std::uint16_t{0x0800});
    return ir::parse(family, packet,
                     {.in = name_of(devices.in),
                      .out = name_of(devices.out),
                      .link = devices.link,
                      .frame = frame,
                      .quirks = devices.quirks,
                      .mark = devices.mark,
                      .connection = devices.connection});
}

} // namespace bpfilter::test
