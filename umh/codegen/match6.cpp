// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/match6.h"

#include "umh/codegen/compare.h"
#include "umh/codegen/key.h"

#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <variant>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t ip_hop_limit = offsetof(Key, ip) + 7;

constexpr std::size_t header_at(ExtensionHeader header)
{
    return offsetof(Key, header) + header * sizeof(Header);
}

constexpr std::size_t bytes_of(ExtensionHeader header)
{
    return header_at(header) + offsetof(Header, bytes);
}

ExtensionHeader header_of(const ir::Options &match)
{
    return match.header == ir::Options::Header::hop ? hop : destination;
}

class Match6Emitter : public Comparison {
public:
    Match6Emitter(Assembler &as, const Needs &needs, const MatchExits &exits)
        : Comparison(as, exits), needs_(needs)
    {
    }

    void operator()(const ir::HopLimit &match)
    {
        // What jumps away, by HopLimit::Test.
        static constexpr std::array fails{BPF_JNE, BPF_JEQ, BPF_JGE, BPF_JLE};
        as_.emit(load(BPF_B, r1, r7, ip_hop_limit));
        as_.jump_if32(static_cast<std::uint32_t>(fails.at(static_cast<std::size_t>(match.test))),
                      r1, match.value, exits_.next);
    }

    void operator()(const ir::HeaderSet &match)
    {
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, headers.set)));
        as_.jump_if32(BPF_JEQ, r1, header_set_unknown, exits_.next);
        if (match.soft) {
            const std::uint32_t wanted = (match.headers ^ match.invert) & match.headers;
            as_.emit(alu32(BPF_AND, r1, match.headers));
            as_.jump_if32(BPF_JNE, r1, wanted, exits_.next);
        } else {
            as_.jump_if32(match.invert ? BPF_JEQ : BPF_JNE, r1, match.headers, exits_.next);
        }
    }

    void operator()(const ir::FragmentHeader &match)
    {
        header_state(fragment);
        number(bytes_of(fragment) + 4, match.id);
        if (match.reserved) {
            byte(bytes_of(fragment) + 1);
            as_.jump_if32(BPF_JNE, r1, 0, exits_.next);
            offset_bits(0x0006, BPF_JNE);
        }
        if (match.first)
            offset_bits(0xfff8, BPF_JNE);
        if (match.more)
            offset_bits(0x0001, BPF_JEQ);
        if (match.last)
            offset_bits(0x0001, BPF_JNE);
    }

    void operator()(const ir::Authentication &match)
    {
        header_state(authentication);
        number(bytes_of(authentication) + 4, match.spi);
        length(authentication, match.length);
        if (!match.reserved)
            return;
        as_.emit(load(BPF_H, r1, r7, bytes_of(authentication) + 2));
        as_.jump_if32(BPF_JNE, r1, 0, exits_.next);
    }

    void operator()(const ir::Options &match)
    {
        const std::size_t list = match.header == ir::Options::Header::hop
                                     ? offsetof(Key, hop_options)
                                     : offsetof(Key, destination_options);
        header_state(header_of(match));
        length(header_of(match), match.length);
        if (match.options.empty())
            return;
        as_.emit(load(BPF_W, r1, r7, list + offsetof(OptionList, count)));
        as_.jump_if32(BPF_JLT, r1, static_cast<std::uint32_t>(match.options.size()), exits_.next);
        for (std::size_t i = 0; i < match.options.size(); ++i) {
            const auto &option = match.options[i];
            byte(list + offsetof(OptionList, type) + i);
            as_.jump_if32(BPF_JNE, r1, option.type, exits_.next);
            if (option.type == 0 || option.length == ir::Options::any_length)
                continue;
            byte(list + offsetof(OptionList, length) + i);
            as_.jump_if32(BPF_JNE, r1, option.length, exits_.next);
        }
    }

    void operator()(const ir::Routing &match)
    {
        header_state(routing);
        byte(bytes_of(routing) + 3);
        within(match.left.min, match.left.max, match.left.invert);
        length(routing, match.length);
        if (match.type) {
            byte(bytes_of(routing) + 2);
            equal(*match.type);
        }
        if (match.reserved) {
            as_.emit(load(BPF_W, r1, r7, bytes_of(routing) + 4));
            as_.jump_if32(BPF_JNE, r1, 0, exits_.next);
        }
        if (match.addresses.empty())
            return;
        if (match.strict)
            exact_route(match.addresses);
        else
            route(match.addresses);
    }

    void operator()(const ir::Eui64 & /*match*/) { state(offsetof(Key, eui64)); }

    template <typename T> void operator()(const ir::Boxed<T> &match) { (*this)(*match); }

    // What is compiled with MatchEmitter.
    template <typename T> void operator()(const T & /*match*/)
    {
        throw std::logic_error("not a match of IPv6 alone");
    }

