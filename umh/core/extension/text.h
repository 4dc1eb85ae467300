// SPDX-License-Identifier: GPL-2.0
//
// Text: pieces of `iptables -S`, and what may be printed of a caller's bytes.
//
// Every option begins with a space, so that pieces are simply put behind one another.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <string_view>

namespace bpfilter::extension {

// The caller's bytes for a log line: what is not printable ASCII becomes \xNN.
// Cut after some 64 characters, so that a message has room for two of them.
std::string printable(std::string_view bytes);

// A string as iptables prints one: in quotes, if it needs them. Cut as printable() does.
std::string quoted(std::string_view bytes);

// " --dport 80", " ! --option value"
std::string option_text(std::string_view option, bool invert, std::string_view value);

// Ports: " ! --dport 1:1023". Nothing if it asks nothing.
std::string ports_text(std::string_view option, std::uint16_t min, std::uint16_t max, bool invert);

// Numbers, always: " ! --mh-type 1:3".
std::string range_text(std::string_view option, std::uint32_t min, std::uint32_t max, bool invert);

// "2001:db8::1"
std::string ipv6_address_text(const in6_addr &address);

} // namespace bpfilter::extension
