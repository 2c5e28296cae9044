/* SPDX-License-Identifier: MIT
 *
 * test_kills_cell.c -- who writes or awaits a latest value is killed at each instruction, and the
 * others go on; who reads one is overtaken at each.
 *
 * A victim is stepped by ptrace(2), one instruction at a time (a system call is one), and killed after
 * the first, the next victim after the second, until one comes through.  After each death the living
 * must find one whole value, the old or the new; write and read another, soon; and whoever sleeps must
 * hear of both.
 */
#include "cells.h"

#include <sys/ptrace.h>

#ifndef __x86_64__
int main(void)
{
	printf("  not run: single steps: loads and stores that belong together cannot be stepped through here\n");
	return report();
}
#else

/* Of a value whose writer died before it could wake anybody, a sleeper hears when it looks around: once a
 * second at the least. */
enum { SOON_NS = PYIPC_SECOND / 2, HEARD_MS = 5000, MOST_STEPS = 5000 };

/* Longer than one word, and not a whole number of them. */
static const char old[] = "the value before", new[] = "the value of the victim, longer", next[] = "ours";

struct scene {
	struct world w;
	struct pyipc_cell ours;
	pid_t sleeper;
	int said[2];	/* versions that the sleeper has seen */
};

/* ---- what is there before ---- */

static void nobody_waits(struct scene *s)
{
	(void) s;
}

static void somebody_sleeps(struct scene *s)
{
	s->sleeper = fork_child();
	if (s->sleeper == 0) {
		uint64_t version = 1;

		while (wait_by(&s->ours, version, within_ns(PATIENCE_S * (int64_t) PYIPC_SECOND)) == 0) {
			version = (uint64_t) pyipc_now_cell_version(&s->ours);
			(void) !write(s->said[1], &version, sizeof version);
		}
		_exit(0);
	}
	WAIT_FOR(is_in(s->sleeper, s->sleeper, SYS_futex));
}

static void the_dead_hold_the_guard(struct scene *s)
{
	leave_guard(&s->w);
}

/* ---- what the victim does ---- */

static void sets(struct pyipc_cell *c)
{
	(void) pyipc_cell_set(c, new, strlen(new), within_ns(SOON_NS));
}

static void tries_to_set(struct pyipc_cell *c)
{
	(void) pyipc_now_cell_set(c, new, strlen(new));
}

static void waits(struct pyipc_cell *c)
{
	(void) pyipc_cell_wait(c, 1, now_ns(), within_ns(PYIPC_SECOND / 50));
}

static void takes_part(struct pyipc_cell *c)
{
	struct pyipc_cell another = { .me = { .spins = 0 } };

	(void) pyipc_cell_open(&another, c->memory, (uint64_t) pyipc_cell_memory(MOST), c->me.life);
}

static pid_t victim_of(const struct scene *s, void (*call)(struct pyipc_cell *))
{
	pid_t victim = fork_child();

	if (victim == 0) {
		struct pyipc_cell c = take_part(&s->w, 2);

		(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void) raise(SIGSTOP);
		call(&c);
		(void) raise(SIGSTOP);
		_exit(0);
	}
	return victim;
}

/* Whether it was still within the call after so many steps. */
static int killed_after(pid_t victim, int steps)
{
	int status, within = 1;

	EQUAL(victim, waitpid(victim, &status, 0));
	for (int i = 0; i < steps && within; i++) {
		(void) ptrace(PTRACE_SINGLESTEP, victim, NULL, NULL);
		EQUAL(victim, waitpid(victim, &status, 0));
		within = WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(victim));
	return within;
}

/* ---- what the living find ---- */

static void the_sleeper_hears(const struct scene *s, uint64_t version)
{
	struct pollfd heard = { .fd = s->said[0], .events = POLLIN };
	uint64_t told_version = 0;

	while (told_version < version && check_ok == 1) {
		EQUAL(1, poll(&heard, 1, HEARD_MS));
		if (check_ok == 1)
			EQUAL(sizeof told_version, read(s->said[0], &told_version, sizeof told_version));
	}
}

static int64_t the_living_go_on(struct scene *s)
{
	char text[MOST + 1];
	int64_t version = get_text(&s->ours, text);

	CHECK(version == 1 || version == 2);
	EQUAL(0, strcmp(version == 1 ? old : new, text));
	if (s->sleeper)
		the_sleeper_hears(s, (uint64_t) version == 1 ? 0 : 2);
	EQUAL(version + 1, set_by(&s->ours, next, within_ns(SOON_NS)));
	EQUAL(version + 1, get_text(&s->ours, text));
	EQUAL(0, strcmp(next, text));
	if (s->sleeper)
		the_sleeper_hears(s, (uint64_t) version + 1);
	return version;
}

/* ---- all of it ---- */

