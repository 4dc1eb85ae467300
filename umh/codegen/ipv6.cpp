// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/ipv6.h"

#include "umh/codegen/header.h"
#include "umh/codegen/key.h"
#include "umh/codegen/prologue.h"

#include <cstddef>
#include <cstdint>
#include <netinet/in.h>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t next_header = offsetof(Key, ip) + 6;
constexpr std::size_t scratch = offsetof(Key, scratch);

void emit_if_extension(Assembler &as, Register kind, Label label)
{
    for (const auto header : {hop, routing, fragment, authentication, destination})
        as.jump_if(BPF_JEQ, kind, number_of(header), label);
}

void emit_store(Assembler &as, std::size_t offset, std::int32_t value)
{
    as.emit(store(BPF_W, r7, static_cast<std::int32_t>(offset), value));
}

void emit_store(Assembler &as, std::size_t offset, Register value)
{
    as.emit(store(BPF_W, r7, static_cast<std::int32_t>(offset), value));
}

// Without a loop for a packet without extension headers, which is nearly every one. A walk
// that is not brought to its end leaves the packet bad.
void emit_walk(Assembler &as, Label step)
{
    const Label loop = as.label();
    const Label done = as.label();

    emit_store(as, offsetof(Key, walk.offset), ipv6_header);
    emit_store(as, offsetof(Key, walk.fragment), 0);
    for (std::size_t i = 0; i < extension_header_count; ++i)
        emit_store(as, offsetof(Key, walk.place) + i * sizeof(std::uint32_t), 0);
    as.emit(load(BPF_B, r1, r7, next_header));
    emit_if_extension(as, r1, loop);
    emit_store(as, offsetof(Key, walk.protocol), r1);
    emit_store(as, offsetof(Key, walk.bad), 0);
    as.jump(done);

    as.bind(loop);
    emit_store(as, offsetof(Key, walk.protocol), protocol_missing);
    emit_store(as, offsetof(Key, walk.bad), 1);
    emit_store(as, offsetof(Key, walk.next), r1);
    emit_packet_loop(as, step);
    as.bind(done);
}

// The transport header where the walk ended.
void emit_walked_transport(Assembler &as, const Backend &backend, ir::Parts parts, Label options)
{
    const Label elsewhere = as.label();
    const Label missing = as.label();
    const Label done = as.label();

    as.emit(load(BPF_W, r1, r7, offsetof(Key, walk.protocol)));
    as.jump_if(BPF_JEQ, r1, protocol_missing, missing);
    as.emit(load(BPF_W, r1, r7, offsetof(Key, walk.fragment)));
    as.jump_if(BPF_JNE, r1, 0, elsewhere);
    as.emit(load(BPF_W, r9, r7, offsetof(Key, walk.offset)));
    emit_transport(as, backend, parts, options);
    as.jump(done);

    as.bind(elsewhere);
    emit_transport_states(as, parts, header_absent);
    as.jump(done);

    as.bind(missing);
    emit_transport_states(as, parts, header_hotdrop);
    as.bind(done);
}

// r6 the context, r7 the key, r8 the kind of the header at r9.
class StepEmitter {
public:
    StepEmitter(Assembler &as, const Backend &backend) : as_(as), backend_(backend) {}

