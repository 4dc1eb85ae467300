// SPDX-License-Identifier: GPL-2.0
//
// IPv6 questions: those of ip6t_do_table, and of its matches. A header is looked for from
// the start each time, as the kernel does, with one thing in mind.
#include "tests/unit/support/asker.h"

#include <algorithm>
#include <map>
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

    Answer ask(const Match &match) override { return std::visit(*this, match); }

    Answer operator()(const SourceAddress &match) const { return address(match, 8, 16); }
    Answer operator()(const DestinationAddress &match) const { return address(match, 24, 16); }
    Answer operator()(const InInterface &match) const { return device(match, devices_.in); }
    Answer operator()(const OutInterface &match) const { return device(match, devices_.out); }
    Answer operator()(const Never & /*match*/) const { return Answer::no; }

    Answer operator()(const Protocol &match) const
    {
        return of_transport([&match](const Found &transport) {
            return answer(match.value == 0 || (transport.number == match.value) != match.invert);
        });
    }

    Answer operator()(const Tcp &match) const
    {
        return of_whole_transport([&](std::size_t l4) { return tcp(match, l4); });
    }

    Answer operator()(const Udp &match) const
    {
        return of_whole_transport([&](std::size_t l4) { return udp(match, l4); });
    }

    Answer operator()(const Multiport &match) const
    {
        return of_whole_transport([&](std::size_t l4) { return multiport(match, l4); });
    }

    Answer operator()(const Sctp &match) const
    {
        return of_whole_transport([&](std::size_t l4) { return sctp(match, l4); });
    }

    Answer operator()(const Esp &match) const
    {
        return of_whole_transport([&](std::size_t l4) { return esp(match, l4); });
    }

    Answer operator()(const Icmp6 &match) const
    {
        return of_whole_transport([&](std::size_t l4) {
            if (left(l4) < 8)
                return Answer::hotdrop;
            const unsigned code = byte(l4 + 1);
            const bool same =
                byte(l4) == match.type && code >= match.code_min && code <= match.code_max;
            return answer(same != match.invert);
        });
    }

    Answer operator()(const Mobility &match) const
    {
        return of_whole_transport([&](std::size_t l4) {
            if (left(l4) < 6 || byte(l4) != IPPROTO_NONE)
                return Answer::hotdrop;
            return answer(in(match.type, byte(l4 + 2)));
        });
    }

    Answer operator()(const HopLimit &match) const
    {
        switch (match.test) {
        case HopLimit::Test::equal:
            return answer(byte(7) == match.value);
        case HopLimit::Test::not_equal:
            return answer(byte(7) != match.value);
        case HopLimit::Test::less:
            return answer(byte(7) < match.value);
        case HopLimit::Test::greater:
            return answer(byte(7) > match.value);
        }
        return Answer::no;
    }

    Answer operator()(const HeaderSet &match) const
    {
        const std::optional<unsigned> found = headers();
        if (!found)
            return Answer::no;
        if (match.soft)
            return answer(((*found ^ match.headers ^ match.invert) & match.headers) == 0);
        return answer((*found == match.headers) != (match.invert != 0));
    }

    Answer operator()(const FragmentHeader &match) const
    {
        const Found header = find(IPPROTO_FRAGMENT);
        if (header.result != Found::found)
            return without(header);
        if (!there(header.offset, 8))
            return Answer::hotdrop;
        const unsigned field = short16(header.offset + 2);
        if (!in(match.id, word32(header.offset + 4)))
            return Answer::no;
        if (match.reserved && (byte(header.offset + 1) != 0 || (field & 6) != 0))
            return Answer::no;
        if (match.first && (field & 0xfff8) != 0)
            return Answer::no;
        if (match.more && (field & 1) == 0)
            return Answer::no;
        return answer(!match.last || (field & 1) == 0);
    }

    Answer operator()(const Authentication &match) const
    {
        const Found header = find(IPPROTO_AH);
        if (header.result != Found::found)
            return without(header);
        if (!there(header.offset, 12))
            return Answer::hotdrop;
        const unsigned length = (byte(header.offset + 1) + 2) * 4;
        if (!there(header.offset, length) && !quirk(BPFILTER_QUIRK_AUTHENTICATION))
            return Answer::hotdrop;
        return answer(in(match.spi, word32(header.offset + 4)) && is(match.length, length) &&
                      (!match.reserved || short16(header.offset + 2) == 0));
    }

    Answer operator()(const Options &match) const
    {
        const Found header =
            find(match.header == Options::Header::hop ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS);
        if (header.result != Found::found)
            return without(header);
        const unsigned length = (byte(header.offset + 1) + 1) * 8;
        if (!there(header.offset, length))
            return beyond_packet();
        if (!is(match.length, length))
            return Answer::no;
        const std::size_t end = header.offset + length;
        std::size_t at = header.offset + 2;
        for (const auto &option : match.options) {
            if (at >= end || byte(at) != option.type)
                return Answer::no;
            if (option.type == 0) {
                at += 1;
                continue;
            }
            if (at + 1 >= end)
                return Answer::no;
            if (option.length != Options::any_length && byte(at + 1) != option.length)
                return Answer::no;
            // What is too long is found out only if another one is wanted.
            if (at + byte(at + 1) + 2 > end && &option != &match.options.back())
                return Answer::no;
            at += byte(at + 1) + 2;
        }
        return Answer::yes;
    }

    Answer operator()(const Routing &match) const
    {
        const Found header = find(IPPROTO_ROUTING);
        if (header.result != Found::found)
            return without(header);
        const std::size_t at = header.offset;
        const unsigned length = (byte(at + 1) + 1) * 8;
        if (!there(at, length))
            return beyond_packet();
        if (!in(match.left, byte(at + 3)) || !is(match.length, length) ||
            !is(match.type, byte(at + 2)))
            return Answer::no;
        if (match.reserved && word32(at + 4) != 0)
            return Answer::no;
        return answer(match.addresses.empty() || route(match, at + 8, (length - 8) / 16));
    }

    Answer operator()(const Eui64 & /*match*/) const
    {
        if (devices_.link != BPFILTER_LINK_ETHERNET)
            return devices_.link == BPFILTER_LINK_OTHER ? Answer::no : Answer::hotdrop;
        PacketBytes wanted(sender.begin(), sender.end());
        wanted.insert(wanted.begin() + 3, {std::byte{0xff}, std::byte{0xfe}});
        wanted[0] ^= std::byte{2};
        return answer(byte(0) >> 4 == 6 &&
                      std::equal(wanted.begin(), wanted.end(), packet_.begin() + 16));
    }

    template <typename T> Answer operator()(const T & /*match*/) const
    {
        throw std::logic_error("IPv6 has no such match");
    }

