// SPDX-License-Identifier: GPL-2.0
//
// stapctl: what it prints, for people and for programs.
#pragma once

#include "umh/stapctl/process.h"
#include "umh/stapctl/sockets.h"

#include <map>
#include <string>
#include <vector>

namespace bpfilter::stapctl {

// One line per socket, a line per direction below it.
std::string as_text(const TappedSocket &socket, const std::vector<Holder> &holders);
std::string as_text(const stap_info &info);

// An array, with the names of uapi/stap.h.
std::string as_json(const std::vector<TappedSocket> &sockets,
                    const std::multimap<std::uint64_t, Holder> &holders);
std::string as_json(const stap_info &info);

} // namespace bpfilter::stapctl
