/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of a tap, all four at once: a listener shares them with its children, who read
 * them while it is being tapped, or closed. Put, they stay for a grace period.
 */
#ifndef KMOD_STAP_PROGRAMS_H
#define KMOD_STAP_PROGRAMS_H

#include <linux/rcupdate.h>
#include <linux/refcount.h>

#include "stap/stap.h"

struct stap_charge;

struct stap_programs {
	struct bpf_prog *program[STAP_PROGRAM_COUNT]; /* in the order of struct stap_params */
	struct stap_charge *charge[STAP_PROGRAM_COUNT]; /* of those of a policy; or NULL */
	refcount_t references;
	struct rcu_head rcu;
};

/* None yet, for the caller to fill in. NULL without memory. */
struct stap_programs *stap_programs_new(void);
/* NULL if nobody has them any more; or of NULL. Under RCU, or with another reference. */
struct stap_programs *stap_programs_get(struct stap_programs *programs);
void stap_programs_put(struct stap_programs *programs);

/*
 * Of a tap that has none; with its socket locked, or before anybody sees it. Takes the caller's
 * reference.
 */
void stap_programs_install(struct stap *tap, struct stap_programs *programs);

#endif /* KMOD_STAP_PROGRAMS_H */
