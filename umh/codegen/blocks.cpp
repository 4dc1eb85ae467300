// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/blocks.h"

#include "bpfilter/context.h"
#include "umh/codegen/key.h"
#include "umh/codegen/rule.h"
#include "umh/util/deadline.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

namespace bpfilter::codegen {

namespace {

constexpr std::int32_t go_on = 0;
constexpr std::int32_t decided = 1;

// Where a number leads to: places ascending, each good for the numbers up to the next.
struct Place {
    ir::RuleId first;
    Label label;
};

// Binary search for r1; no place's code is here.
void emit_search(Assembler &as, std::span<const Place> places)
{
    if (places.size() == 1) {
        as.jump(places.front().label);
        return;
    }
    const std::size_t half = places.size() / 2;
    const Label upper = as.label();
    as.jump_if32(BPF_JGE, r1, places[half].first, upper);
    emit_search(as, places.first(half));
    as.bind(upper);
    emit_search(as, places.subspan(half));
}

class BlocksEmitter {
public:
    BlocksEmitter(Assembler &as, const ir::Table &table, ir::Hook hook, const ir::Flow &flow,
                  const RuleCode &code)
        : as_(as), table_(table), hook_(*table.hooks[static_cast<std::size_t>(hook)]), flow_(flow),
          code_(code), capacity_(ir::stack_need(table))
    {
    }

    void run(Label dispatcher)
    {
        std::size_t next = 0;
        while (next < flow_.rules.size() && !as_.too_large())
            next = block(next);
        dispatch(dispatcher);
    }

private:
    // Rules from flow_.rules[first] on; returns the first that is not in this block.
    std::size_t block(std::size_t first)
    {
        const Label label = as_.label();
        const Label search = as_.label();
        const std::size_t insns = as_.size();
        const std::size_t branches = as_.branches();
        const RuleExits exits = make_exits();
        std::vector<Place> entries;

        as_.function(label, Function{.name = name(flow_.rules[first]), .arguments = 1});
        as_.emit(move(r7, r1));
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, pc)));
        as_.jump(search);

