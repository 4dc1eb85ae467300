/* SPDX-License-Identifier: GPL-2.0 */
/* Functions of others, which nobody exports, by their names. */
#ifndef KMOD_BASE_SYMBOL_H
#define KMOD_BASE_SYMBOL_H

#include <linux/types.h>

struct bpfilter_symbol {
	const char *function;
	const char *module; /* "[NAME]", if it is not built in */
};

/* Is the function one of these? */
bool bpfilter_symbol_is_of(const void *function, const struct bpfilter_symbol *symbols, u32 count);

#endif /* KMOD_BASE_SYMBOL_H */
