/* SPDX-License-Identifier: MIT
 *
 * stepping.h -- a process that is killed at a chosen instruction of a call.
 *
 * A first victim is stepped through the call by ptrace(2), one instruction at a time (a system call is
 * one), which tells where it passes.  Then, for each of these places, there is a new victim, which runs
 * to a breakpoint there and is killed.  (To step each of them there takes ten times as long.)
 *
 *	pid_t victim = fork_victim();
 *	if (victim == 0) {
 *		...				what it needs
 *		step_me();
 *		...				the call
 *		was_stepped();
 *	}
 *	see_it_stop(victim);
 *	trace(victim, &steps);		or run_to(victim, at), for one of so many steps
 *	end_it(victim);
 */
#ifndef STEPPING_H
#define STEPPING_H

#include "facts.h"

#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>

/* What is awaited must come before a net of a second catches who was forgotten. */
enum { SOON_NS = PYIPC_SECOND / 10 * 8 };

enum { MOST_STEPS = 40000, TICK_NS = PYIPC_SECOND / 200 };

/* ---- the victim ---- */

static inline pid_t fork_victim(void)
{
	return fork_child();
}

static inline void step_me(void)
{
	(void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	(void) raise(SIGSTOP);
}

static inline void was_stepped(void)
{
	(void) raise(SIGSTOP);
	_exit(0);
}

/* ---- who steps it ---- */

/* A tick of the clock ends a waitpid(2) in which nothing comes. */
static inline void tick(int64_t every_ns)
{
	struct timeval span = { .tv_usec = (suseconds_t) (every_ns / 1000) };
	struct itimerval timer = { .it_interval = span, .it_value = span };

	(void) setitimer(ITIMER_REAL, &timer, NULL);
}

static inline void see_it_stop(pid_t victim)
{
	int status;

	EQUAL(victim, waitpid(victim, &status, 0));
	handle(SIGALRM, 0);
	tick(TICK_NS);
}

static inline void end_it(pid_t victim)
{
	tick(0);
	(void) signal(SIGALRM, stuck);
	(void) alarm(PATIENCE_S);
	EQUAL(1000 + SIGKILL, kill_and_reap(victim));
}

enum { STOPPED, OVER, ASLEEP };

/* Who waits for a guard sleeps for 10 ms at a time, and who waits for a message, or memory, for 100 at least. */
enum { LONG_NS = PYIPC_SECOND / 50 };

/* Is it in the kernel, in a sleep that is meant to be long?  (What the kernel tells, and not how long it takes:
 * on a busy machine all does.) */
static inline int sleeps_for_long(pid_t victim)
{
	unsigned long number, of[4], at;
	struct timespec span;
	struct iovec here = { &span, sizeof span }, there = { .iov_len = sizeof span };
	char name[64], text[256];

	(void) snprintf(name, sizeof name, "/proc/%d/syscall", (int) victim);
	if (!read_setting(name, text, sizeof text) ||
	    sscanf(text, "%lu %lx %lx %lx %lx", &number, &of[0], &of[1], &of[2], &of[3]) != 5)
		return 0;	/* it is running */
	if (number != SYS_futex && number != SYS_ppoll)
		return 0;
	at = number == SYS_futex ? of[3] : of[2];
	if (!at)
		return 1;	/* for ever */
	memcpy(&there.iov_base, &at, sizeof at);
	return process_vm_readv(victim, &here, 1, &there, 1, 0) == sizeof span &&
		(int64_t) span.tv_sec * PYIPC_SECOND + span.tv_nsec >= LONG_NS;
}

/* Its next stop. */
static inline int next_stop(pid_t victim, int by_one)
{
	int64_t end_ns = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
	int asleep = 0;
	int status;

	(void) ptrace(by_one ? PTRACE_SINGLESTEP : PTRACE_CONT, victim, NULL, NULL);
	while (waitpid(victim, &status, 0) == -1) {
		asleep = sleeps_for_long(victim) ? asleep + 1 : 0;
		if (asleep == 2 || now_ns() > end_ns)
			return ASLEEP;
	}
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP ? STOPPED : OVER;
}

static inline struct user_regs_struct registers_of(pid_t victim)
{
	struct user_regs_struct registers = { .rip = 0 };

	(void) ptrace(PTRACE_GETREGS, victim, NULL, &registers);
	return registers;
}

static inline int is_in_vdso(uint64_t place)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	return place >= vdso && place < vdso + 8192;
}

/* Where the call passes.  What the kernel lends us (the clock) is left out. */
static struct {
	uint64_t place;
	int before, after;	/* how often it was there before, and came there again */
} path[MOST_STEPS];

static inline void count_visits(int steps)
{
	for (int i = 0; i < steps; i++) {
		path[i].before = path[i].after = 0;
		for (int j = 0; j < i; j++)
			if (path[j].place == path[i].place) {
				path[i].before++;
				path[j].after++;
			}
	}
}

/* How the call ends, and after how many steps. */
static inline int trace(pid_t victim, int *ret_steps)
{
	int ended, steps = 0;

	while ((ended = next_stop(victim, 1)) == STOPPED && steps < MOST_STEPS) {
		path[steps].place = (uint64_t) registers_of(victim).rip;
		steps += !is_in_vdso(path[steps].place);
	}
	count_visits(steps);
	*ret_steps = steps;
	return ended;
}

/* Of a loop, so many of its first rounds and of its last are enough. */
static inline int is_within_a_loop(int at, int rounds)
{
	return path[at].before >= rounds && path[at].after >= rounds;
}

/* Run to where the trace was after so many steps; 0 if this one took another way. */
static inline int run_to(pid_t victim, int at)
{
	void *place = (void *) path[at].place;
	long code = ptrace(PTRACE_PEEKTEXT, victim, place, NULL);
	long trap = (code & ~0xFFL) | 0xCC;
	int ended = STOPPED;

	for (int passes = 0; ended == STOPPED && passes <= path[at].before; passes++) {
		struct user_regs_struct registers;

		if (passes > 0)
			ended = next_stop(victim, 1);
		if (ended != STOPPED)
			break;
		EQUAL(0, ptrace(PTRACE_POKETEXT, victim, place, trap));
		ended = next_stop(victim, 0);
		if (ended != STOPPED)
			break;
		registers = registers_of(victim);
		registers.rip--;	/* the trap has run, what was there has not */
		(void) ptrace(PTRACE_SETREGS, victim, NULL, &registers);
		(void) ptrace(PTRACE_POKETEXT, victim, place, code);
	}
	return ended == STOPPED;
}

/* The place to kill the next one at.  Where it waits for a while, a busy machine lets it take another way than
 * the trace: then it is the same place again. */
enum { TRIES = 5 };

static inline int place_after(int at, int was_there)
{
	static int tries;

	if (!was_there && ++tries < TRIES)
		return at;
	tries = 0;
	return at + 1;
}

/* On one processor a step costs a tenth: nobody has to be woken elsewhere.  And where we may, we go before
 * others, for ten thousand steps must not take the second after which a call goes up to Python. */
static inline void stay_on_one_processor(void)
{
	cpu_set_t here;

	(void) setpriority(PRIO_PROCESS, 0, -15);
	CPU_ZERO(&here);
	CPU_SET((size_t) sched_getcpu(), &here);
	(void) sched_setaffinity(0, sizeof here, &here);
}

#endif
