// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/verdict.h"

#include <fmt/format.h>

namespace bpfilter::ir {

namespace {

struct Text {
    std::string operator()(const Accept & /*verdict*/) const { return "accept"; }
    std::string operator()(const Drop & /*verdict*/) const { return "drop"; }
    std::string operator()(const Queue & /*verdict*/) const { return "queue"; }
    std::string operator()(const Return & /*verdict*/) const { return "return"; }
    std::string operator()(const Jump &verdict) const
    {
        return "jump " + std::to_string(verdict.target);
    }
    std::string operator()(const Goto &verdict) const
    {
        return "goto " + std::to_string(verdict.target);
    }
    std::string operator()(const Continue & /*verdict*/) const { return "continue"; }
    std::string operator()(const SetField &verdict) const
    {
        return fmt::format("set {} & {:#x} ^ {:#x}", row(verdict.field).name, verdict.keep,
                           verdict.flip);
    }
    std::string operator()(const KernelTarget &verdict) const
    {
        return "kernel " + std::to_string(verdict.instance);
    }
};

struct GoesOn {
    bool operator()(const Accept & /*verdict*/) const { return false; }
    bool operator()(const Drop & /*verdict*/) const { return false; }
    bool operator()(const Queue & /*verdict*/) const { return false; }
    bool operator()(const Return & /*verdict*/) const { return false; }
    bool operator()(const Jump & /*verdict*/) const { return false; }
    bool operator()(const Goto & /*verdict*/) const { return false; }
    bool operator()(const Continue & /*verdict*/) const { return true; }
    bool operator()(const SetField & /*verdict*/) const { return true; }
    bool operator()(const KernelTarget & /*verdict*/) const { return true; }
};

} // namespace

bool goes_on(const Verdict &verdict)
{
    return std::visit(GoesOn{}, verdict);
}

std::string text(const Verdict &verdict)
{
    return std::visit(Text{}, verdict);
}

} // namespace bpfilter::ir
