// SPDX-License-Identifier: GPL-2.0
//
// What the reference (reference.h) is made of: a question asked of a packet. Each family has
// its own; what is here is the same for both.
#pragma once

#include "tests/unit/support/match.h"
#include "tests/unit/support/packet.h"
#include "tests/unit/support/reference.h"

#include <cstddef>
#include <memory>

namespace bpfilter::test {

enum class Answer { yes, no, hotdrop };

inline Answer answer(bool value)
{
    return value ? Answer::yes : Answer::no;
}

class Asker {
public:
    Asker(const PacketBytes &packet, const Devices &devices) : packet_(packet), devices_(devices) {}
    virtual ~Asker() = default;

    virtual Answer ask(const Match &match) = 0;

protected:
    [[nodiscard]] unsigned byte(std::size_t offset) const;
    [[nodiscard]] unsigned short16(std::size_t offset) const;
    [[nodiscard]] unsigned word32(std::size_t offset) const;
    // How many bytes there are from `offset` on.
    [[nodiscard]] std::size_t left(std::size_t offset) const;
    [[nodiscard]] bool there(std::size_t offset, std::size_t size) const;

    // T: SourceAddress or DestinationAddress, of `size` bytes.
    template <typename T>
    [[nodiscard]] Answer address(const T &match, std::size_t offset, std::size_t size) const
    {
        bool equal = true;
        for (std::size_t i = 0; i < size; ++i)
            equal = equal && (packet_.at(offset + i) & match.mask[i]) == match.value[i];
        return answer(equal != match.invert);
    }

    // T: InInterface or OutInterface.
    template <typename T> [[nodiscard]] Answer device(const T &match, const std::string &name) const
    {
        bool equal = true;
        for (std::size_t i = 0; i < match.name.size(); ++i) {
            const char c = i < name.size() ? name[i] : '\0';
            equal = equal && ((c ^ match.name[i]) & match.mask[i]) == 0;
        }
        return answer(equal != match.invert);
    }

    // Of the header at l4, which belongs to no later fragment.
    [[nodiscard]] Answer tcp(const Tcp &match, std::size_t l4) const;
    [[nodiscard]] Answer udp(const Udp &match, std::size_t l4) const;
    [[nodiscard]] Answer multiport(const Multiport &match, std::size_t l4) const;
    [[nodiscard]] Answer sctp(const Sctp &match, std::size_t l4) const;
    [[nodiscard]] Answer esp(const Esp &match, std::size_t l4) const;
    [[nodiscard]] Answer ah(const Ah &match, std::size_t l4) const;

    const PacketBytes &packet_;
    const Devices &devices_;

private:
    [[nodiscard]] bool port(std::size_t offset, const PortRange &range) const;
    [[nodiscard]] Answer option(std::size_t l4, unsigned kind, bool invert) const;
};

std::unique_ptr<Asker> make_asker4(const PacketBytes &packet, const Devices &devices);
std::unique_ptr<Asker> make_asker6(const PacketBytes &packet, const Devices &devices);

} // namespace bpfilter::test
