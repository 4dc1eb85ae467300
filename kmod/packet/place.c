// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/string.h>

#include <bpfilter/pipe.h>

#include "packet/place.h"

struct place {
	const char *table;
	u32 hooks;
	s32 priority; /* means nothing in the nat core */
	u32 flags; /* that all hooks have */
};

#define PRE BIT(NF_INET_PRE_ROUTING)
#define IN BIT(NF_INET_LOCAL_IN)
#define FORWARD BIT(NF_INET_FORWARD)
#define OUT BIT(NF_INET_LOCAL_OUT)
#define POST BIT(NF_INET_POST_ROUTING)

static const struct place places[] = {
	{ "filter", IN | FORWARD | OUT, NF_IP_PRI_FILTER },
	{ "nat", PRE | IN | OUT | POST, 0, BPFILTER_HOOK_NAT },
	{ "mangle", PRE | IN | FORWARD | OUT | POST, NF_IP_PRI_MANGLE },
	{ "raw", PRE | OUT, NF_IP_PRI_RAW },
	{ "security", IN | FORWARD | OUT, NF_IP_PRI_SECURITY },
};

static_assert(NF_IP_PRI_FILTER == (int)NF_IP6_PRI_FILTER);
static_assert(NF_IP_PRI_MANGLE == (int)NF_IP6_PRI_MANGLE);
static_assert(NF_IP_PRI_RAW == (int)NF_IP6_PRI_RAW);
static_assert(NF_IP_PRI_SECURITY == (int)NF_IP6_PRI_SECURITY);

static bool is_right(const struct place *place, const struct bpfilter_commit_hook *hook)
{
	const bool in_nat = place->flags & BPFILTER_HOOK_NAT;

	return hook->hook < BPFILTER_HOOKS_MAX && place->hooks & BIT(hook->hook) &&
	       (hook->flags & BPFILTER_HOOK_NAT) == place->flags &&
	       (in_nat || hook->priority == place->priority);
}

static const struct place *find(const char *table)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (!strcmp(places[i].table, table))
			return &places[i];
	return NULL;
}

bool bpfilter_place_is_right(const struct bpfilter_commit *commit)
{
	const struct place *place = find(commit->table);
	u32 i;

	for (i = 0; place && i < commit->hook_count; i++)
		if (!is_right(place, &commit->hook[i]))
			return false;
	return place;
}
