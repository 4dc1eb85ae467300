// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/codegen.h"

#include "umh/codegen/assembler.h"
#include "umh/codegen/blocks.h"
#include "umh/codegen/ipv6.h"
#include "umh/codegen/key.h"
#include "umh/codegen/prologue.h"
#include "umh/codegen/rule.h"
#include "umh/core/ir/flow.h"
#include "umh/core/ir/names.h"
#include "umh/util/deadline.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>
#include <variant>

namespace bpfilter::codegen {

namespace {

// "bf_filter_in": what fits the kernel's 15 characters.
std::string program_name(const ir::Table &table, ir::Hook hook)
{
    static constexpr std::array<const char *, ir::hook_count> hooks = {"pre", "in", "fwd", "out",
                                                                       "post"};
    std::string name = "bf_" + table.name.substr(0, 7);
    std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name + '_' + hooks[static_cast<std::size_t>(hook)];
}

class HookEmitter {
public:
    HookEmitter(const ir::Table &table, ir::Hook hook, const Backend &backend)
        : table_(table), hook_id_(hook), hook_(*table.hooks[static_cast<std::size_t>(hook)]),
          backend_(backend), flow_(ir::find_flow(table, hook))
    {
        for (const ir::RuleId id : flow_.rules) {
            Deadline::look(table_.rules[id].conditions.words() + 1);
            parts_ |= parts_of(table_.rules[id].conditions);
        }
        code_.stack = stack_offset(parts_);
    }

    // One subprogram for all rules, or nothing if that is not possible.
    bool straight()
    {
        if (flow_.jumps)
            return false;
        begin();
        rules();
        finish_main();
        const bool good = fits();
        emit_functions();
        return good;
    }

    void blocks()
    {
        const Label dispatcher = as_.label();
        begin();
        emit_loop(as_, hook_.entry, dispatcher);
        as_.emit(exit_insn());
        finish_main();
        emit_blocks(as_, table_, hook_id_, flow_, code_, dispatcher);
        emit_functions();
    }

    Result<Program> finish() &&
    {
        Result<Program> program = std::move(as_).finish();
        if (!program)
            return program;
        program->name = program_name(table_, hook_id_);
        program->type = backend_.type;
        program->flags = backend_.flags;
        program->source = table_.name + ' ' + std::string(ir::chain_name(hook_id_));
        return program;
    }

private:
    void begin()
    {
        as_.function(as_.label(), Function{.name = program_name(table_, hook_id_), .arguments = 1});
        emit_entry(as_, exits_.drop);
        as_.emit(load(BPF_W, r1, r6, offsetof(__sk_buff, len)));
        if (backend_.l3 != 0)
            as_.emit(alu(BPF_SUB, r1, backend_.l3));
        as_.emit(store(BPF_W, r7, offsetof(Key, length), r1));
        if (parts_.has(ir::Part::mark)) {
            as_.emit(load(BPF_W, r1, r6, offsetof(__sk_buff, mark)));
            as_.emit(store(BPF_W, r7, offsetof(Key, mark), r1));
        }
        emit_ip_header(as_, backend_, table_.family, exits_.drop);
        if (table_.family == ir::Family::ipv6)
            emit_ipv6_headers(as_, backend_, parts_, ipv6_);
        else if (parts_.has(ir::Part::transport))
            emit_l4_header(as_, backend_, parts_, options_);
    }

    [[nodiscard]] bool fits() const
    {
        return as_.size() < subprogram_insns_max && as_.branches() < subprogram_branches_max;
    }

    // Straight code, as far as it fits. RETURN goes to the policy, which may stand anywhere.
    void rules()
    {
        ir::RuleId id = hook_.entry;
        bool policy = false;
        while (id < table_.rules.size() && fits()) {
            policy = policy || id == hook_.underflow;
            if (rule(id))
                ++id;
            else if (!policy && as_.used(exits_.back) && hook_.underflow > id)
                id = hook_.underflow;
            else
                break;
        }
        if (id == table_.rules.size())
            as_.jump(exits_.drop);
        if (policy || !as_.used(exits_.back))
            return;
        if (rule(hook_.underflow))
            as_.jump(exits_.drop);
    }

