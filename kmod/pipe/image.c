// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/shmem_fs.h>

#include "pipe/image.h"

/* Only the helper's start calls us, one at a time. */
static struct file *image_file;

static struct file *copy_image(const struct bpfilter_umh_image *image)
{
	struct file *file = shmem_file_setup("bpfilter_umh", image->size, 0);
	loff_t position = 0;
	ssize_t written;

	if (IS_ERR(file))
		return file;
	while (position < image->size) {
		written = kernel_write(file, image->start + position, image->size - position,
				       &position);
		if (written <= 0) {
			fput(file);
			return ERR_PTR(written ? written : -ENOSPC);
		}
	}
	return file;
}

struct file *bpfilter_image(void)
{
	const struct bpfilter_umh_image *image;
	struct file *file;

	if (image_file)
		return image_file;
	image = try_then_request_module(symbol_get(bpfilter_umh_image), "bpfilter_umh");
	if (!image) {
		pr_err_ratelimited("no helper: module bpfilter_umh cannot be loaded\n");
		return ERR_PTR(-ENOENT);
	}
	/* A copy of our own: a helper can be started again without the module. */
	file = copy_image(image);
	symbol_put(bpfilter_umh_image);
	if (!IS_ERR(file))
		image_file = file;
	return file;
}

void bpfilter_image_exit(void)
{
	if (image_file)
		fput(image_file);
}
