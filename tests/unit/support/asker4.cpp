// SPDX-License-Identifier: GPL-2.0
//
// IPv4 questions: those of ipt_do_table, and of the matches of ip_tables and xt_tcpudp.
#include "tests/unit/support/asker.h"

#include <stdexcept>
#include <variant>

namespace bpfilter::test {

namespace {

class Asker4 : public Asker {
public:
    using Asker::Asker;

    Answer ask(const Match &match) override { return std::visit(*this, match); }

    Answer operator()(const SourceAddress &match) const { return address(match, 12, 4); }
    Answer operator()(const DestinationAddress &match) const { return address(match, 16, 4); }
    Answer operator()(const InInterface &match) const { return device(match, devices_.in); }
    Answer operator()(const OutInterface &match) const { return device(match, devices_.out); }
    Answer operator()(const Never & /*match*/) const { return Answer::no; }

    Answer operator()(const Protocol &match) const
    {
        return answer((byte(9) == match.value) != match.invert);
    }

    Answer operator()(const Fragment &match) const
    {
        return answer((fragment_offset() != 0) != match.invert);
    }

    Answer operator()(const Tcp &match) const
    {
        if (fragment_offset() == 1)
            return Answer::hotdrop;
        return fragment_offset() != 0 ? Answer::no : tcp(match, l4());
    }

    Answer operator()(const Udp &match) const
    {
        return fragment_offset() != 0 ? Answer::no : udp(match, l4());
    }

    Answer operator()(const Multiport &match) const
    {
        return fragment_offset() != 0 ? Answer::no : multiport(match, l4());
    }

    Answer operator()(const Sctp &match) const
    {
        return fragment_offset() != 0 ? Answer::no : sctp(match, l4());
    }

    Answer operator()(const Esp &match) const
    {
        return fragment_offset() != 0 ? Answer::no : esp(match, l4());
    }

    Answer operator()(const Ah &match) const
    {
        return fragment_offset() != 0 ? Answer::no : ah(match, l4());
    }

    Answer operator()(const Icmp &match) const
    {
        if (fragment_offset() != 0)
            return Answer::no;
        if (left(l4()) < 8)
            return Answer::hotdrop;
        const unsigned type = byte(l4());
        const unsigned code = byte(l4() + 1);
        const bool same = match.type == 0xff ||
                          (type == match.type && code >= match.code_min && code <= match.code_max);
        return answer(same != match.invert);
    }

    template <typename T> Answer operator()(const T & /*match*/) const
    {
        throw std::logic_error("IPv4 has no such match");
    }

private:
    [[nodiscard]] unsigned fragment_offset() const { return short16(6) & 0x1fff; }
    [[nodiscard]] std::size_t l4() const { return std::size_t{byte(0) & 0xf} * 4; }
};

} // namespace

std::unique_ptr<Asker> make_asker4(const PacketBytes &packet, const Devices &devices)
{
    return std::make_unique<Asker4>(packet, devices);
}

} // namespace bpfilter::test
