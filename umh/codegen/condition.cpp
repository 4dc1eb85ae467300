// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/condition.h"

#include "umh/codegen/field.h"
#include "umh/codegen/key.h"
#include "umh/core/ir/lower.h"

#include <arpa/inet.h>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <stdexcept>
#include <variant>

namespace bpfilter::codegen {

namespace {

// One test; falls through, or jumps to `fails`.
class TestEmitter {
public:
    TestEmitter(Assembler &as, ir::Family family, Label fails)
        : as_(as), family_(family), fails_(fails)
    {
    }

    void operator()(const ir::Range &test)
    {
        const Place place = place_of(test.field, family_);
        if (equality(place, test, BPF_JNE))
            return;
        if (const auto other = ir::inverse(test); other && equality(place, *other, BPF_JEQ))
            return;
        value(place);
        within(test.low, test.span);
    }

    void operator()(const ir::Masked &test)
    {
        const Place place = place_of(test.field, family_);
        if (test.span == 0 && place.network && place.plain()) {
            compare(place, test.mask, test.low, BPF_JNE);
            return;
        }
        value(place);
        as_.emit(alu32(BPF_AND, r1, test.mask));
        if (test.span == 0)
            as_.jump_if32(BPF_JNE, r1, test.low, fails_);
        else
            within(test.low, test.span);
    }

private:
    void value(const Place &place)
    {
        for (const bpf_insn &insn : load_field(place))
            as_.emit(insn);
    }

    // r1 - low <= span modulo 2^32
    void within(std::uint32_t low, std::uint32_t span)
    {
        if (low != 0)
            as_.emit(alu32(BPF_SUB, r1, low));
        as_.jump_if32(BPF_JGT, r1, span, fails_);
    }

    // One number or a prefix, which is compared as it lies in the packet. Whether it is that.
    // `operation` fails it: BPF_JNE, or BPF_JEQ for all but these.
    bool equality(const Place &place, const ir::Range &range, std::uint32_t operation)
    {
        if (!std::has_single_bit(range.span + 1ULL) || (range.low & range.span) != 0)
            return false;
        if (place.network && place.plain()) {
            compare(place, ~range.span, range.low, operation);
            return true;
        }
        if (range.span != 0)
            return false;
        value(place);
        as_.jump_if32(operation, r1, range.low, fails_);
        return true;
    }

    // (number & mask) and `wanted`, without turning the packet's bytes around.
    void compare(const Place &place, std::uint32_t mask, std::uint32_t wanted,
                 std::uint32_t operation)
    {
        const auto turned = [&place](std::uint32_t number) {
            return place.bytes == 2 ? htons(static_cast<std::uint16_t>(number)) : htonl(number);
        };
        const std::uint32_t most = place.bytes == 2 ? 0xffff : 0xffffffff;
        if (wanted > most) { // it never is
            if (operation == BPF_JNE)
                as_.jump(fails_);
            return;
        }
        as_.emit(load(size_of_bytes(place.bytes), r1, r7, place.offset));
        if ((mask & most) != most)
            as_.emit(alu32(BPF_AND, r1, turned(mask & most)));
        as_.jump_if32(operation, r1, turned(wanted), fails_);
    }

    Assembler &as_;
    ir::Family family_;
    Label fails_;
};

class ConditionEmitter {
public:
    ConditionEmitter(Assembler &as, const Surroundings &surroundings, const ConditionExits &exits)
        : as_(as), surroundings_(surroundings), exits_(exits)
    {
    }

    void operator()(const ir::Range &test) { TestEmitter(as_, family(), exits_.next)(test); }

    void operator()(const ir::Masked &test) { TestEmitter(as_, family(), exits_.next)(test); }

    void operator()(const ir::Not &group)
    {
        const Label differs = as_.label();
        all(group.all, differs);
        if (as_.falls_through())
            as_.jump(exits_.next);
        if (as_.used(differs))
            as_.bind(differs);
    }

    void operator()(const ir::AnyOf &any)
    {
        const Label holds = as_.label();
        for (const auto &group : any.groups) {
            const Label other = as_.label();
            all(group, other);
            if (as_.falls_through())
                as_.jump(holds);
            if (!as_.used(other))
                break; // this one always holds
            as_.bind(other);
        }
        if (as_.falls_through())
            as_.jump(exits_.next);
        if (as_.used(holds))
            as_.bind(holds);
    }

    void operator()(const ir::Require &require)
    {
        if (require.state == ir::Field::transport) {
            transport();
            return;
        }
        as_.emit(load(BPF_W, r1, r7, state_offset(require.state)));
        as_.jump_if32(BPF_JEQ, r1, header_hotdrop, exits_.hotdrop);
        as_.jump_if32(BPF_JNE, r1, header_present, exits_.next);
        if (require.state != ir::Field::mobility)
            return;
        as_.emit(load(BPF_B, r1, r7, offsetof(Key, l4.bytes)));
        as_.jump_if32(BPF_JNE, r1, IPPROTO_NONE, exits_.hotdrop);
    }

    // Each is looked for behind the one before it.
    void operator()(const ir::Listed &listed)
    {
        as_.emit(move(r0, 0));
        for (const ir::Listed::Item &item : listed.items) {
            as_.emit(move(r1, r0));
            half(r2, item[0], item[1]);
            half(r3, item[2], item[3]);
            as_.call(surroundings_.find_address);
            as_.jump_if(BPF_JEQ, r0, 0, exits_.next);
        }
    }

    void operator()(const ir::Kernel & /*kernel*/)
    {
        throw std::logic_error("code that calls the kernel"); // see can_generate()
    }

    void operator()(const ir::Never & /*never*/) { as_.jump(exits_.next); }

private:
    [[nodiscard]] ir::Family family() const { return surroundings_.family; }

    void all(const std::vector<ir::Test> &tests, Label fails)
    {
        for (const ir::Test &test : tests) {
            if (as_.falls_through())
                std::visit(TestEmitter(as_, family(), fails), test);
        }
    }

    // IPv4's is the IP header's business, and there.
    void transport()
    {
        if (family() != ir::Family::ipv6)
            return;
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, walk.protocol)));
        as_.jump_if32(BPF_JEQ, r1, protocol_missing, exits_.hotdrop);
    }

    // Eight bytes as they lie in a packet.
    void half(Register to, std::uint32_t first, std::uint32_t second)
    {
        as_.load_number(to, htonl(first) | std::uint64_t{htonl(second)} << 32);
    }

    Assembler &as_;
    const Surroundings &surroundings_;
    const ConditionExits &exits_;
};

} // namespace

void emit_conditions(Assembler &as, const ir::Conditions &conditions,
                     const Surroundings &surroundings, const ConditionExits &exits)
{
    ConditionEmitter emitter(as, surroundings, exits);
    for (const ir::Condition &condition : conditions) {
        std::visit(emitter, condition);
        if (!as.falls_through())
            return; // it never matches
    }
}

} // namespace bpfilter::codegen
