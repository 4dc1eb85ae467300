// SPDX-License-Identifier: GPL-2.0
/*
 * One setsockopt or getsockopt of a 32-bit process, for a test that is none: what to ask is
 * read from standard input, the answer is written to standard output.
 *
 * in:  struct question, then `size` bytes for BUFFER
 * out: struct answer, then `answer.length` bytes of BUFFER, then `question.counters` bytes
 *      of COUNTERS, which were 0xaa before
 *
 * Bit 0 of question.set says which of the two calls; with a number N above it the Nth thing that
 * can fail in the call fails (/proc/self/fail-nth), and HAS_FAILED is set in answer.length if there
 * was such a thing.
 *
 * Addresses are fixed, so that the test can write them into a request. There is no libc:
 * none of 32 bits need be installed.
 */
typedef unsigned int u32;

/* The i386 system calls; the header that has them is not on the path of -m32. */
#define NR_EXIT 1
#define NR_READ 3
#define NR_WRITE 4
#define NR_OPEN 5
#define NR_MMAP 90
#define NR_GETSOCKOPT 365
#define NR_SETSOCKOPT 366

#define BUFFER 0x10000000
#define COUNTERS 0x20000000
#define ROOM 0x1000000
#define HAS_FAILED 0x80000000

struct question {
	u32 fd;
	u32 set;
	u32 level;
	u32 option;
	u32 address; /* of the option's value; 0: BUFFER */
	u32 length; /* as the system call is told */
	u32 size; /* bytes that follow */
	u32 counters; /* bytes to give back */
};

struct answer {
	int result; /* 0, or a negative errno */
	u32 length; /* of BUFFER; 0 for setsockopt and on error */
};

static int call(u32 number, u32 a, u32 b, u32 c, u32 d, u32 e)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return result;
}

__attribute__((noreturn)) static void quit(u32 status)
{
	for (;;)
		call(NR_EXIT, status, 0, 0, 0, 0);
}

/* All of it, or the end of the program. */
static void transfer(u32 number, u32 fd, u32 at, u32 size)
{
	while (size) {
		int done = call(number, fd, at, size, 0, 0);

		if (done <= 0)
			quit(2);
		at += done;
		size -= done;
	}
}

static void map(u32 at)
{
	/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS */
	u32 arguments[] = { at, ROOM, 3, 0x32, -1, 0 };

	if (call(NR_MMAP, (u32)arguments, 0, 0, 0, 0) != (int)at)
		quit(3);
}

/* Decimal, and its length. */
static u32 print(char *text, u32 number)
{
	u32 length = 0, part = 1000000000;

	for (; part; part /= 10)
		if (number >= part || length)
			text[length++] = '0' + number / part % 10;
	return length;
}

static int faults; /* a descriptor */

static void arm(u32 nth)
{
	char text[16];

	faults = call(NR_OPEN, (u32)"/proc/self/fail-nth", 2 /* O_RDWR */, 0, 0, 0);
	if (faults < 0)
		quit(5);
	transfer(NR_WRITE, faults, (u32)text, print(text, nth));
}

/* The kernel has counted what was left down to 0. To read that may be what fails. */
static u32 has_failed(void)
{
	char left = '1';

	call(NR_READ, faults, (u32)&left, 1, 0, 0);
	call(NR_WRITE, faults, (u32)"0", 1, 0, 0);
	return left == '0';
}

static struct question question;
static struct answer answer;

void _start(void)
{
	u32 address, failed, i;

	map(BUFFER);
	map(COUNTERS);
	transfer(NR_READ, 0, (u32)&question, sizeof(question));
	if (question.size > ROOM || question.counters > ROOM)
		quit(4);
	transfer(NR_READ, 0, BUFFER, question.size);
	for (i = 0; i < question.counters; i++)
		((volatile unsigned char *)COUNTERS)[i] = 0xaa;

	address = question.address ? question.address : BUFFER;
	answer.length = question.length;
	if (question.set >> 1)
		arm(question.set >> 1);
	if (question.set & 1)
		answer.result = call(NR_SETSOCKOPT, question.fd, question.level, question.option,
				     address, question.length);
	else
		answer.result = call(NR_GETSOCKOPT, question.fd, question.level, question.option,
				     address, (u32)&answer.length);
	failed = question.set >> 1 && has_failed() ? HAS_FAILED : 0;
	if (question.set & 1 || answer.result)
		answer.length = 0;
	answer.length |= failed;
	transfer(NR_WRITE, 1, (u32)&answer, sizeof(answer));
	transfer(NR_WRITE, 1, BUFFER, answer.length & ~HAS_FAILED);
	transfer(NR_WRITE, 1, COUNTERS, question.counters);
	quit(0);
}
