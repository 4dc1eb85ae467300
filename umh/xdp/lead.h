// SPDX-License-Identifier: GPL-2.0
//
// xdp: the lead of a hook, the rules at its head that a device can decide on its own.
//
// Rules are taken from the hook's entry on, as long as each asks for nothing but headers and
// devices and its verdict is ACCEPT, DROP, or to go on with the next rule. The first that
// can not be decided (a jump into a chain, goto, RETURN, QUEUE) ends the lead.
//
// A device takes part if a DROP rule of the lead names it: `-i eth0`, neither inverted nor
// with a wildcard. Its program is made from the lead *specialised* for it: what the rules
// ask of device names is answered beforehand, and rules that cannot match are gone.
#pragma once

#include "umh/core/ir/table.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bpfilter::xdp {

// What stands behind is netfilter's. Of as many rules that a device has to ask about, no program
// could be: the kernel takes a million instructions.
inline constexpr std::size_t lead_rules_max = std::size_t{1} << 16;
inline constexpr std::size_t lead_words_max = std::size_t{1} << 20; // of conditions

// The lead, in order. Empty for IPv6, for a table without that hook, or without such rules. An
// unconditional verdict ends it and is included. Where they are in the table: there may be many.
std::span<const ir::Rule> leading_rules(const ir::Table &table, ir::Hook hook);

// Is there a device of which lead_devices() would tell?
bool names_device(std::span<const ir::Rule> lead);

// The devices that the lead's DROP rules name, sorted, each once.
std::vector<std::string> lead_devices(std::span<const ir::Rule> lead);

// The lead for packets that come in on this device, to this machine. Rules behind the last
// DROP are gone too: they change nothing. Empty: nothing can be dropped here.
std::vector<ir::Rule> specialise(std::span<const ir::Rule> lead, std::string_view device);

} // namespace bpfilter::xdp
