// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/program.h"

#include "umh/codegen/assembler.h"
#include "umh/codegen/backend.h"
#include "umh/codegen/key.h"
#include "umh/codegen/prologue.h"
#include "umh/codegen/rule.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include <utility>

namespace bpfilter::xdp {

namespace {

using namespace codegen;

constexpr std::size_t ip = offsetof(Key, ip);
constexpr std::size_t ip_source = ip + 12;
constexpr std::size_t ip_destination = ip + 16;

template <typename T> T number(const std::byte *bytes)
{
    T value{};
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

// "bf_xdp_eth0": what fits the kernel's 15 characters.
std::string program_name(const Device &device)
{
    std::string name = device.name.substr(0, 8);
    std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return "bf_xdp_" + name;
}

class DeviceEmitter {
public:
    DeviceEmitter(const std::vector<ir::Rule> &lead, const Device &device)
        : lead_(lead), device_(device)
    {
        for (const ir::Rule &rule : lead)
            parts_ |= parts_of(rule.conditions);
    }

    Result<Program> run() &&
    {
        main();
        lead_function();
        if (as_.used(options_))
            emit_options_function(as_, codegen::xdp, options_);
        if (as_.used(count_))
            emit_count_function(as_, count_);

        Result<Program> program = std::move(as_).finish();
        if (!program)
            return program;
        program->name = program_name(device_);
        program->type = codegen::xdp.type;
        program->flags = codegen::xdp.flags;
        program->source = "INPUT, for " + device_.name;
        return program;
    }

private:
    // What is cheap, the rules, and for what they would drop all that is left to check. Then
    // the rules again, to count: what is passed on must not have been counted.
    void main()
    {
        const auto &backend = codegen::xdp;
        as_.function(as_.label(), Function{.name = program_name(device_), .arguments = 1});
        guard();
        emit_entry(as_, pass_);
        frame();
        emit_ip_header(as_, backend, surroundings_.family, pass_);
        header();
        if (parts_.has(ir::Part::transport))
            emit_l4_header(as_, backend, parts_, options_);
        evaluate(false);
        as_.jump_if(BPF_JEQ, r0, 0, pass_);
        checksum();
        addresses();
        evaluate(true);
        result(backend.drop);
        as_.bind(pass_);
        result(backend.accept);
    }

    void result(std::uint32_t value)
    {
        as_.emit(move32(r0, value));
        as_.emit(exit_insn());
    }

    void evaluate(bool counting)
    {
        as_.emit(store(BPF_W, r7, offsetof(Key, counting), counting ? 1 : 0));
        as_.emit(move(r1, r7));
        as_.call(rules_);
    }

    // Whoever clears it knows of something that we do not.
    void guard()
    {
        as_.load_map_value(r2, MapSlot::guard);
        as_.emit(load(BPF_DW, r2, r2, 0));
        as_.jump_if(BPF_JEQ, r2, 0, pass_);
    }

    // An untagged IPv4 frame to this device.
    void frame()
    {
        constexpr std::size_t scratch = offsetof(Key, scratch);
        const std::byte *address = device_.address.data();
        emit_load_bytes(as_, codegen::xdp, 0, scratch, ETH_HLEN);
        as_.jump_if(BPF_JNE, r0, 0, pass_);
        differs(BPF_H, scratch + 12, htons(ETH_P_IP));
        differs(BPF_W, scratch, number<std::uint32_t>(address));
        differs(BPF_H, scratch + 4, number<std::uint16_t>(address + 4));
    }

    void differs(std::uint32_t size, std::size_t offset, std::uint32_t value)
    {
        as_.emit(load(size, r1, r7, offset));
        as_.jump_if32(BPF_JNE, r1, value, pass_);
    }

    // Version 4 without options, no fragment, and a total length that is there.
    void header()
    {
        differs(BPF_B, ip, 0x45);
        as_.emit(load(BPF_H, r1, r7, ip + 6));
        as_.emit(alu32(BPF_AND, r1, htons(IP_MF | IP_OFFMASK)));
        as_.jump_if32(BPF_JNE, r1, 0, pass_);
        as_.emit(load(BPF_H, r8, r7, ip + 2));
        as_.emit(from_network16(r8));
        as_.jump_if(BPF_JLT, r8, ipv4_header, pass_);
        as_.emit(store(BPF_W, r7, offsetof(Key, length), r8));
        as_.emit(move(r1, r6));
        as_.emit(call_helper(BPF_FUNC_xdp_get_buff_len));
        as_.emit(alu(BPF_ADD, r8, codegen::xdp.l3));
        as_.jump_if(BPF_JGT, r8, r0, pass_);
    }

    // The sum of the header's words is all ones: the same in either byte order.
    void checksum()
    {
        as_.emit(move(r1, 0));
        for (std::size_t i = 0; i < ipv4_header; i += 4) {
            as_.emit(load(BPF_W, r2, r7, ip + i));
            as_.emit(alu(BPF_ADD, r1, r2));
        }
        as_.emit(move(r2, r1));
        as_.emit(alu(BPF_RSH, r2, 32));
        as_.emit(alu32(BPF_MOV, r1, r1));
        as_.emit(alu(BPF_ADD, r1, r2));
        for (int fold = 0; fold < 3; ++fold) {
            as_.emit(move(r2, r1));
            as_.emit(alu(BPF_RSH, r2, 16));
            as_.emit(alu(BPF_AND, r1, 0xffff));
            as_.emit(alu(BPF_ADD, r1, r2));
        }
        as_.jump_if(BPF_JNE, r1, 0xffff, pass_);
    }

    void addresses()
    {
        as_.emit(load(BPF_B, r1, r7, ip_source));
        as_.jump_if(BPF_JEQ, r1, 0, pass_);
        as_.jump_if(BPF_JGE, r1, 224, pass_);
        if (!device_.loopback) {
            as_.jump_if(BPF_JEQ, r1, 127, pass_);
            as_.emit(load(BPF_B, r1, r7, ip_destination));
            as_.jump_if(BPF_JEQ, r1, 127, pass_);
            look_up(ip_source);
            as_.jump_if(BPF_JNE, r0, 0, pass_);
        }
        look_up(ip_destination);
        as_.jump_if(BPF_JEQ, r0, 0, pass_);
        as_.emit(load(BPF_B, r1, r0, 0));
        as_.jump_if(BPF_JEQ, r1, 0, pass_);
        routing();
    }

    // Would the packet be sent on? By the routes and rules of this moment; without forwarding
    // none is.
    void routing()
    {
        constexpr auto size = static_cast<std::int32_t>(sizeof(bpf_fib_lookup));
        static_assert(sizeof(bpf_fib_lookup) % 8 == 0);
        const auto field = [](std::size_t offset) {
            return static_cast<std::int32_t>(offset) - size;
        };
        as_.emit(move(r1, 0));
        for (std::int32_t at = -size; at < 0; at += 8)
            as_.emit(store(BPF_DW, r10, at, r1));
        as_.emit(store(BPF_B, r10, field(offsetof(bpf_fib_lookup, family)), AF_INET));
        as_.emit(load(BPF_B, r1, r7, ip + 9));
        as_.emit(store(BPF_B, r10, field(offsetof(bpf_fib_lookup, l4_protocol)), r1));
        as_.emit(load(BPF_B, r1, r7, ip + 1));
        as_.emit(store(BPF_B, r10, field(offsetof(bpf_fib_lookup, tos)), r1));
        as_.emit(load(BPF_W, r1, r7, ip_source));
        as_.emit(store(BPF_W, r10, field(offsetof(bpf_fib_lookup, ipv4_src)), r1));
        as_.emit(load(BPF_W, r1, r7, ip_destination));
        as_.emit(store(BPF_W, r10, field(offsetof(bpf_fib_lookup, ipv4_dst)), r1));
        as_.emit(load(BPF_W, r1, r6, offsetof(xdp_md, ingress_ifindex)));
        as_.emit(store(BPF_W, r10, field(offsetof(bpf_fib_lookup, ifindex)), r1));
        as_.emit(move(r1, r6));
        as_.emit(move(r2, r10));
        as_.emit(alu(BPF_ADD, r2, -size));
        as_.emit(move(r3, size));
        as_.emit(move(r4, 0));
        as_.emit(call_helper(BPF_FUNC_fib_lookup));
        const Label stays = as_.label();
        as_.jump_if(BPF_JEQ, r0, BPF_FIB_LKUP_RET_NOT_FWDED, stays);
        as_.jump_if(BPF_JNE, r0, BPF_FIB_LKUP_RET_FWD_DISABLED, pass_);
        as_.bind(stays);
    }

    // r0: not 0 if the address is one of this machine; then what it points to is not 0 if packets
    // to it come to INPUT.
    void look_up(std::size_t address)
    {
        as_.emit(store(BPF_W, r10, -8, 32));
        as_.emit(load(BPF_W, r1, r7, address));
        as_.emit(store(BPF_W, r10, -4, r1));
        as_.emit(move(r2, r10));
        as_.emit(alu(BPF_ADD, r2, -8));
        as_.load_map(r1, MapSlot::local);
        as_.emit(call_helper(BPF_FUNC_map_lookup_elem));
    }

    // int bf_lead(key): 1 if the packet is to be dropped.
    void lead_function()
    {
        const Label not_dropped = as_.label();
        const RuleExits exits{.accept = not_dropped,
                              .drop = as_.label(),
                              .hotdrop = not_dropped,
                              .queue = not_dropped,
                              .back = not_dropped,
                              .push = not_dropped,
                              .go = not_dropped};
        as_.function(rules_, Function{.name = "bf_lead", .arguments = 1});
        as_.emit(move(r7, r1));
        for (const ir::Rule &rule : lead_) {
            const Label next = as_.label();
            emit_rule(as_, rule, surroundings_, Counting{.function = count_, .second_time = true},
                      next, exits);
            as_.bind(next);
            if (!as_.falls_through())
                break;
        }
        as_.line(0, "");
        if (as_.falls_through() || as_.used(not_dropped)) {
            as_.bind(not_dropped);
            result(0);
        }
        if (as_.used(exits.drop)) {
            as_.bind(exits.drop);
            result(1);
        }
    }

    const std::vector<ir::Rule> &lead_;
    const Device &device_;
    ir::Parts parts_;
    Surroundings surroundings_; // IPv4
    Assembler as_;
    Label pass_ = as_.label();
    Label rules_ = as_.label();
    Label options_ = as_.label();
    Label count_ = as_.label();
};

} // namespace

Result<Program> generate(const std::vector<ir::Rule> &lead, const Device &device)
{
    return DeviceEmitter(lead, device).run();
}

Result<Program> generate_idle()
{
    Assembler as;
    as.function(as.label(), Function{.name = "bf_xdp_idle", .arguments = 1});
    as.emit(move32(r0, codegen::xdp.accept));
    as.emit(exit_insn());
    Result<Program> program = std::move(as).finish();
    if (!program)
        return program;
    program->name = "bf_xdp_idle";
    program->type = codegen::xdp.type;
    program->flags = codegen::xdp.flags;
    program->source = "INPUT, without rules for the device";
    return program;
}

std::uint32_t context_size()
{
    return sizeof(Key);
}

} // namespace bpfilter::xdp
