// SPDX-License-Identifier: GPL-2.0
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "base/symbol.h"

/* "ipv4_conntrack_in+0x0/0x10 [nf_conntrack]"; without the module if it is built in. */
noinline bool bpfilter_symbol_is_of(const void *function, const struct bpfilter_symbol *symbols,
				    u32 count)
{
	char symbol[KSYM_SYMBOL_LEN];
	const char *module;
	size_t length;
	u32 i;

	sprint_symbol(symbol, (unsigned long)function);
	module = strchr(symbol, ' ');
	for (i = 0; i < count; i++) {
		length = str_has_prefix(symbol, symbols[i].function);
		if (length && str_has_prefix(symbol + length, "+0x0/"))
			return !module || str_has_prefix(module + 1, symbols[i].module);
	}
	return false;
}
