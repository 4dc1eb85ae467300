// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_helper.h"

#define PAGE 4096

struct absent absent_new(void)
{
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	struct absent absent = {
		.page = memory + PAGE,
		.userfaultfd = syscall(SYS_userfaultfd, O_CLOEXEC),
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (unsigned long)absent.page, PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (memory == MAP_FAILED || absent.userfaultfd < 0 ||
	    ioctl(absent.userfaultfd, UFFDIO_API, &api) ||
	    ioctl(absent.userfaultfd, UFFDIO_REGISTER, &range))
		give_up("cannot have absent memory");
	return absent;
}

void absent_wait(const struct absent *absent)
{
	struct uffd_msg message;

	if (read(absent->userfaultfd, &message, sizeof(message)) != sizeof(message) ||
	    message.event != UFFD_EVENT_PAGEFAULT)
		give_up("no fault");
	note("FAULT\n");
}

static void give(const struct absent *absent)
{
	struct uffdio_zeropage zero = { .range = { (unsigned long)absent->page, PAGE } };

	if (ioctl(absent->userfaultfd, UFFDIO_ZEROPAGE, &zero))
		give_up("cannot give memory");
	close(absent->userfaultfd);
}

static void take(const struct absent *absent)
{
	if (munmap(absent->page, PAGE))
		give_up("cannot take memory");
	/* Wakes who waits. */
	close(absent->userfaultfd);
}

void absent_settle(const struct absent *absent)
{
	for (;;) {
		read_orders("FAULT");
		if (told("give"))
			return give(absent);
		if (told("take"))
			return take(absent);
		usleep(10000);
	}
}
