/* SPDX-License-Identifier: MIT
 *
 * kills.h -- to kill a process at each instruction of a call.
 *
 * A first victim is stepped through the call by ptrace(2), one instruction at a time (a system call is
 * one), which tells where it passes.  Then, for each of these places, there is a new victim, which runs to
 * a breakpoint there and is killed.  (To step each of them there takes ten times as long.)
 */
#ifndef KILLS_H
#define KILLS_H

#include "facts.h"

#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>

enum { SOON_NS = PYIPC_SECOND / 2, MOST_STEPS = 10000, ASLEEP_NS = PYIPC_SECOND / 4 };

static inline int is_in_vdso(uint64_t place)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);

	return place >= vdso && place < vdso + 8192;
}

enum { STOPPED, OVER, ASLEEP };

/* A tick of the clock ends a waitpid(2) in which nothing comes. */
static inline void tick(int64_t every_ns)
{
	struct timeval span = { .tv_usec = (suseconds_t) (every_ns / 1000) };
	struct itimerval timer = { .it_interval = span, .it_value = span };

	(void) setitimer(ITIMER_REAL, &timer, NULL);
}

/* The next stop of the victim; it sleeps if two ticks find it in one step, for no slice of a guard is so
 * long. */
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

static inline uint64_t place_of(pid_t victim)
{
	struct user_regs_struct registers = { .rip = 0 };

	(void) ptrace(PTRACE_GETREGS, victim, NULL, &registers);
	return registers.rip;
}

static inline void see_it_stop(pid_t victim)
{
	int status;

	EQUAL(victim, waitpid(victim, &status, 0));
	handle(SIGALRM, 0);
	tick(ASLEEP_NS / 2);
}

static inline void end_it(pid_t victim)
{
	tick(0);
	(void) signal(SIGALRM, stuck);
	(void) alarm(PATIENCE_S);
	EQUAL(1000 + SIGKILL, kill_and_reap(victim));
}

/* Where the call passes, and how it ends.  What the kernel lends us (the clock) is left out. */
static struct {
	uint64_t place;
	int before;	/* how often it was there before */
} path[MOST_STEPS];

static inline int trace(pid_t victim, int *ret_steps)
{
	int ended, steps = 0;

	see_it_stop(victim);
	while ((ended = next_stop(victim, 1)) == STOPPED && steps < MOST_STEPS) {
		path[steps].place = place_of(victim);
		path[steps].before = 0;
		if (is_in_vdso(path[steps].place))
			continue;
		for (int i = 0; i < steps; i++)
			path[steps].before += path[i].place == path[steps].place;
		steps++;
	}
	end_it(victim);
	*ret_steps = steps;
	return ended;
}

/* Run to where the trace was after so many steps; 0 if this one took another way. */
static inline int run_to(pid_t victim, int at)
{
	void *place = (void *) path[at].place;
	long code, trap;
	int ended = STOPPED;

	see_it_stop(victim);
	code = ptrace(PTRACE_PEEKTEXT, victim, place, NULL);
	trap = (code & ~0xFFL) | 0xCC;
	for (int passes = 0; ended == STOPPED && passes <= path[at].before; passes++) {
		if (passes > 0)
			ended = next_stop(victim, 1);
		if (ended != STOPPED)
			break;
		EQUAL(0, ptrace(PTRACE_POKETEXT, victim, place, trap));
		ended = next_stop(victim, 0);
		if (ended == STOPPED) {
			struct user_regs_struct registers;

			(void) ptrace(PTRACE_GETREGS, victim, NULL, &registers);
			registers.rip--;	/* the trap has run, what was there has not */
			(void) ptrace(PTRACE_SETREGS, victim, NULL, &registers);
			(void) ptrace(PTRACE_POKETEXT, victim, place, code);
		}
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
