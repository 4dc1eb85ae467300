/* SPDX-License-Identifier: GPL-2.0 */
/* Tells the helper, with OP_DEVICES, when devices or local addresses change. */
#ifndef BF_WATCH_H
#define BF_WATCH_H

int bf_watch_init(void);
void bf_watch_exit(void);

#endif /* BF_WATCH_H */
