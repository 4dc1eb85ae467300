// SPDX-License-Identifier: GPL-2.0
//
// IPv6 questions: those of ip6t_do_table, and of its matches. A header is looked for from
// the start each time, as the kernel does, with one thing in mind.
#include "tests/unit/support/asker.h"

#include <netinet/in.h>
#include <optional>
#include <stdexcept>
#include <variant>

namespace bpfilter::test {

namespace {

bool is_extension(unsigned number)
{
    return number == IPPROTO_HOPOPTS || number == IPPROTO_ROUTING || number == IPPROTO_FRAGMENT ||
           number == IPPROTO_AH || number == IPPROTO_DSTOPTS;
}

// What became of the search for a header.
struct Found {
    enum { found, not_there, broken } result = broken;
    unsigned number = 0;
    std::size_t offset = 0;
    unsigned fragment = 0; // offset
};

class Asker6 : public Asker {
public:
    using Asker::Asker;

    void begin_rule() override { l4_ = 0; }
    Answer ask(const ir::Match &match) override { return std::visit(*this, match); }

    Answer operator()(const ir::SourceAddress &match) const { return address(match, 8, 16); }
    Answer operator()(const ir::DestinationAddress &match) const { return address(match, 24, 16); }
    Answer operator()(const ir::InInterface &match) const { return device(match, devices_.in); }
    Answer operator()(const ir::OutInterface &match) const { return device(match, devices_.out); }
    Answer operator()(const ir::Never & /*match*/) const { return Answer::no; }

    Answer operator()(const ir::Protocol &match)
    {
        const Found transport = find({});
        if (transport.result != Found::found)
            return Answer::hotdrop;
        l4_ = transport.offset;
        fragment_ = transport.fragment;
        return answer(match.value == 0 || (transport.number == match.value) != match.invert);
    }

    Answer operator()(const ir::Tcp &match) const
    {
        return fragment_ != 0 ? Answer::no : tcp(match, l4_);
    }

    Answer operator()(const ir::Udp &match) const
    {
        return fragment_ != 0 ? Answer::no : udp(match, l4_);
    }

    Answer operator()(const ir::Icmp6 &match) const
    {
        if (fragment_ != 0)
            return Answer::no;
        if (left(l4_) < 8)
            return Answer::hotdrop;
        const unsigned code = byte(l4_ + 1);
        const bool same =
            byte(l4_) == match.type && code >= match.code_min && code <= match.code_max;
        return answer(same != match.invert);
    }

    template <typename T> Answer operator()(const T & /*match*/) const
    {
        throw std::logic_error("IPv6 has no such match");
    }

private:
    // The first header of this kind, or the transport header.
    [[nodiscard]] Found find(std::optional<unsigned> kind) const
    {
        unsigned number = byte(6);
        std::size_t at = 40;
        while (is_extension(number)) {
            const bool four = number == IPPROTO_ROUTING || number == IPPROTO_FRAGMENT;
            if (!there(at, four ? 4 : 2))
                return {.result = Found::broken};
            const unsigned fragment = number == IPPROTO_FRAGMENT ? short16(at + 2) & 0xfff8 : 0;
            if (number == kind)
                return {.result = Found::found, .number = number, .offset = at};
            if (fragment != 0 && !kind && !is_extension(byte(at)))
                return {.result = Found::found, .number = byte(at), .fragment = fragment};
            if (fragment != 0)
                return {.result = Found::not_there};
            const std::size_t length = number == IPPROTO_FRAGMENT ? 8
                                       : number == IPPROTO_AH     ? (byte(at + 1) + 2) * 4
                                                                  : (byte(at + 1) + 1) * 8;
            if (!there(at, length))
                return {.result = Found::broken};
            number = byte(at);
            at += length;
        }
        if (kind)
            return {.result = Found::not_there};
        return {.result = Found::found, .number = number, .offset = at};
    }

    // As struct xt_action_param keeps them: one for the rule, one for the packet.
    std::size_t l4_ = 0;
    unsigned fragment_ = 0;
};

} // namespace

std::unique_ptr<Asker> make_asker6(const PacketBytes &packet, const Devices &devices)
{
    return std::make_unique<Asker6>(packet, devices);
}

} // namespace bpfilter::test