static int die_after(int steps, void (*prepare)(struct scene *), void (*call)(struct pyipc_cell *), int64_t *ret_version)
{
	struct scene s = { .sleeper = 0 };
	int within;

	make_world(&s.w);
	EQUAL(0, pipe2(s.said, O_CLOEXEC));
	s.ours = take_part(&s.w, 0);
	EQUAL(1, set_by(&s.ours, old, INT64_MAX));
	prepare(&s);
	within = killed_after(victim_of(&s, call), steps);
	*ret_version = the_living_go_on(&s);
	if (s.sleeper)
		(void) kill_and_reap(s.sleeper);
	leave(&s.ours);
	close_both(s.said);
	end_world(&s.w);
	return within;
}

static void killed_at_each_instruction(const char *what, void (*prepare)(struct scene *), void (*call)(struct pyipc_cell *),
				       int commits)
{
	int steps = 0, committed = 0, within = 1;
	int64_t version;

	while (within && steps < MOST_STEPS && check_ok == 1) {
		(void) alarm(PATIENCE_S);
		within = die_after(++steps, prepare, call, &version);
		committed += version == 2;
		if (check_ok != 1)
			printf("  killed after %d instructions\n", steps);
	}
	CHECK(!within);
	EQUAL(commits, committed > 0);
	CHECK(committed < steps);
	printf("  %s: killed at %d instructions, %d after the commit\n", what, steps, committed);
}

#define KILLED(name, ...) static void name(void) { killed_at_each_instruction(#name, __VA_ARGS__); }

/* ---- a reader that is overtaken ---- */

static pid_t reader_of(const struct scene *s)
{
	pid_t reader = fork_child();

	if (reader == 0) {
		struct pyipc_cell c = take_part(&s->w, 0);
		char text[MOST + 1];
		size_t length;

		(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void) raise(SIGSTOP);
		(void) get_text(&c, text);
		(void) raise(SIGSTOP);
		length = strlen(text);
		for (size_t i = 0; i < length; i++)
			if (text[i] != text[0])
				_exit(1);
		_exit(length == (size_t) (text[0] - 'A') ? 0 : 1);
	}
	return reader;
}

/* Of one letter, which says how long it is. */
static void set_letter(struct scene *s, int letter)
{
	char text[MOST] = "";

	memset(text, letter, (size_t) (letter - 'A'));
	CHECK(set_by(&s->ours, text, INT64_MAX) > 0);
}

/* As a writer does that dies before it commits. */
static void fill_the_next_buffer(const struct scene *s)
{
	uint64_t stride = (s->w.size - BUFFERS_AT) / BUFFERS;
	uint64_t size = MOST;
	char *buffer = s->w.mapped + BUFFERS_AT + (*version_of(&s->w) + 1) % BUFFERS * stride;

	memcpy(buffer, &size, sizeof size);
	memset(buffer + 16, '#', MOST);
}

/* Whether it was still reading after so many steps. */
static int overtaken_after(struct scene *s, int steps, int values)
{
	pid_t reader;
	int status, within = 1;

	set_letter(s, 'p');
	reader = reader_of(s);
	EQUAL(reader, waitpid(reader, &status, 0));
	for (int i = 0; i < steps && within; i++) {
		(void) ptrace(PTRACE_SINGLESTEP, reader, NULL, NULL);
		EQUAL(reader, waitpid(reader, &status, 0));
		within = WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
	}
	for (int i = 0; i < values; i++)
		set_letter(s, 'q' + i);
	fill_the_next_buffer(s);
	while (WIFSTOPPED(status)) {
		(void) ptrace(PTRACE_CONT, reader, NULL, NULL);
		EQUAL(reader, waitpid(reader, &status, 0));
	}
	EQUAL(0, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return within;
}

static void reading_while_values_are_written(void)
{
	for (int values = 0; values <= BUFFERS + 1 && check_ok == 1; values++) {
		struct scene s = { .sleeper = 0 };
		int steps = 0;

		(void) alarm(PATIENCE_S);
		make_world(&s.w);
		s.ours = take_part(&s.w, 0);
		while (check_ok == 1 && overtaken_after(&s, ++steps, values))
			CHECK(steps < MOST_STEPS);
		if (check_ok != 1)
			printf("  overtaken by %d values after %d instructions\n", values, steps);
		leave(&s.ours);
		end_world(&s.w);
	}
}

KILLED(setting, nobody_waits, sets, 1)
KILLED(trying_to_set, nobody_waits, tries_to_set, 1)
KILLED(setting_while_somebody_sleeps, somebody_sleeps, sets, 1)
KILLED(taking_the_guard_from_the_dead, the_dead_hold_the_guard, sets, 1)
KILLED(going_to_sleep, nobody_waits, waits, 0)
KILLED(going_to_sleep_beside_another, somebody_sleeps, waits, 0)
KILLED(taking_part, nobody_waits, takes_part, 0)

int main(void)
{
	begin();
	RUN(setting);
	RUN(trying_to_set);
	RUN(setting_while_somebody_sleeps);
	RUN(taking_the_guard_from_the_dead);
	RUN(going_to_sleep);
	RUN(going_to_sleep_beside_another);
	RUN(taking_part);
	RUN(reading_while_values_are_written);
	return report();
}
#endif
