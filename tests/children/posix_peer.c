/* SPDX-License-Identifier: MIT
 *
 * posix_peer.c -- a program in C that shares POSIX objects with the tests, by nothing but the C library.
 * What it opens or makes comes as arguments; then a command a line on standard input, in the quotes in which
 * the tests say it, and an answer a line on standard output: what it gives, "ok", or "errno N".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind, *name;
static sem_t *sem;
static mqd_t queue;
static int memory;
static char *mapped;
static char data[1 << 16];

static int is(const char *one, const char *other)
{
	return strcmp(one, other) == 0;
}

static void answer(long result)
{
	if (result == -1)
		printf("errno %d\n", errno);
	else
		printf("%ld\n", result);
}

static void on_semaphore(const char *verb)
{
	int value = 0;

	if (is(verb, "post"))
		answer(sem_post(sem));
	else if (is(verb, "wait"))
		answer(sem_wait(sem));
	else if (is(verb, "try"))
		answer(sem_trywait(sem));
	else if (is(verb, "value"))
		answer(sem_getvalue(sem, &value) == -1 ? -1 : value);
	else if (is(verb, "unlink"))
		answer(sem_unlink(name));
}

static void on_memory(const char *verb, long number, const char *text)
{
	struct stat stat;

	if (is(verb, "write")) {
		memcpy(mapped + number, text, strlen(text));
		puts("ok");
	} else if (is(verb, "read")) {
		printf("%.*s\n", atoi(text), mapped + number);
	} else if (is(verb, "truncate")) {
		answer(ftruncate(memory, number));
	} else if (is(verb, "size")) {
		answer(fstat(memory, &stat) == -1 ? -1 : stat.st_size);
	} else if (is(verb, "unlink")) {
		answer(shm_unlink(name));
	}
}

static void on_queue(const char *verb, long number, const char *text)
{
	struct mq_attr now;
	unsigned priority;

	if (is(verb, "send")) {
		answer(mq_send(queue, text, strlen(text), (unsigned) number));
	} else if (is(verb, "receive")) {
		ssize_t size = mq_receive(queue, data, sizeof data, &priority);

		if (size == -1)
			answer(size);
		else
			printf("%u %.*s\n", priority, (int) size, data);
	} else if (is(verb, "attributes")) {
		if (mq_getattr(queue, &now) == -1)
			answer(-1);
		else
			printf("%ld %ld %ld\n", now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
	} else if (is(verb, "notify")) {
		struct sigevent event = { .sigev_notify = SIGEV_NONE };

		answer(mq_notify(queue, &event));
	} else if (is(verb, "unlink")) {
		answer(mq_unlink(name));
	}
}

/* KIND NAME [NUMBER [NUMBER]]: numbers if it is to be made.  Of the kind "unnamed", NAME is a descriptor and
 * the numbers are where it lies in that memory, and its value if it is to be made. */
static int begin(int count, char **word)
{
	long first = count > 3 ? atol(word[3]) : -1, second = count > 4 ? atol(word[4]) : -1;
	int made = first >= 0 ? O_CREAT | O_EXCL : 0;
	struct stat stat;

	kind = word[1];
	name = word[2];
	if (is(kind, "sem")) {
		sem = sem_open(name, made, 0600, (unsigned) first);
		return sem == SEM_FAILED ? -1 : 0;
	}
	if (is(kind, "mq")) {
		struct mq_attr wanted = { .mq_maxmsg = first, .mq_msgsize = second };

		queue = mq_open(name, O_RDWR | made, 0600, &wanted);
		return queue == (mqd_t) -1 ? -1 : 0;
	}
	if (is(kind, "shm")) {
		memory = shm_open(name, O_RDWR | made, 0600);
		if (memory == -1 || (made && ftruncate(memory, first) == -1))
			return -1;
	} else {
		memory = atoi(name);
	}
	if (fstat(memory, &stat) == -1)
		return -1;
	mapped = mmap(NULL, (size_t) stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (mapped == MAP_FAILED)
		return -1;
	if (is(kind, "unnamed")) {
		sem = (sem_t *) (void *) (mapped + first);
		return second < 0 ? 0 : sem_init(sem, 1, (unsigned) second);
	}
	return 0;
}

int main(int count, char **word)
{
	static char line[1 << 16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (count < 3)
		return 2;
	if (begin(count, word) == -1) {
		answer(-1);
		return 1;
	}
	puts("ready");
	while (fgets(line, sizeof line, stdin)) {
		char verb[32] = "", *rest;
		long number = 0;
		int used = 0;

		line[strcspn(line, "\n")] = 0;
		if (strlen(line) < 2)
			continue;
		line[strlen(line) - 1] = 0;
		if (sscanf(line + 1, "%31s %ld %n", verb, &number, &used) < 2)
			used = (int) strlen(line + 1);
		rest = line + 1 + used;
		if (is(kind, "shm"))
			on_memory(verb, number, rest);
		else if (is(kind, "mq"))
			on_queue(verb, number, rest);
		else
			on_semaphore(verb);
	}
	return 0;
}
