// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/verdict.h"

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
};

} // namespace

std::string text(const Verdict &verdict)
{
    return std::visit(Text{}, verdict);
}

} // namespace bpfilter::ir
