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
#include <sys/user.h>

enum { MOST_STEPS = 40000, TICK_NS = PYIPC_SECOND / 40 };

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

/* Its next stop.  If two ticks find it in one step, it sleeps: slices of a guard are shorter than that, and
 * others are longer. */
static inline int next_stop(pid_t victim, int by_one)
{
	int ticks = 0;
	int status;

	(void) ptrace(by_one ? PTRACE_SINGLESTEP : PTRACE_CONT, victim, NULL, NULL);
	while (waitpid(victim, &status, 0) == -1)
		if (++ticks == 2)
			return ASLEEP;
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

/* On one processor a step costs a tenth: nobody has to be woken elsewhere. */
static inline void stay_on_one_processor(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((size_t) sched_getcpu(), &here);
	(void) sched_setaffinity(0, sizeof here, &here);
}

#endif
