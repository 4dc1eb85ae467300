// SPDX-License-Identifier: GPL-2.0
//
// The one question about what stands before the IP header. The program cannot find out how
// long that is, nor what kind of device it came from: the module says so in the context.
#include "umh/codegen/header.h"

#include "bpfilter/context.h"
#include "umh/codegen/prologue.h"

#include <arpa/inet.h>
#include <cstddef>
#include <linux/if_ether.h>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t scratch = offsetof(Key, scratch); // sender, EtherType
constexpr std::size_t version = offsetof(Key, ip);
constexpr std::size_t lower_half = offsetof(Key, ip) + 8 + 8; // of the source address

void emit_differs(Assembler &as, std::size_t place, std::uint32_t value, Label differs)
{
    as.emit(load(BPF_B, r1, r7, place));
    as.jump_if32(BPF_JNE, r1, value, differs);
}

// One byte of the sender, with bits inverted.
void emit_differs(Assembler &as, std::size_t place, std::size_t sender, std::uint32_t invert,
                  Label differs)
{
    as.emit(load(BPF_B, r1, r7, place));
    as.emit(load(BPF_B, r2, r7, scratch + sender));
    as.emit(alu32(BPF_XOR, r2, invert));
    as.jump_if(BPF_JNE, r1, r2, differs);
}

} // namespace

void emit_eui64(Assembler &as)
{
    constexpr std::int32_t length = ETH_ALEN + 2;
    const Label absent = as.label();
    const Label done = as.label();

    emit_state(as, offsetof(Key, eui64), header_hotdrop);
    as.emit(load(BPF_W, r1, r7, offsetof(Key, names.link)));
    as.jump_if(BPF_JEQ, r1, BPFILTER_LINK_OTHER, absent);
    as.jump_if(BPF_JNE, r1, BPFILTER_LINK_ETHERNET, done);
    as.emit(move(r1, r6));
    as.emit(move(r2, offsetof(ethhdr, h_source)));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, static_cast<std::int32_t>(scratch)));
    as.emit(move(r4, length));
    as.emit(move(r5, BPF_HDR_START_MAC));
    as.emit(call_helper(BPF_FUNC_skb_load_bytes_relative));
    as.jump_if(BPF_JNE, r0, 0, done);

    as.emit(load(BPF_H, r1, r7, scratch + ETH_ALEN));
    as.jump_if32(BPF_JNE, r1, htons(ETH_P_IPV6), absent);
    as.emit(load(BPF_B, r1, r7, version));
    as.emit(alu32(BPF_RSH, r1, 4));
    as.jump_if32(BPF_JNE, r1, 6, absent);
    emit_differs(as, lower_half, 0, 0x02, absent);
    emit_differs(as, lower_half + 1, 1, 0, absent);
    emit_differs(as, lower_half + 2, 2, 0, absent);
    emit_differs(as, lower_half + 3, 0xff, absent);
    emit_differs(as, lower_half + 4, 0xfe, absent);
    for (std::size_t i = 3; i < ETH_ALEN; ++i)
        emit_differs(as, lower_half + 2 + i, i, 0, absent);
    emit_state(as, offsetof(Key, eui64), header_present);
    as.jump(done);

    as.bind(absent);
    emit_state(as, offsetof(Key, eui64), header_absent);
    as.bind(done);
}

} // namespace bpfilter::codegen
