// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/asker.h"

namespace bpfilter::test {

unsigned Asker::byte(std::size_t offset) const
{
    return std::to_integer<unsigned>(packet_.at(offset));
}

unsigned Asker::short16(std::size_t offset) const
{
    return byte(offset) << 8 | byte(offset + 1);
}

unsigned Asker::word32(std::size_t offset) const
{
    return short16(offset) << 16 | short16(offset + 2);
}

std::size_t Asker::left(std::size_t offset) const
{
    return packet_.size() < offset ? 0 : packet_.size() - offset;
}

bool Asker::there(std::size_t offset, std::size_t size) const
{
    return offset <= packet_.size() && packet_.size() - offset >= size;
}

Answer Asker::tcp(const Tcp &match, std::size_t l4) const
{
    if (left(l4) < 20)
        return Answer::hotdrop;
    if (!port(l4 + 0, match.source) || !port(l4 + 2, match.destination))
        return Answer::no;
    const bool flags = (byte(l4 + 13) & match.flags_mask) == match.flags_value;
    if (flags == match.flags_invert)
        return Answer::no;
    return match.option == 0 ? Answer::yes : option(l4, match.option, match.option_invert);
}

Answer Asker::udp(const Udp &match, std::size_t l4) const
{
    if (left(l4) < 8)
        return Answer::hotdrop;
    return answer(port(l4 + 0, match.source) && port(l4 + 2, match.destination));
}

Answer Asker::multiport(const Multiport &match, std::size_t l4) const
{
    if (left(l4) < 4)
        return Answer::hotdrop;
    bool some = false;
    for (const PortRange &range : match.list) {
        some = some || (match.of != Multiport::Of::destination && port(l4 + 0, range));
        some = some || (match.of != Multiport::Of::source && port(l4 + 2, range));
    }
    return answer(some != match.invert);
}

Answer Asker::sctp(const Sctp &match, std::size_t l4) const
{
    if (left(l4) < 12)
        return Answer::hotdrop;
    return answer(port(l4 + 0, match.source) && port(l4 + 2, match.destination));
}

Answer Asker::esp(const Esp &match, std::size_t l4) const
{
    if (left(l4) < 8)
        return Answer::hotdrop;
    const unsigned spi = word32(l4);
    return answer((spi >= match.spi.min && spi <= match.spi.max) != match.spi.invert);
}

Answer Asker::ah(const Ah &match, std::size_t l4) const
{
    if (left(l4) < 12)
        return Answer::hotdrop;
    const unsigned spi = word32(l4 + 4);
    return answer((spi >= match.spi.min && spi <= match.spi.max) != match.spi.invert);
}

bool Asker::port(std::size_t offset, const PortRange &range) const
{
    const unsigned value = short16(offset);
    return (value >= range.min && value <= range.max) != range.invert;
}

Answer Asker::option(std::size_t l4, unsigned kind, bool invert) const
{
    const std::size_t header = std::size_t{byte(l4 + 12) >> 4} * 4;
    if (header < 20)
        return Answer::hotdrop;
    if (header == 20)
        return answer(invert);
    if (header > left(l4))
        return Answer::hotdrop;
    const std::size_t end = l4 + header;
    std::size_t place = l4 + 20;
    while (place < end) {
        if (byte(place) == kind)
            return answer(!invert);
        std::size_t length = 1;
        if (byte(place) > 1 && place + 1 < end && byte(place + 1) != 0)
            length = byte(place + 1);
        place += length;
    }
    return answer(invert);
}

} // namespace bpfilter::test
