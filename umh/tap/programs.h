// SPDX-License-Identifier: GPL-2.0
//
// tap: the programs of policies, loaded. Equal ones are one program as long as any socket has
// it: they are remembered by their ids, which keeps none of them in the kernel.
#pragma once

#include "umh/codegen/program.h"
#include "umh/tap/policy.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace bpfilter::tap {

// In the order of struct stap_params; none where nothing is to be.
using ProgramSet = std::array<UniqueFd, 4>;

class Programs {
public:
    // Thread-safe.
    Result<ProgramSet> make(const Policy &policy);

private:
    using Maker = std::function<Result<codegen::Program>()>;

    Result<UniqueFd> find_or_make(const std::string &key, const Maker &maker);
    Result<> make_direction(const Direction &direction, UniqueFd &parse, UniqueFd &verdict);
    void forget_dead();

    std::mutex mutex_;
    std::map<std::string, std::uint32_t> ids_; // by what the program was made of
    std::size_t limit_ = 64;                   // at so many, see which are dead
};

} // namespace bpfilter::tap
