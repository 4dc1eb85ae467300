// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/rule.h"

#include "umh/codegen/key.h"
#include "umh/codegen/prologue.h"

#include <cstddef>
#include <stdexcept>
#include <variant>

namespace bpfilter::codegen {

namespace {

class VerdictEmitter {
public:
    VerdictEmitter(Assembler &as, const ir::Rule &rule, const RuleExits &exits)
        : as_(as), rule_(rule), exits_(exits)
    {
    }

    void operator()(const ir::Accept & /*verdict*/) { as_.jump(exits_.accept); }

    void operator()(const ir::Drop & /*verdict*/) { as_.jump(exits_.drop); }

    void operator()(const ir::Queue & /*verdict*/) { as_.jump(exits_.queue); }

    void operator()(const ir::Return & /*verdict*/) { as_.jump(exits_.back); }

    void operator()(const ir::Jump &jump)
    {
        as_.emit(move32(r1, jump.target));
        as_.emit(move32(r2, rule_.id + 1));
        as_.jump(exits_.push);
    }

    void operator()(const ir::Goto &jump)
    {
        as_.emit(move32(r1, jump.target));
        as_.jump(exits_.go);
    }

    void operator()(const ir::Continue & /*verdict*/) {}

    // See can_generate().
    void operator()(const ir::SetField & /*verdict*/)
    {
        throw std::logic_error("code that changes a packet");
    }

    void operator()(const ir::KernelTarget & /*verdict*/)
    {
        throw std::logic_error("code that calls the kernel");
    }

private:
    Assembler &as_;
    const ir::Rule &rule_;
    const RuleExits &exits_;
};

} // namespace

void emit_rule(Assembler &as, const ir::Rule &rule, const Surroundings &surroundings,
               const Counting &counting, Label next, const RuleExits &exits)
{
    as.line(rule.id + 1, rule.text);
    emit_conditions(as, rule.conditions, surroundings,
                    ConditionExits{.next = next, .hotdrop = exits.hotdrop});
    if (!as.falls_through())
        return; // it never matches
    const Label skip = as.label();
    if (counting.second_time) {
        as.emit(load(BPF_W, r1, r7, offsetof(Key, counting)));
        as.jump_if32(BPF_JEQ, r1, 0, skip);
    }
    emit_count(as, counting.function, rule.id);
    as.bind(skip);
    std::visit(VerdictEmitter(as, rule, exits), rule.verdict);
}

} // namespace bpfilter::codegen
