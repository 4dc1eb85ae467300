// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/match.h"

#include "umh/codegen/key.h"

#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <cstring>
#include <netinet/ip.h>
#include <variant>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t ip_fragment = offsetof(Key, ip) + 6;
constexpr std::size_t ip_protocol = offsetof(Key, ip) + 9;
constexpr std::size_t ip_source = offsetof(Key, ip) + 12;
constexpr std::size_t ip_destination = offsetof(Key, ip) + 16;

// The number that these bytes are when the program loads them.
template <typename Byte> std::uint32_t word(const Byte *bytes)
{
    std::uint32_t value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

class MatchEmitter {
public:
    MatchEmitter(Assembler &as, const MatchExits &exits) : as_(as), exits_(exits) {}

    void operator()(const ir::SourceAddress &match)
    {
        bytes(ip_source, match.value.data(), match.mask.data(), 1, match.invert);
    }

    void operator()(const ir::DestinationAddress &match)
    {
        bytes(ip_destination, match.value.data(), match.mask.data(), 1, match.invert);
    }

    void operator()(const ir::InInterface &match)
    {
        device(offsetof(Key, names.in), match.name, match.mask, match.invert);
    }

    void operator()(const ir::OutInterface &match)
    {
        device(offsetof(Key, names.out), match.name, match.mask, match.invert);
    }

    void operator()(const ir::Protocol &match)
    {
        as_.emit(load(BPF_B, r1, r7, ip_protocol));
        as_.jump_if32(match.invert ? BPF_JEQ : BPF_JNE, r1, match.value, exits_.next);
    }

    void operator()(const ir::Fragment &match)
    {
        as_.emit(load(BPF_H, r1, r7, ip_fragment));
        as_.emit(alu32(BPF_AND, r1, htons(IP_OFFMASK)));
        as_.jump_if32(match.invert ? BPF_JNE : BPF_JEQ, r1, 0, exits_.next);
    }

    void operator()(const ir::Never & /*match*/) { as_.jump(exits_.next); }

    void operator()(const ir::Tcp &match)
    {
        state(offsetof(Key, tcp));
        ports(match.source, match.destination);
        if (match.flags_mask != 0 || match.flags_value != 0 || match.flags_invert) {
            as_.emit(load(BPF_B, r1, r7, offsetof(Key, l4) + 13));
            as_.emit(alu32(BPF_AND, r1, match.flags_mask));
            as_.jump_if32(match.flags_invert ? BPF_JEQ : BPF_JNE, r1, match.flags_value,
                          exits_.next);
        }
        if (match.option != 0)
            option(match.option, match.option_invert);
    }

    void operator()(const ir::Udp &match)
    {
        state(offsetof(Key, short_header));
        ports(match.source, match.destination);
    }

    void operator()(const ir::Icmp &match)
    {
        state(offsetof(Key, short_header));
        if (match.type == 0xff) {
            if (match.invert)
                as_.jump(exits_.next);
            return;
        }
        const Label other = match.invert ? as_.label() : exits_.next;
        as_.emit(load(BPF_B, r1, r7, offsetof(Key, l4)));
        as_.jump_if32(BPF_JNE, r1, match.type, other);
        as_.emit(load(BPF_B, r1, r7, offsetof(Key, l4) + 1));
        range(match.code_min, match.code_max, match.invert, other);
        if (match.invert)
            as_.bind(other);
    }

private:
    // What is outside of the mask is not compared, neither in the rule's name.
    void device(std::size_t offset, const ir::InterfaceName &name, const ir::InterfaceName &mask,
                bool invert)
    {
        ir::InterfaceName value{};
        for (std::size_t i = 0; i < value.size(); ++i)
            value[i] = static_cast<char>(name[i] & mask[i]);
        bytes(offset, value.data(), mask.data(), value.size() / 4, invert);
    }

    // `words` times four bytes under a mask; a word without mask and value is always equal.
    template <typename Byte>
    void bytes(std::size_t offset, const Byte *value, const Byte *mask, std::size_t words,
               bool invert)
    {
        const Label differs = invert ? as_.label() : exits_.next;
        for (std::size_t i = 0; i < words; ++i, offset += 4, value += 4, mask += 4) {
            if (word(mask) == 0 && word(value) == 0)
                continue;
            as_.emit(load(BPF_W, r1, r7, offset));
            if (word(mask) != 0xffffffff)
                as_.emit(alu32(BPF_AND, r1, word(mask)));
            as_.jump_if32(BPF_JNE, r1, word(value), differs);
        }
        if (!invert)
            return;
        as_.jump(exits_.next);
        if (as_.used(differs))
            as_.bind(differs);
    }

    void state(std::size_t offset)
    {
        as_.emit(load(BPF_W, r1, r7, offset));
        as_.jump_if32(BPF_JEQ, r1, l4_hotdrop, exits_.hotdrop);
        as_.jump_if32(BPF_JNE, r1, l4_present, exits_.next);
    }

    void ports(const ir::PortRange &source, const ir::PortRange &destination)
    {
        port(offsetof(Key, l4), source);
        port(offsetof(Key, l4) + 2, destination);
    }

    void port(std::size_t offset, const ir::PortRange &ports)
    {
        if (ports.min == 0 && ports.max == 0xffff && !ports.invert)
            return;
        as_.emit(load(BPF_H, r1, r7, offset));
        if (ports.min == ports.max) {
            as_.jump_if32(ports.invert ? BPF_JEQ : BPF_JNE, r1, htons(ports.min), exits_.next);
            return;
        }
        as_.emit(from_network16(r1));
        if (!ports.invert) {
            range(ports.min, ports.max, false, exits_.next);
            return;
        }
        const Label outside = as_.label();
        range(ports.min, ports.max, true, outside);
        as_.bind(outside);
    }

    // r1 outside of the range jumps to `outside`; inside: falls through, or, inverted, does
    // not match.
    void range(std::uint32_t min, std::uint32_t max, bool invert, Label outside)
    {
        if (min != 0)
            as_.jump_if32(BPF_JLT, r1, min, outside);
        if (invert)
            as_.jump_if32(BPF_JLE, r1, max, exits_.next);
        else
            as_.jump_if32(BPF_JGT, r1, max, outside);
    }

    void option(std::uint8_t kind, bool invert)
    {
        state(offsetof(Key, options));
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, option_kinds) + kind / 32 * 4));
        const std::uint32_t bit = std::uint32_t{1} << kind % 32;
        if (invert) {
            as_.jump_if32(BPF_JSET, r1, bit, exits_.next);
            return;
        }
        as_.emit(alu32(BPF_AND, r1, bit));
        as_.jump_if32(BPF_JEQ, r1, 0, exits_.next);
    }

    Assembler &as_;
    const MatchExits &exits_;
};

} // namespace

void emit_match(Assembler &as, const ir::Match &match, const MatchExits &exits)
{
    std::visit(MatchEmitter(as, exits), match);
}

void Needs::add(const ir::Match &match)
{
    const auto *tcp = std::get_if<ir::Tcp>(&match);
    if (tcp != nullptr || std::holds_alternative<ir::Udp>(match) ||
        std::holds_alternative<ir::Icmp>(match))
        l4 = true;
    if (tcp != nullptr && tcp->option != 0)
        options = true;
}

} // namespace bpfilter::codegen