    void run()
    {
        as_.emit(load(BPF_DW, r6, r2, 0));
        as_.emit(load(BPF_DW, r7, r2, 8));
        as_.emit(load(BPF_W, r8, r7, offsetof(Key, walk.next)));
        as_.emit(load(BPF_W, r9, r7, offsetof(Key, walk.offset)));
        const Label extension = as_.label();
        emit_if_extension(as_, r8, extension);
        emit_store(as_, offsetof(Key, walk.protocol), r8);
        emit_store(as_, offsetof(Key, walk.bad), 0);
        leave(stop);

        as_.bind(extension);
        bytes();
        record();
        later_fragment();
        advance();
        as_.bind(stopped_);
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

    // What must be there of any header: two bytes, or four.
    void bytes()
    {
        const Label load_them = as_.label();
        as_.emit(move(r4, 4));
        as_.jump_if(BPF_JEQ, r8, IPPROTO_ROUTING, load_them);
        as_.jump_if(BPF_JEQ, r8, IPPROTO_FRAGMENT, load_them);
        as_.emit(move(r4, 2));
        as_.bind(load_them);
        as_.emit(move(r1, r6));
        as_.emit(move(r2, r9));
        as_.emit(alu(BPF_ADD, r2, backend_.l3));
        as_.emit(move(r3, r7));
        as_.emit(alu(BPF_ADD, r3, scratch));
        as_.emit(call_helper(backend_.load_bytes));
        as_.jump_if(BPF_JNE, r0, 0, stopped_);
    }

    // The first of each kind.
    void record()
    {
        const Label recorded = as_.label();
        for (const auto header : {hop, routing, fragment, authentication, destination}) {
            const std::size_t place = offsetof(Key, walk.place) + header * sizeof(std::uint32_t);
            const Label other = as_.label();
            as_.jump_if(BPF_JNE, r8, number_of(header), other);
            as_.emit(load(BPF_W, r1, r7, place));
            as_.jump_if(BPF_JNE, r1, 0, recorded);
            emit_store(as_, place, r9);
            as_.jump(recorded);
            as_.bind(other);
        }
        as_.bind(recorded);
    }

    // A later fragment: nothing of what follows is here. r2: the length of this header.
    void later_fragment()
    {
        as_.jump_if(BPF_JNE, r8, IPPROTO_FRAGMENT, length_);
        as_.emit(move(r2, 8));
        as_.emit(load(BPF_H, r1, r7, scratch + 2));
        as_.emit(from_network16(r1));
        as_.emit(alu(BPF_AND, r1, 0xfff8));
        as_.jump_if(BPF_JEQ, r1, 0, known_);
        emit_store(as_, offsetof(Key, walk.bad), 0);
        as_.emit(load(BPF_B, r1, r7, scratch));
        emit_if_extension(as_, r1, stopped_);
        emit_store(as_, offsetof(Key, walk.protocol), r1);
        emit_store(as_, offsetof(Key, walk.fragment), 1);
        as_.jump(stopped_);
    }

    void advance()
    {
        as_.bind(length_);
        as_.emit(load(BPF_B, r2, r7, scratch + 1));
        const Label eights = as_.label();
        as_.jump_if(BPF_JNE, r8, IPPROTO_AH, eights);
        emit_header_length(as_, r2, true);
        as_.jump(known_);
        as_.bind(eights);
        emit_header_length(as_, r2, false);
        as_.bind(known_);
        // Is all of it there? Some kernels do not mind.
        const Label there = as_.label();
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, names.quirks)));
        as_.emit(alu(BPF_AND, r1, BPFILTER_QUIRK_WALK));
        as_.jump_if(BPF_JNE, r1, 0, there);
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, length)));
        as_.emit(alu(BPF_SUB, r1, r9));
        as_.jump_if(BPF_JLT, r1, r2, stopped_);
        as_.bind(there);
        as_.emit(alu(BPF_ADD, r9, r2));
        emit_store(as_, offsetof(Key, walk.offset), r9);
        as_.emit(load(BPF_B, r1, r7, scratch));
        emit_store(as_, offsetof(Key, walk.next), r1);
        leave(go_on);
    }

    Assembler &as_;
    const Backend &backend_;
    Label stopped_ = as_.label();
    Label length_ = as_.label();
    Label known_ = as_.label();
};

// int bf_header(iteration, pointers to context and key): one step of the walk.
void emit_step_function(Assembler &as, const Backend &backend, Label label)
{
    as.function(label, Function{.name = "bf_header", .arguments = 2});
    StepEmitter(as, backend).run();
}

} // namespace

void emit_ipv6_headers(Assembler &as, const Backend &backend, ir::Parts parts,
                       const Ipv6Functions &functions)
{
    if (parts.has(ir::Part::walk))
        emit_walk(as, functions.step);
    if (parts.has(ir::Part::transport))
        emit_walked_transport(as, backend, parts, functions.options);
    emit_headers(as, backend, parts, functions.option_list);
    if (parts.has(ir::Part::header_set))
        emit_header_set(as, functions.set_step);
    if (parts.has(ir::Part::link))
        emit_eui64(as);
}

void emit_ipv6_functions(Assembler &as, const Backend &backend, const Ipv6Functions &functions)
{
    if (as.used(functions.step))
        emit_step_function(as, backend, functions.step);
    if (as.used(functions.option_list))
        emit_option_list_function(as, backend, functions.option_list);
    if (as.used(functions.set_step))
        emit_header_set_function(as, backend, functions.set_step);
    if (as.used(functions.find_address))
        emit_find_address_function(as, functions.find_address);
}

} // namespace bpfilter::codegen
