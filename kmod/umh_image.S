/* SPDX-License-Identifier: GPL-2.0 */
/* bpfilter_umh: the helper's executable, found where Kbuild says. */
	.section .rodata, "a"
	.balign 8
	.global bf_umh_image_start
bf_umh_image_start:
	.incbin "bpfilter_umh"
bf_umh_image_end:
	.balign 8
	.global bf_umh_image_size
bf_umh_image_size:
	.quad bf_umh_image_end - bf_umh_image_start
	.section .note.GNU-stack, "", %progbits
