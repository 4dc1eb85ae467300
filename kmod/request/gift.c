// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/module.h>

#include "request/gift.h"

static void drop(struct bpfilter_gifts *gifts)
{
	u32 i;

	for (i = 0; i < gifts->count; i++)
		if (gifts->gift[i])
			gifts->kind->drop(gifts->gift[i]);
	gifts->count = 0;
}

void bpfilter_gifts_end(struct bpfilter_gifts *gifts)
{
	if (!gifts->kind)
		return;
	drop(gifts);
	module_put(gifts->kind->owner);
}

int bpfilter_gifts_take(struct bpfilter_gifts *gifts, const struct bpfilter_give *give)
{
	void *object;

	if (!gifts->kind || give->reserved || give->count != gifts->wanted)
		return -EINVAL;
	/* A successor of a helper that died before it could answer. */
	drop(gifts);
	while (gifts->count < give->count) {
		const s32 fd = give->fd[gifts->count];

		object = fd == -1 ? NULL : gifts->kind->take(fd);
		if (IS_ERR(object)) {
			drop(gifts);
			return PTR_ERR(object);
		}
		gifts->gift[gifts->count++] = object;
	}
	return 0;
}
