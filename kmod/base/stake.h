/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stakes: what one user has in one arena. Tables as records lie in arenas that many users share,
 * each paying for what his tables take. A helper lets an arena go in which nothing is left, but
 * one that died has left its arenas to the tables in them: the last table keeps all of it. Then
 * everybody who has any there pays for the whole, once, until his last one is gone. So who makes
 * helpers die has no more of it than he may keep.
 */
#ifndef KMOD_BASE_STAKE_H
#define KMOD_BASE_STAKE_H

struct bpf_map;
struct bpfilter_keeper;
struct bpfilter_stake;

/*
 * Of one more table: so many bytes of it are on the account already. `size`: of the arena, and
 * what is only there for it. NULL: no memory. Under the mutex of tables.
 */
struct bpfilter_stake *bpfilter_stake_take(struct bpfilter_keeper *keeper,
					   const struct bpf_map *arena, unsigned long size,
					   unsigned long bytes);
/*
 * A table has gone. What is to go from the account besides its own: less than nothing, if these
 * bytes of it stay. `stake` may be NULL.
 */
long bpfilter_stake_leave(struct bpfilter_stake *stake, unsigned long bytes);
/* What would go besides, if the one table were gone that is there; 0, if there are others. */
unsigned long bpfilter_stake_rest(const struct bpfilter_stake *stake);
/* The helper that made all arenas that there are is dead, and another one not there yet. */
void bpfilter_stake_orphan(void);

#endif /* KMOD_BASE_STAKE_H */