    // Whether the packet may go on with the next rule.
    bool rule(ir::RuleId id)
    {
        if (id == hook_.underflow)
            as_.bind(exits_.back);
        Deadline::look(table_.rules[id].conditions.words() + 1);
        const Label next = as_.label();
        emit_rule(as_, table_.rules[id], code_.surroundings, Counting{code_.count}, next, exits_);
        as_.bind(next);
        return as_.falls_through();
    }

    void finish_main()
    {
        as_.line(0, "");
        emit_verdict(exits_.accept, backend_.accept);
        emit_verdict(exits_.queue, backend_.queue);
        emit_verdict(exits_.drop, backend_.drop);
    }

    void emit_verdict(Label label, std::uint32_t verdict)
    {
        if (!as_.used(label))
            return;
        as_.bind(label);
        as_.emit(move32(r0, verdict));
        as_.emit(exit_insn());
    }

    void emit_functions()
    {
        emit_ipv6_functions(as_, backend_, ipv6_);
        if (as_.used(options_))
            emit_options_function(as_, backend_, options_);
        if (as_.used(code_.count))
            emit_count_function(as_, code_.count);
    }

    const ir::Table &table_;
    ir::Hook hook_id_;
    const ir::HookEntry &hook_;
    const Backend &backend_;
    ir::Flow flow_;
    ir::Parts parts_;
    Assembler as_;
    Label options_ = as_.label();
    Ipv6Functions ipv6_{.options = options_,
                        .step = as_.label(),
                        .option_list = as_.label(),
                        .set_step = as_.label(),
                        .find_address = as_.label()};
    RuleCode code_{.surroundings = {.family = table_.family, .find_address = ipv6_.find_address},
                   .count = as_.label()};
    Label drop_ = as_.label(); // hotdrop too
    RuleExits exits_{as_.label(), drop_, drop_, as_.label(), as_.label(), as_.label(), as_.label()};
};

} // namespace

ContextUse use_of(ir::Parts parts)
{
    return {.devices = parts.has(ir::Part::devices),
            .link = parts.has(ir::Part::link),
            .connection = parts.has(ir::Part::connection)};
}

ContextUse context_use(const ir::Table &table)
{
    return use_of(parts_of(table));
}

Result<std::uint32_t> context_size(const ir::Table &table)
{
    const std::uint32_t need = ir::stack_need(table);
    if (need > stack_max)
        return fail(ENOMEM, "chains may be nested " + std::to_string(need) + " deep, more than " +
                                std::to_string(stack_max));
    // Whole words of 8 bytes, and a slot at least: an access to it is always written.
    const std::size_t slots = (need + 2) / 2 * 2;
    return static_cast<std::uint32_t>(stack_offset(parts_of(table))) +
           static_cast<std::uint32_t>(slots * sizeof(std::uint32_t));
}

bool can_generate(const ir::Table &table)
{
    if (parts_of(table).has(ir::Part::skb))
        return false;
    return std::ranges::none_of(table.rules, [](const ir::Rule &rule) {
        Deadline::look(rule.conditions.words() + 1);
        return asks_kernel(rule.conditions) || std::holds_alternative<ir::SetField>(rule.verdict) ||
               std::holds_alternative<ir::KernelTarget>(rule.verdict);
    });
}

Result<Program> generate(const ir::Table &table, ir::Hook hook, const Backend &backend)
{
    if (!can_generate(table))
        return fail(EIO, "this table cannot be code");
    if (HookEmitter emitter(table, hook, backend); emitter.straight())
        return std::move(emitter).finish();
    HookEmitter emitter(table, hook, backend);
    emitter.blocks();
    return std::move(emitter).finish();
}

} // namespace bpfilter::codegen
