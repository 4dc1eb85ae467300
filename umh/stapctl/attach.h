// SPDX-License-Identifier: GPL-2.0
//
// stapctl: puts a tap on a socket, and asks one what it has seen.
#pragma once

#include "umh/util/fd.h"

#include <stap.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::stapctl {

// In the order of struct stap_params: the path of a pinned program, or an id; empty: none.
using ProgramNames = std::array<std::string, 4>;

// What a socket is to get. All that takes time, or somebody else, has been done when there is one.
// All of this throws std::system_error.
class Tap {
public:
    static Tap of_programs(const ProgramNames &names);
    // By a socket of ours that gets it first: the programs of equal policies are the same ones. Who
    // may not have them by their ids asks for the policy once more, which then is no work.
    static Tap of_policy(std::span<const std::byte> policy);

    // If it throws, the socket is as it was.
    void attach(int socket) const;

private:
    std::vector<std::byte> parameters_;
    std::vector<UniqueFd> programs_;
    UniqueFd first_;
};

// Throws std::system_error if the socket is not tapped.
stap_info info_of(int socket);

} // namespace bpfilter::stapctl