private:
    void byte(std::size_t offset) { as_.emit(load(BPF_B, r1, r7, offset)); }

    void header_state(ExtensionHeader header)
    {
        state(header_at(header) + offsetof(Header, state));
    }

    void equal(const ir::Number &wanted)
    {
        as_.jump_if32(wanted.invert ? BPF_JEQ : BPF_JNE, r1, wanted.value, exits_.next);
    }

    void length(ExtensionHeader header, const std::optional<ir::Number> &wanted)
    {
        if (!wanted)
            return;
        as_.emit(load(BPF_W, r1, r7, header_at(header) + offsetof(Header, length)));
        equal(*wanted);
    }

    // Four bytes.
    void number(std::size_t offset, const ir::NumberRange &range)
    {
        if (range == ir::NumberRange{})
            return;
        as_.emit(load(BPF_W, r1, r7, offset));
        as_.emit(from_network32(r1));
        within(range.min, range.max, range.invert);
    }

    // Leaves if the bits of the fragment header's offset field are not 0 (BPF_JNE), or are.
    void offset_bits(std::uint16_t mask, std::uint32_t operation)
    {
        as_.emit(load(BPF_H, r1, r7, bytes_of(fragment) + 2));
        as_.emit(alu32(BPF_AND, r1, htons(mask)));
        as_.jump_if32(operation, r1, 0, exits_.next);
    }

    void exact_route(const std::vector<ir::Address> &addresses)
    {
        static constexpr auto all = [] {
            ir::Address mask{};
            mask.fill(std::byte{0xff});
            return mask;
        }();
        as_.emit(load(BPF_W, r1, r7, header_at(routing) + offsetof(Header, length)));
        as_.emit(alu32(BPF_SUB, r1, 8));
        as_.emit(alu32(BPF_RSH, r1, 4));
        as_.jump_if32(BPF_JNE, r1, static_cast<std::uint32_t>(addresses.size()), exits_.next);
        for (std::size_t i = 0; i < addresses.size(); ++i)
            bytes(route_offset + i * 16, addresses[i].data(), all.data(), 4, false);
    }

    // Each is looked for behind the one before it.
    void route(const std::vector<ir::Address> &addresses)
    {
        as_.emit(move(r0, 0));
        for (const ir::Address &address : addresses) {
            as_.emit(move(r1, r0));
            load_half(r2, address.data());
            load_half(r3, address.data() + 8);
            as_.call(needs_.find_address);
            as_.jump_if(BPF_JEQ, r0, 0, exits_.next);
        }
    }

    void load_half(Register to, const std::byte *address)
    {
        as_.load_number(to, word(address) | std::uint64_t{word(address + 4)} << 32);
    }

    const Needs &needs_;
};

} // namespace

void emit_ipv6_match(Assembler &as, const ir::Match &match, const Needs &needs,
                     const MatchExits &exits)
{
    std::visit(Match6Emitter(as, needs, exits), match);
}

void add_ipv6(const ir::Match &match, Needs &needs)
{
    const auto need = [&needs](ExtensionHeader header) {
        needs.walk = true;
        needs.header.at(header) = true;
    };
    if (std::holds_alternative<ir::HeaderSet>(match))
        needs.headers = true;
    if (std::holds_alternative<ir::Eui64>(match))
        needs.eui64 = true;
    if (std::holds_alternative<ir::FragmentHeader>(match))
        need(fragment);
    if (std::holds_alternative<ir::Authentication>(match))
        need(authentication);
    if (const auto *options = std::get_if<ir::Boxed<ir::Options>>(&match)) {
        need(header_of(*options));
        if (!(*options)->options.empty())
            (header_of(*options) == hop ? needs.hop_options : needs.destination_options) = true;
    }
    if (const auto *route = std::get_if<ir::Boxed<ir::Routing>>(&match)) {
        need(routing);
        needs.addresses = needs.addresses || !(*route)->addresses.empty();
    }
}

} // namespace bpfilter::codegen
