// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/reference.h"

#include "bpfilter/context.h"

#include <algorithm>
#include <variant>

namespace bpfilter::test {

namespace {

enum class Answer { yes, no, hotdrop };

Answer answer(bool value)
{
    return value ? Answer::yes : Answer::no;
}

class Asker {
public:
    Asker(const PacketBytes &packet, const Devices &devices) : packet_(packet), devices_(devices) {}

    Answer operator()(const ir::SourceAddress &match) const
    {
        return answer(address(12, match.value, match.mask) != match.invert);
    }

    Answer operator()(const ir::DestinationAddress &match) const
    {
        return answer(address(16, match.value, match.mask) != match.invert);
    }

    Answer operator()(const ir::InInterface &match) const
    {
        return answer(device(devices_.in, match.name, match.mask) != match.invert);
    }

    Answer operator()(const ir::OutInterface &match) const
    {
        return answer(device(devices_.out, match.name, match.mask) != match.invert);
    }

    Answer operator()(const ir::Protocol &match) const
    {
        return answer((byte(9) == match.value) != match.invert);
    }

    Answer operator()(const ir::Fragment &match) const
    {
        return answer((fragment_offset() != 0) != match.invert);
    }

    Answer operator()(const ir::Never & /*match*/) const { return Answer::no; }

    Answer operator()(const ir::Tcp &match) const
    {
        if (fragment_offset() == 1)
            return Answer::hotdrop;
        if (fragment_offset() != 0)
            return Answer::no;
        if (l4_length() < 20)
            return Answer::hotdrop;
        if (!port(l4() + 0, match.source) || !port(l4() + 2, match.destination))
            return Answer::no;
        const bool flags = (byte(l4() + 13) & match.flags_mask) == match.flags_value;
        if (flags == match.flags_invert)
            return Answer::no;
        return match.option == 0 ? Answer::yes : option(match.option, match.option_invert);
    }

    Answer operator()(const ir::Udp &match) const
    {
        if (fragment_offset() != 0)
            return Answer::no;
        if (l4_length() < 8)
            return Answer::hotdrop;
        return answer(port(l4() + 0, match.source) && port(l4() + 2, match.destination));
    }

    Answer operator()(const ir::Icmp &match) const
    {
        if (fragment_offset() != 0)
            return Answer::no;
        if (l4_length() < 8)
            return Answer::hotdrop;
        const unsigned type = byte(l4());
        const unsigned code = byte(l4() + 1);
        const bool same = match.type == 0xff ||
                          (type == match.type && code >= match.code_min && code <= match.code_max);
        return answer(same != match.invert);
    }

private:
    [[nodiscard]] unsigned byte(std::size_t offset) const
    {
        return std::to_integer<unsigned>(packet_.at(offset));
    }

    [[nodiscard]] unsigned short16(std::size_t offset) const
    {
        return byte(offset) << 8 | byte(offset + 1);
    }

    [[nodiscard]] unsigned fragment_offset() const { return short16(6) & 0x1fff; }

    [[nodiscard]] std::size_t l4() const { return std::size_t{byte(0) & 0xf} * 4; }

    [[nodiscard]] std::size_t l4_length() const
    {
        return packet_.size() < l4() ? 0 : packet_.size() - l4();
    }

    [[nodiscard]] bool address(std::size_t offset, const ir::Address &value,
                               const ir::Address &mask) const
    {
        for (std::size_t i = 0; i < 4; ++i)
            if ((packet_.at(offset + i) & mask[i]) != value[i])
                return false;
        return true;
    }

    static bool device(const std::string &name, const ir::InterfaceName &value,
                       const ir::InterfaceName &mask)
    {
        for (std::size_t i = 0; i < value.size(); ++i) {
            const char c = i < name.size() ? name[i] : '\0';
            if (((c ^ value[i]) & mask[i]) != 0)
                return false;
        }
        return true;
    }

    [[nodiscard]] bool port(std::size_t offset, const ir::PortRange &range) const
    {
        const unsigned value = short16(offset);
        return (value >= range.min && value <= range.max) != range.invert;
    }

    [[nodiscard]] Answer option(unsigned kind, bool invert) const
    {
        const std::size_t header = std::size_t{byte(l4() + 12) >> 4} * 4;
        if (header < 20)
            return Answer::hotdrop;
        if (header == 20)
            return answer(invert);
        if (header > l4_length())
            return Answer::hotdrop;
        const std::size_t end = l4() + header;
        std::size_t place = l4() + 20;
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

    const PacketBytes &packet_;
    const Devices &devices_;
};

} // namespace

Outcome judge(const ir::Table &table, ir::Hook hook, const PacketBytes &packet,
              const Devices &devices)
{
    const ir::HookEntry &entry = table.hooks.at(static_cast<std::size_t>(hook)).value();
    Outcome outcome;
    std::vector<ir::RuleId> stack;
    ir::RuleId id = entry.entry;
    for (;;) {
        const ir::Rule &rule = table.rules.at(id);
        Answer all = Answer::yes;
        for (const ir::Match &match : rule.matches) {
            all = std::visit(Asker(packet, devices), match);
            if (all != Answer::yes)
                break;
        }
        if (all == Answer::hotdrop) {
            outcome.verdict = BPFILTER_DROP;
            return outcome;
        }
        if (all == Answer::no) {
            ++id;
            continue;
        }
        outcome.counted.push_back(id);
        if (std::holds_alternative<ir::Accept>(rule.verdict)) {
            outcome.verdict = BPFILTER_ACCEPT;
            return outcome;
        }
        if (std::holds_alternative<ir::Drop>(rule.verdict)) {
            outcome.verdict = BPFILTER_DROP;
            return outcome;
        }
        if (std::holds_alternative<ir::Queue>(rule.verdict)) {
            outcome.verdict = BPFILTER_QUEUE;
            return outcome;
        }
        if (std::holds_alternative<ir::Return>(rule.verdict)) {
            if (stack.empty()) {
                id = entry.underflow;
            } else {
                id = stack.back();
                stack.pop_back();
            }
            continue;
        }
        const auto &jump = std::get<ir::Jump>(rule.verdict);
        if (jump.push) {
            if (stack.size() >= table.stack_depth) {
                outcome.verdict = BPFILTER_DROP;
                return outcome;
            }
            stack.push_back(id + 1);
        }
        id = jump.target;
    }
}

std::uint32_t judge_and_count(const ir::Table &table, ir::Hook hook, const PacketBytes &packet,
                              const Devices &devices, std::vector<ir::Counters> &counters)
{
    const Outcome outcome = judge(table, hook, packet, devices);
    for (const ir::RuleId id : outcome.counted) {
        counters.at(id).packets += 1;
        counters.at(id).bytes += packet.size();
    }
    return outcome.verdict;
}

} // namespace bpfilter::test
