/* SPDX-License-Identifier: MIT
 *
 * peer.c -- a program in C that shares System V objects with the tests, by nothing but the
 * system calls.  What to do comes as arguments, answers go to standard output, one a line.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message { long type; char data[8192]; };

static int failed(const char *what)
{
	perror(what);
	return 1;
}

static int say(long value)
{
	printf("%ld\n", value);
	return fflush(stdout) != 0;
}

static int key_of(char **word)
{
	return say(ftok(word[0], atoi(word[1])));
}

/* KEY: add 1 to the 32-bit number at the start, and write "from C" behind it. */
static int segment(char **word)
{
	int id = shmget(atoi(word[0]), 0, 0);
	char *memory = shmat(id, NULL, 0);

	if (memory == (char *) -1)
		return failed("shmat");
	++*(int *) memory;
	strcpy(memory + sizeof(int), "from C");
	if (shmdt(memory) != 0)
		return failed("shmdt");
	return say(id);
}

/* KEY: wait for zero and add 1, in one operation; answers with the value after it. */
static int take(char **word)
{
	struct sembuf ops[2] = { { .sem_op = 0 }, { .sem_op = 1 } };
	int id = semget(atoi(word[0]), 0, 0);

	if (semop(id, ops, 2) != 0)
		return failed("semop");
	return say(semctl(id, 0, GETVAL));
}

/* KEY COUNT: make a set and do not initialise it. */
static int half_make(char **word)
{
	return say(semget(atoi(word[0]), atoi(word[1]), IPC_CREAT | IPC_EXCL | 0600));
}

/* KEY TYPE: receive a message of the type and send it back, one type higher. */
static int echo(char **word)
{
	struct message message;
	int id = msgget(atoi(word[0]), 0);
	ssize_t size = msgrcv(id, &message, sizeof message.data, atol(word[1]), 0);

	if (size < 0)
		return failed("msgrcv");
	message.type++;
	if (msgsnd(id, &message, (size_t) size, 0) != 0)
		return failed("msgsnd");
	return say(size);
}

int main(int count, char **word)
{
	static const struct { const char *name; int (*run)(char **); int words; } commands[] = {
		{ "ftok", key_of, 2 },
		{ "segment", segment, 1 },
		{ "take", take, 1 },
		{ "half-make", half_make, 2 },
		{ "echo", echo, 2 },
	};

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (count == commands[i].words + 2 && strcmp(word[1], commands[i].name) == 0)
			return commands[i].run(word + 2);
	return 2;
}
