/* SPDX-License-Identifier: MIT
 *
 * storm_channel.c -- four send, four receive, and one after the other is killed and replaced, wherever it
 * is just then: what the living have sent arrives once, in order.
 *
 *     storm_channel [SEED [MILLISECONDS]]	(3 seconds, unless it is told)
 *
 * Each message is a number that no other has.  For each there is a byte that all see: who sends it sets
 * CALLED before the call and SENT after it; who receives it adds RECEIVED.  At the end a message that was
 * SENT is RECEIVED once, but for one at the most for each receiver that was killed, which had it in its hands;
 * of one that was only CALLED nobody can say.
 */
#include "channels.h"
#include "random.h"

enum { EACH = 4, SLOTS = 16, SPINS = 50, MOST = 256 << 20, BATCH = 64, MOST_LIVES = 1 << 16 };
enum { CALLED = 1, SENT = 2, RECEIVED = 16 };

struct message {
	uint32_t life;		/* of its sender, each of which has another */
	uint32_t number;
};

static struct {
	uint32_t next;		/* number that nobody has */
	uint32_t wrong;
	uint8_t fate[MOST];
} *all;

static uint64_t milliseconds = 3000;

static void go_wrong(const char *what, const struct message *m)
{
	printf("  %s: message %u of life %u\n", what, m->number, m->life);
	(void) __atomic_fetch_add(&all->wrong, 1, __ATOMIC_SEQ_CST);
}

static void sends_for_ever(struct world *w, uint32_t life)
{
	struct pyipc_channel c;

	only_sends(w);
	c = take_part(w, SPINS);
	for (;;) {
		uint32_t first = __atomic_fetch_add(&all->next, BATCH, __ATOMIC_SEQ_CST);

		if (first >= MOST - EACH * BATCH)
			_exit(0);
		for (uint32_t i = 0; i < BATCH; i++) {
			struct message m = { life, first + i };
			uint32_t size = sizeof m;
			int64_t result;

			(void) __atomic_fetch_or(&all->fate[m.number], CALLED, __ATOMIC_SEQ_CST);
			do
				result = pyipc_channel_send(&c, (char *) &m, &size, 1, within_s(PATIENCE_S));
			while (result == -EINTR);
			if (result != 1) {
				printf("  to send gave %lld\n", (long long) result);
				go_wrong("not sent", &m);
				_exit(1);
			}
			(void) __atomic_fetch_or(&all->fate[m.number], SENT, __ATOMIC_SEQ_CST);
		}
	}
}

static void receives_to_the_end(struct world *w)
{
	static uint32_t last_of[MOST_LIVES];
	struct pyipc_channel c;
	int64_t result;

	only_receives(w);
	c = take_part(w, SPINS);
	do {
		struct message m = { 0, 0 };
		uint32_t size = 0;

		result = pyipc_channel_receive(&c, (char *) &m, sizeof m, &size, 1, within_s(PATIENCE_S));
		if (result != 1)
			continue;
		if (size != sizeof m || m.number >= MOST || m.life >= MOST_LIVES)
			go_wrong("garbled", &m);
		else if (__atomic_fetch_add(&all->fate[m.number], RECEIVED, __ATOMIC_SEQ_CST) / RECEIVED)
			go_wrong("received twice", &m);
		else if (m.number < last_of[m.life])
			go_wrong("out of order", &m);
		else
			last_of[m.life] = m.number;
	} while (result == 1 || result == -EINTR);
	_exit(result == -EPIPE ? 0 : 1);
}

static pid_t one_more(struct world *w, int sends)
{
	static uint32_t lives;
	pid_t child;

	lives++;
	child = fork_child();
	if (child == 0) {
		if (sends)
			sends_for_ever(w, lives);
		receives_to_the_end(w);
	}
	return child;
}

static void count_fates(int killed_receivers)
{
	uint32_t end = all->next < MOST ? all->next : MOST;
	int sent = 0, missing = 0;

	for (uint32_t i = 0; i < end; i++) {
		sent += (all->fate[i] & SENT) != 0;
		missing += (all->fate[i] & SENT) && all->fate[i] < RECEIVED;
		if (!(all->fate[i] & CALLED) && all->fate[i])
			printf("  message %u was never sent\n", i);
	}
	printf("  %d sent, %d receivers killed, %d messages gone with them\n", sent, killed_receivers, missing);
	CHECK(sent > 1000);
	CHECK(missing <= killed_receivers);
	EQUAL(0, all->wrong);
}

static void what_the_living_send_arrives_once_whoever_is_killed(void)
{
	pid_t senders[EACH], receivers[EACH];
	int killed[2] = { 0, 0 };
	struct world w;
	int64_t end;

	all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(all != MAP_FAILED);
	make_world(&w, SLOTS);
	for (int i = 0; i < EACH; i++) {
		senders[i] = one_more(&w, 1);
		receivers[i] = one_more(&w, 0);
	}
	for (end = now_ns() + (int64_t) milliseconds * 1000000; now_ns() < end;) {
		struct timespec some = { .tv_nsec = (long) below(5000000) };
		int sends = (int) below(2);
		pid_t *victim = sends ? &senders[below(EACH)] : &receivers[below(EACH)];

		(void) alarm(PATIENCE_S + 5);
		(void) nanosleep(&some, NULL);	/* the storm's own rhythm; nothing waits for it */
		EQUAL(1000 + SIGKILL, kill_and_reap(*victim));
		killed[sends]++;
		*victim = one_more(&w, sends);
	}
	for (int i = 0; i < EACH; i++)
		EQUAL(1000 + SIGKILL, kill_and_reap(senders[i]));
	end_world(&w);		/* and so the receivers come to the end */
	for (int i = 0; i < EACH; i++)
		EQUAL(0, end_of(receivers[i]));
	CHECK(killed[0] > 10 && killed[1] > 10);
	count_fates(killed[0]);
	EQUAL(0, munmap(all, sizeof *all));
}

int main(int argc, char **argv)
{
	begin_at_random(argc, argv);
	if (argc > 2)
		milliseconds = number_of_calls;
	RUN(what_the_living_send_arrives_once_whoever_is_killed);
	return report();
}
