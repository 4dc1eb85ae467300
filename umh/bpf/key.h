/* SPDX-License-Identifier: GPL-2.0 */
/* The key's fields and parts by name: what they are stands in the lists themselves. */
#ifndef UMH_BPF_KEY_H
#define UMH_BPF_KEY_H

#include "umh/bpf/element.h"
#include "umh/bpf/types.h"

enum part {
#define BPFILTER_PART(name, on) part_##name,
#include "umh/core/ir/parts.def"
#undef BPFILTER_PART
};

/* Offsets in the element. */
enum key {
#define BPFILTER_FIELD(name, part, place, bits) key_##name = element_key + 4 * (place),
#include "umh/core/ir/fields.def"
#undef BPFILTER_FIELD
	key_list = element_key + 4 * 104, /* route */
};

/* enum class State */
enum state { present, absent, cut_off };

#define NEEDS(part) (NUMBER(bf_number_parts) & 1U << part_##part)
#define IS_IPV6 (NUMBER(bf_number_ipv6) & 1)
#define L3 ((u32)NUMBER(bf_number_l3))

#endif /* UMH_BPF_KEY_H */
