/* SPDX-License-Identifier: GPL-2.0 */
/* bpfilter_umh: the helper's executable, found where Kbuild says. */
	.section .rodata, "a"
	.balign 8
	.global bpfilter_umh_image_start
bpfilter_umh_image_start:
	.incbin "bpfilter_umh"
bpfilter_umh_image_end:
	.balign 8
	.global bpfilter_umh_image_size
bpfilter_umh_image_size:
	.quad bpfilter_umh_image_end - bpfilter_umh_image_start
	.section .note.GNU-stack, "", %progbits
