// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/header_set.h"
#include "umh/codegen/header.h"

#include <array>
#include <cstddef>
#include <netinet/in.h>
#include <utility>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t set = offsetof(Key, headers.set);
constexpr std::size_t scratch = offsetof(Key, scratch);

// What each header is in the set.
constexpr std::array<std::pair<ExtensionHeader, std::uint8_t>, extension_header_count> flags{{
    {hop, ir::header_set::hop},
    {routing, ir::header_set::routing},
    {fragment, ir::header_set::fragment},
    {authentication, ir::header_set::authentication},
    {destination, ir::header_set::destination},
}};

// r6 the context, r7 the key, r8 the kind of the header at r9.
class SetEmitter {
public:
    SetEmitter(Assembler &as, const Backend &backend) : as_(as), backend_(backend) {}

    void run()
    {
        as_.emit(load(BPF_DW, r6, r2, 0));
        as_.emit(load(BPF_DW, r7, r2, 8));
        as_.emit(load(BPF_W, r8, r7, offsetof(Key, headers.next)));
        as_.emit(load(BPF_W, r9, r7, offsetof(Key, headers.offset)));
        last(IPPROTO_NONE, ir::header_set::none);
        for (const auto &[header, flag] : flags)
            as_.jump_if(BPF_JEQ, r8, number_of(header), known_);
        as_.jump_if(BPF_JEQ, r8, IPPROTO_ESP, known_);
        protocol();

        as_.bind(known_);
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, length)));
        as_.emit(alu(BPF_SUB, r1, r9));
        as_.jump_if(BPF_JSLT, r1, 2, unknown_);
        last(IPPROTO_ESP, ir::header_set::esp);
        bytes();
        step();
        as_.bind(unknown_);
        as_.emit(store(BPF_W, r7, set, ir::header_set::unknown));
        leave(stop);
    }

private:
    static constexpr std::int32_t go_on = 0;
    static constexpr std::int32_t stop = 1;

    void leave(std::int32_t result)
    {
        as_.emit(move(r0, result));
        as_.emit(exit_insn());
    }

    void add(std::uint8_t flag)
    {
        as_.emit(load(BPF_W, r1, r7, set));
        as_.emit(alu32(BPF_OR, r1, flag));
        as_.emit(store(BPF_W, r7, set, r1));
    }

    // A header that ends the walk.
    void last(std::int32_t number, std::uint8_t flag)
    {
        const Label other = as_.label();
        as_.jump_if(BPF_JNE, r8, number, other);
        add(flag);
        leave(stop);
        as_.bind(other);
    }

    // What is next, and not looked at, is r8.
    void protocol()
    {
        add(ir::header_set::protocol);
        leave(stop);
    }

    void bytes()
    {
        as_.emit(move(r1, r6));
        as_.emit(move(r2, r9));
        as_.emit(alu(BPF_ADD, r2, backend_.l3));
        as_.emit(move(r3, r7));
        as_.emit(alu(BPF_ADD, r3, scratch));
        as_.emit(move(r4, 2));
        as_.emit(call_helper(backend_.load_bytes));
        as_.jump_if(BPF_JNE, r0, 0, unknown_); // cannot be
    }

    void step()
    {
        const Label advance = as_.label();
        as_.emit(load(BPF_B, r2, r7, scratch + 1));
        for (const auto &[header, flag] : flags) {
            const Label other = as_.label();
            as_.jump_if(BPF_JNE, r8, number_of(header), other);
            add(flag);
            if (header == fragment)
                as_.emit(move(r2, 8));
            else
                emit_header_length(as_, r2, header == authentication);
            as_.jump(advance);
            as_.bind(other);
        }
        as_.jump(unknown_); // cannot be

        as_.bind(advance);
        as_.emit(load(BPF_B, r8, r7, scratch));
        as_.emit(store(BPF_W, r7, offsetof(Key, headers.next), r8));
        as_.emit(alu(BPF_ADD, r9, r2));
        as_.emit(store(BPF_W, r7, offsetof(Key, headers.offset), r9));
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, length)));
        const Label beyond = as_.label();
        as_.jump_if(BPF_JGT, r9, r1, beyond);
        leave(go_on);

        const Label nothing = as_.label();
        as_.bind(beyond);
        as_.jump_if(BPF_JEQ, r8, IPPROTO_NONE, nothing);
        as_.jump_if(BPF_JEQ, r8, IPPROTO_ESP, nothing);
        protocol();
        as_.bind(nothing);
        leave(stop);
    }

    Assembler &as_;
    const Backend &backend_;
    Label known_ = as_.label();
    Label unknown_ = as_.label();
};

} // namespace

void emit_header_set(Assembler &as, Label step)
{
    as.emit(store(BPF_W, r7, set, 0));
    as.emit(store(BPF_W, r7, offsetof(Key, headers.offset), 40));
    as.emit(load(BPF_B, r1, r7, offsetof(Key, ip) + 6));
    as.emit(store(BPF_W, r7, offsetof(Key, headers.next), r1));
    emit_packet_loop(as, step);
}

void emit_header_set_function(Assembler &as, const Backend &backend, Label label)
{
    as.function(label, Function{.name = "bf_header_set", .arguments = 2});
    SetEmitter(as, backend).run();
}

} // namespace bpfilter::codegen
