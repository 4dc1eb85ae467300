/* SPDX-License-Identifier: GPL-2.0 */
/* The helper's executable, as a file that is on no disk. */
#ifndef KMOD_PIPE_IMAGE_H
#define KMOD_PIPE_IMAGE_H

#include <linux/types.h>

struct file;

/* What bpfilter_umh.ko carries, exported as `bpfilter_umh_image`. */
struct bpfilter_umh_image {
	const void *start;
	size_t size;
};

extern struct bpfilter_umh_image bpfilter_umh_image;

/* umh_image.S */
extern const char bpfilter_umh_image_start[];
extern const u64 bpfilter_umh_image_size;

/* The same file every time; made at the first call. No reference. May return ERR_PTR(). */
struct file *bpfilter_image(void);
void bpfilter_image_exit(void);

#endif /* KMOD_PIPE_IMAGE_H */