private:
    template <typename F> Answer of_transport(F ask) const
    {
        const Found transport = find({});
        return transport.result == Found::found ? ask(transport) : Answer::hotdrop;
    }

    template <typename F> Answer of_whole_transport(F ask) const
    {
        return of_transport([&ask](const Found &transport) {
            return transport.fragment != 0 ? Answer::no : ask(transport.offset);
        });
    }

    static bool in(const NumberRange &range, std::uint32_t number)
    {
        return (number >= range.min && number <= range.max) != range.invert;
    }

    static bool is(const std::optional<Number> &wanted, std::uint32_t number)
    {
        return !wanted || (number == wanted->value) != wanted->invert;
    }

    // The answer of a match whose header was not found.
    static Answer without(const Found &header)
    {
        return header.result == Found::broken ? Answer::hotdrop : Answer::no;
    }

    [[nodiscard]] bool quirk(bpfilter_quirk quirk) const { return (devices_.quirks & quirk) != 0; }

    [[nodiscard]] Answer beyond_packet() const
    {
        return quirk(BPFILTER_QUIRK_OPTIONS) ? Answer::no : Answer::hotdrop;
    }

    [[nodiscard]] bool route(const Routing &match, std::size_t at, unsigned count) const
    {
        std::size_t wanted = 0;
        if (match.strict && count != match.addresses.size())
            return false;
        for (unsigned i = 0; i < count && wanted < match.addresses.size(); ++i) {
            const bool same =
                std::equal(match.addresses[wanted].begin(), match.addresses[wanted].end(),
                           packet_.begin() + static_cast<std::ptrdiff_t>(at + i * 16));
            wanted += same ? 1 : 0;
            if (match.strict && !same)
                return false;
        }
        return wanted == match.addresses.size();
    }

    // The walk of ip6t_ipv6header.
    [[nodiscard]] std::optional<unsigned> headers() const
    {
        static const std::map<unsigned, unsigned> flags = {
            {IPPROTO_HOPOPTS, HeaderSet::hop},         {IPPROTO_ROUTING, HeaderSet::routing},
            {IPPROTO_FRAGMENT, HeaderSet::fragment},   {IPPROTO_AH, HeaderSet::authentication},
            {IPPROTO_DSTOPTS, HeaderSet::destination},
        };
        unsigned set = 0;
        unsigned number = byte(6);
        std::size_t at = 40;
        while (is_extension(number) || number == IPPROTO_ESP) {
            if (left(at) < 2)
                return std::nullopt;
            if (number == IPPROTO_ESP)
                return set | HeaderSet::esp;
            set |= flags.at(number);
            const std::size_t length = number == IPPROTO_FRAGMENT ? 8
                                       : number == IPPROTO_AH     ? (byte(at + 1) + 2) * 4
                                                                  : (byte(at + 1) + 1) * 8;
            number = byte(at);
            at += length;
            if (at > packet_.size()) {
                const bool last = number == IPPROTO_NONE || number == IPPROTO_ESP;
                return last ? set : set | HeaderSet::protocol;
            }
        }
        return set | (number == IPPROTO_NONE ? HeaderSet::none : HeaderSet::protocol);
    }

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
            if (!quirk(BPFILTER_QUIRK_WALK) && !there(at, length))
                return {.result = Found::broken};
            number = byte(at);
            at += length;
        }
        if (kind)
            return {.result = Found::not_there};
        return {.result = Found::found, .number = number, .offset = at};
    }
};

} // namespace

std::unique_ptr<Asker> make_asker6(const PacketBytes &packet, const Devices &devices)
{
    return std::make_unique<Asker6>(packet, devices);
}

} // namespace bpfilter::test
