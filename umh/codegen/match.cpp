// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/match.h"

#include "umh/codegen/compare.h"
#include "umh/codegen/key.h"
#include "umh/codegen/match6.h"

#include <arpa/inet.h>
#include <cstddef>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <variant>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t ip = offsetof(Key, ip);
constexpr std::size_t ipv4_fragment = ip + 6;
constexpr std::size_t ipv4_protocol = ip + 9;

// Where the addresses are.
struct Addresses {
    std::size_t source;
    std::size_t destination;
    std::size_t words; // of four bytes
};
constexpr Addresses ipv4_addresses{ip + 12, ip + 16, 1};
constexpr Addresses ipv6_addresses{ip + 8, ip + 24, 4};

constexpr std::size_t transport = offsetof(Key, l4);
constexpr std::size_t tcp_state = offsetof(Key, l4.tcp);
constexpr std::size_t short_state = offsetof(Key, l4.short_header);
constexpr std::size_t mobility_state = offsetof(Key, l4.mobility);

class MatchEmitter : public Comparison {
public:
    MatchEmitter(Assembler &as, const Needs &needs, const MatchExits &exits)
        : Comparison(as, exits), needs_(needs), is_ipv6_(needs.family == ir::Family::ipv6),
          addresses_(is_ipv6_ ? ipv6_addresses : ipv4_addresses)
    {
    }

    void operator()(const ir::SourceAddress &match)
    {
        bytes(addresses_.source, match.value.data(), match.mask.data(), addresses_.words,
              match.invert);
    }

    void operator()(const ir::DestinationAddress &match)
    {
        bytes(addresses_.destination, match.value.data(), match.mask.data(), addresses_.words,
              match.invert);
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
        if (is_ipv6_) {
            as_.emit(load(BPF_W, r1, r7, offsetof(Key, walk.protocol)));
            as_.jump_if32(BPF_JEQ, r1, protocol_missing, exits_.hotdrop);
            if (match.value == 0)
                return;
        } else {
            as_.emit(load(BPF_B, r1, r7, ipv4_protocol));
        }
        as_.jump_if32(match.invert ? BPF_JEQ : BPF_JNE, r1, match.value, exits_.next);
    }

    void operator()(const ir::Fragment &match)
    {
        as_.emit(load(BPF_H, r1, r7, ipv4_fragment));
        as_.emit(alu32(BPF_AND, r1, htons(IP_OFFMASK)));
        as_.jump_if32(match.invert ? BPF_JNE : BPF_JEQ, r1, 0, exits_.next);
    }

    void operator()(const ir::Never & /*match*/) { as_.jump(exits_.next); }

    void operator()(const ir::Tcp &match)
    {
        state(tcp_state);
        ports(match.source, match.destination);
        if (match.flags_mask != 0 || match.flags_value != 0 || match.flags_invert) {
            as_.emit(load(BPF_B, r1, r7, transport + 13));
            as_.emit(alu32(BPF_AND, r1, match.flags_mask));
            as_.jump_if32(match.flags_invert ? BPF_JEQ : BPF_JNE, r1, match.flags_value,
                          exits_.next);
        }
        if (match.option != 0)
            option(match.option, match.option_invert);
    }

    void operator()(const ir::Udp &match)
    {
        state(short_state);
        ports(match.source, match.destination);
    }

    void operator()(const ir::Icmp &match)
    {
        state(short_state);
        if (match.type == 0xff) {
            if (match.invert)
                as_.jump(exits_.next);
            return;
        }
        type_and_code(match);
    }

    void operator()(const ir::Icmp6 &match)
    {
        state(short_state);
        type_and_code(match);
    }

    void operator()(const ir::Mobility &match)
    {
        state(mobility_state);
        as_.emit(load(BPF_B, r1, r7, transport));
        as_.jump_if32(BPF_JNE, r1, IPPROTO_NONE, exits_.hotdrop);
        as_.emit(load(BPF_B, r1, r7, transport + 2));
        within(match.type.min, match.type.max, match.type.invert);
    }

    // What else only IPv6 has.
    template <typename T> void operator()(const T &match)
    {
        emit_ipv6_match(as_, match, needs_, exits_);
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

    // T: Icmp or Icmp6.
    template <typename T> void type_and_code(const T &match)
    {
        const Label other = match.invert ? as_.label() : exits_.next;
        as_.emit(load(BPF_B, r1, r7, transport));
        as_.jump_if32(BPF_JNE, r1, match.type, other);
        as_.emit(load(BPF_B, r1, r7, transport + 1));
        range(match.code_min, match.code_max, match.invert, other);
        if (match.invert)
            as_.bind(other);
    }

    void ports(const ir::PortRange &source, const ir::PortRange &destination)
    {
        port(transport, source);
        port(transport + 2, destination);
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
        within(ports.min, ports.max, ports.invert);
    }

    void option(std::uint8_t kind, bool invert)
    {
        state(offsetof(Key, l4.options));
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, l4.option_kinds) + kind / 32 * 4));
        const std::uint32_t bit = std::uint32_t{1} << kind % 32;
        if (invert) {
            as_.jump_if32(BPF_JSET, r1, bit, exits_.next);
            return;
        }
        as_.emit(alu32(BPF_AND, r1, bit));
        as_.jump_if32(BPF_JEQ, r1, 0, exits_.next);
    }

    const Needs &needs_;
    const bool is_ipv6_;
    const Addresses &addresses_;
};

bool asks_transport(const ir::Match &match)
{
    return std::holds_alternative<ir::Tcp>(match) || std::holds_alternative<ir::Udp>(match) ||
           std::holds_alternative<ir::Icmp>(match) || std::holds_alternative<ir::Icmp6>(match) ||
           std::holds_alternative<ir::Mobility>(match);
}

bool asks_options(const ir::Match &match)
{
    const auto *tcp = std::get_if<ir::Tcp>(&match);
    return tcp != nullptr && tcp->option != 0;
}

} // namespace

void emit_matches(Assembler &as, const ir::Rule &rule, const Needs &needs, const MatchExits &exits)
{
    MatchEmitter emitter(as, needs, exits);
    for (const ir::Match &match : rule.matches) {
        std::visit(emitter, match);
        if (!as.falls_through())
            return; // it never matches
    }
}

void Needs::add(const ir::Rule &rule)
{
    const bool is_ipv6 = family == ir::Family::ipv6;
    for (const ir::Match &match : rule.matches) {
        devices = devices || std::holds_alternative<ir::InInterface>(match) ||
                  std::holds_alternative<ir::OutInterface>(match);
        l4 = l4 || asks_transport(match);
        options = options || asks_options(match);
        walk = walk || (is_ipv6 && (l4 || std::holds_alternative<ir::Protocol>(match)));
        if (is_ipv6)
            add_ipv6(match, *this);
    }
}

} // namespace bpfilter::codegen
