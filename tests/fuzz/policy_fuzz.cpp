// SPDX-License-Identifier: GPL-2.0
//
// libFuzzer target: any bytes as a policy of the socket tap (uapi/stap.h, POLICIES). What is
// accepted must become programs that are no longer than the kernel takes. The verifier is not
// asked: the unit tests do that.
#include "umh/tap/parser.h"
#include "umh/tap/policy.h"
#include "umh/tap/verdict.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace {

using namespace bpfilter;

constexpr std::size_t longest = 1'000'000; // instructions

void expect(const Result<codegen::Program> &program)
{
    if (program && !program->insns.empty() && program->insns.size() <= longest)
        return;
    std::fprintf(stderr, "policy_fuzz: %s\n",
                 program ? "a program of this length" : program.error().message.c_str());
    std::abort();
}

void expect_programs(const std::optional<tap::Direction> &direction)
{
    if (!direction)
        return;
    if (direction->framing.kind != STAP_FRAMING_NONE)
        expect(tap::generate_parser(direction->framing));
    expect(tap::generate_verdict(*direction));
}

} // namespace

// The name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    const auto policy = tap::decode_policy(std::as_bytes(std::span(data, size)));
    if (!policy)
        return 0;
    expect_programs(policy->send);
    expect_programs(policy->recv);
    return 0;
}
