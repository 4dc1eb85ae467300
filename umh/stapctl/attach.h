// SPDX-License-Identifier: GPL-2.0
//
// stapctl: puts a tap on a socket, and asks one what it has seen.
#pragma once

#include <stap.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::stapctl {

// In the order of struct stap_params: the path of a pinned program, or an id; empty: none.
using ProgramNames = std::array<std::string, 4>;

// Both throw std::system_error; the socket is then as it was.
void attach_programs(int socket, const ProgramNames &names);
void attach_policy(int socket, std::span<const std::byte> policy);

// Throws std::system_error if the socket is not tapped.
stap_info info_of(int socket);

} // namespace bpfilter::stapctl