        std::size_t i = first;
        bool falls = false; // the rule before goes on into this one
        for (; i < flow_.rules.size() && (i == first || fits(insns, branches, flow_.rules[i]));
             ++i) {
            const ir::RuleId id = flow_.rules[i];
            if (falls && id != flow_.rules[i - 1] + 1)
                falls = leave(flow_.rules[i - 1] + 1);
            if (i == first || is_entry(id)) {
                entries.push_back(Place{id, as_.label()});
                as_.enter(entries.back().label);
            } else if (!falls) {
                continue;
            }
            Deadline::look(table_.rules[id].conditions.words() + 1);
            const Label next = as_.label();
            emit_rule(as_, table_.rules[id], code_.surroundings, Counting{code_.count}, next,
                      exits);
            as_.bind(next);
            falls = as_.falls_through();
        }
        as_.line(0, "");
        if (falls)
            leave(flow_.rules[i - 1] + 1);
        emit_exits(exits);
        as_.bind(search);
        emit_search(as_, entries);
        blocks_.push_back(Place{flow_.rules[first], label});
        return i;
    }

    static std::string name(ir::RuleId first) { return "bf_rules_" + std::to_string(first); }

    // The next rule, behind what there is since then.
    [[nodiscard]] bool fits(std::size_t insns, std::size_t branches, ir::RuleId next) const
    {
        const std::size_t before = as_.branches() - branches;
        return as_.size() - insns < subprogram_insns_max && before < subprogram_branches_max &&
               before + word_branches_max * table_.rules[next].conditions.words() <
                   subprogram_branches_most;
    }

    [[nodiscard]] bool is_entry(ir::RuleId id) const
    {
        return std::ranges::binary_search(flow_.entries, id);
    }

    RuleExits make_exits()
    {
        const Label drop = as_.label(); // hotdrop too
        return RuleExits{as_.label(), drop,        drop,       as_.label(),
                         as_.label(), as_.label(), as_.label()};
    }

    // Goes on elsewhere; a place behind the last rule is none, and cannot be reached.
    bool leave(ir::RuleId id)
    {
        as_.emit(store(BPF_W, r7, offsetof(Key, pc), static_cast<std::int32_t>(id)));
        result(go_on);
        return false;
    }

    void result(std::int32_t value)
    {
        as_.emit(move(r0, value));
        as_.emit(exit_insn());
    }

    void emit_exits(const RuleExits &exits)
    {
        emit_push(exits);
        emit_back(exits);
        if (as_.used(exits.go)) {
            as_.bind(exits.go);
            as_.emit(store(BPF_W, r7, offsetof(Key, pc), r1));
            result(go_on);
        }
        emit_verdict(exits.accept, BPFILTER_ACCEPT);
        emit_verdict(exits.drop, BPFILTER_DROP);
        emit_verdict(exits.queue, BPFILTER_QUEUE);
    }

    void emit_verdict(Label label, std::int32_t verdict)
    {
        if (!as_.used(label))
            return;
        as_.bind(label);
        as_.emit(store(BPF_W, r7, offsetof(Key, verdict), verdict));
        result(decided);
    }

    void emit_push(const RuleExits &exits)
    {
        if (!as_.used(exits.push))
            return;
        as_.bind(exits.push);
        as_.emit(load(BPF_W, r3, r7, offsetof(Key, depth)));
        as_.jump_if(BPF_JGE, r3, static_cast<std::int32_t>(capacity_), exits.drop);
        emit_slot();
        as_.emit(store(BPF_W, r4, code_.stack, r2));
        as_.emit(alu(BPF_ADD, r3, 1));
        as_.emit(store(BPF_W, r7, offsetof(Key, depth), r3));
        as_.jump(exits.go);
    }

    void emit_back(const RuleExits &exits)
    {
        if (!as_.used(exits.back))
            return;
        const Label empty = as_.label();
        as_.bind(exits.back);
        as_.emit(load(BPF_W, r3, r7, offsetof(Key, depth)));
        as_.jump_if(BPF_JEQ, r3, 0, empty);
        as_.emit(alu(BPF_SUB, r3, 1));
        // Cannot be: for the verifier.
        as_.jump_if(BPF_JGE, r3, static_cast<std::int32_t>(std::max(capacity_, 1U)), exits.drop);
        as_.emit(store(BPF_W, r7, offsetof(Key, depth), r3));
        emit_slot();
        as_.emit(load(BPF_W, r1, r4, static_cast<std::size_t>(code_.stack)));
        as_.jump(exits.go);
        as_.bind(empty);
        leave(hook_.underflow);
    }

    // r4 = key + 4 * r3: the place of slot r3, less the offset of the stack.
    void emit_slot()
    {
        as_.emit(move(r4, r3));
        as_.emit(alu(BPF_LSH, r4, 2));
        as_.emit(alu(BPF_ADD, r4, r7));
    }

    // bf_dispatch(iteration, pointer to the pointer to the key)
    void dispatch(Label label)
    {
        const Label search = as_.label();
        as_.function(label, Function{.name = "bf_dispatch", .arguments = 2});
        as_.emit(load(BPF_DW, r7, r2, 0));
        as_.emit(load(BPF_W, r1, r7, offsetof(Key, pc)));
        as_.jump(search);
        std::vector<Place> calls;
        for (const Place &block : blocks_) {
            calls.push_back(Place{block.first, as_.label()});
            as_.enter(calls.back().label);
            as_.emit(move(r1, r7));
            as_.call(block.label);
            as_.emit(exit_insn());
        }
        as_.bind(search);
        emit_search(as_, calls);
    }

    Assembler &as_;
    const ir::Table &table_;
    const ir::HookEntry &hook_;
    const ir::Flow &flow_;
    const RuleCode &code_;
    std::uint32_t capacity_;
    std::vector<Place> blocks_;
};

} // namespace

void emit_loop(Assembler &as, ir::RuleId entry, Label dispatcher)
{
    constexpr std::int32_t loops_max = 1 << 23; // the kernel's limit

    as.emit(store(BPF_W, r7, offsetof(Key, verdict), BPFILTER_DROP));
    as.emit(store(BPF_W, r7, offsetof(Key, depth), 0));
    as.emit(store(BPF_W, r7, offsetof(Key, pc), static_cast<std::int32_t>(entry)));
    as.emit(store(BPF_DW, r10, -16, r7));
    as.emit(move(r1, loops_max));
    as.load_function(r2, dispatcher);
    as.emit(move(r3, r10));
    as.emit(alu(BPF_ADD, r3, -16));
    as.emit(move(r4, 0));
    as.emit(call_helper(BPF_FUNC_loop));
    as.emit(load(BPF_W, r0, r7, offsetof(Key, verdict)));
}

void emit_blocks(Assembler &as, const ir::Table &table, ir::Hook hook, const ir::Flow &flow,
                 const RuleCode &code, Label dispatcher)
{
    BlocksEmitter(as, table, hook, flow, code).run(dispatcher);
}

} // namespace bpfilter::codegen
