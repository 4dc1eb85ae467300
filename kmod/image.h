/* SPDX-License-Identifier: GPL-2.0 */
/* The helper's executable, as a file that is on no disk. */
#ifndef BF_IMAGE_H
#define BF_IMAGE_H

#include <linux/types.h>

struct file;

/* What bpfilter_umh.ko carries, exported as `bpfilter_umh_image`. */
struct bf_umh_image {
	const void *start;
	size_t size;
};

extern struct bf_umh_image bpfilter_umh_image;

/* The same file every time; made at the first call. No reference. May return ERR_PTR(). */
struct file *bf_image(void);
void bf_image_exit(void);

#endif /* BF_IMAGE_H */
