/* SPDX-License-Identifier: MIT
 *
 * storm_channel.c -- four send, four receive, and one after the other is killed and replaced, wherever it
 * is just then: what the living have sent arrives once, in order.
 *
 *     storm_channel [SEED [MILLISECONDS]]	(3 seconds, unless it is told)
 *
 * Each message is a number that no other has; every fourth is long.  For each there is a byte that all see:
 * who sends it sets CALLED before the call and SENT after it; who receives it adds RECEIVED.  Two of the
 * receivers keep what they take until they have seen to it.  At the end a message that was SENT is RECEIVED
 * once, but for one at the most for each receiver that was killed in a call that keeps nothing; and
 * again only if it says so, and its first receiver was killed.  Meanwhile somebody watches: at no instant
 * may a message wait (or a place) and no descriptor tell it; so no sleeper is rescued by its net of a second.
 */
#include "channels.h"
#include "random.h"

enum { EACH = 4, SLOTS = 16, SPINS = 50, MOST = 256 << 20, BATCH = 64, MOST_LIVES = 1 << 16, LONG = 1000 };
enum { CALLED = 1, SENT = 2, RECEIVED = 16 };
enum { SENDS, KEEPS, RECEIVES };

struct message {
	uint32_t life;		/* of its sender, each of which has another */
	uint32_t number;
};

static struct {
	uint32_t next;		/* number that nobody has */
	uint32_t wrong, again;
	uint8_t in_call[MOST_LIVES];	/* it may have a message that it has not counted */
	uint8_t fate[MOST];
} *all;

static uint64_t milliseconds = 3000;

static void go_wrong(const char *what, const struct message *m)
{
	printf("  %s: message %u of life %u\n", what, m->number, m->life);
	(void) __atomic_fetch_add(&all->wrong, 1, __ATOMIC_SEQ_CST);
}

static int64_t send_message(struct pyipc_channel *c, const struct message *m)
{
	char data[LONG] = "";
	uint32_t size = sizeof *m;
	int64_t deadline = within_s(PATIENCE_S);

	memcpy(data, m, sizeof *m);
	if (m->number % 4 == 0)
		return send_long_by(c, data, LONG, deadline);
	return UNTIL_DONE(pyipc_channel_send(c, data, &size, 1, deadline)) == 1 ? 0 : -EIO;
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
			int64_t result;

			(void) __atomic_fetch_or(&all->fate[m.number], CALLED, __ATOMIC_SEQ_CST);
			result = send_message(&c, &m);
			if (result != 0) {
				printf("  to send gave %lld\n", (long long) result);
				go_wrong("not sent", &m);
				_exit(1);
			}
			(void) __atomic_fetch_or(&all->fate[m.number], SENT, __ATOMIC_SEQ_CST);
		}
	}
}

static void count_message(const char *data, uint64_t size, int redelivered)
{
	static uint32_t last_of[MOST_LIVES];
	struct message m = { 0, 0 };

	if (size >= sizeof m)
		memcpy(&m, data, sizeof m);
	if (size != (m.number % 4 ? sizeof m : LONG) || m.number >= MOST || m.life >= MOST_LIVES) {
		go_wrong("garbled", &m);
		return;
	}
	if (redelivered)
		(void) __atomic_fetch_add(&all->again, 1, __ATOMIC_SEQ_CST);
	if (redelivered && all->fate[m.number] / RECEIVED)
		return;
	if (__atomic_fetch_add(&all->fate[m.number], RECEIVED, __ATOMIC_SEQ_CST) / RECEIVED)
		go_wrong("received twice", &m);
	else if (!redelivered && m.number < last_of[m.life])
		go_wrong("out of order", &m);
	else if (!redelivered)
		last_of[m.life] = m.number;
}

static int64_t take_one(struct pyipc_channel *c, int kept)
{
	struct pyipc_loan loan;
	int64_t result = take_by(c, kept, within_s(PATIENCE_S), &loan);

	if (result == 0) {
		count_message(c->memory + loan.at, loan.size, (int) loan.redelivered);
		(void) pyipc_arena_release(c, loan.extent);
	}
	return result;
}

static int64_t receive_one(struct pyipc_channel *c)
{
	char data[SLOT_SIZE];
	uint32_t size = 0;
	int64_t result = UNTIL_DONE(pyipc_channel_receive(c, data, sizeof data, &size, 1, within_s(PATIENCE_S)));

	if (result == -EMSGSIZE)
		return take_one(c, 0);
	if (result == 1)
		count_message(data, size, 0);
	return result == 1 ? 0 : result;
}

static void receives_to_the_end(struct world *w, uint32_t life, int what)
{
	struct pyipc_channel c;
	int64_t result;

	only_receives(w);
	c = take_part(w, SPINS);
	do {
		if (what == RECEIVES)
			__atomic_store_n(&all->in_call[life], 1, __ATOMIC_SEQ_CST);
		result = what == KEEPS ? take_one(&c, 1) : receive_one(&c);
		__atomic_store_n(&all->in_call[life], 0, __ATOMIC_SEQ_CST);
	} while (result == 0);
	if (result != -EPIPE)
		printf("  to receive gave %lld\n", (long long) result);
	_exit(result == -EPIPE ? 0 : 1);
}

struct life {
	pid_t process;
	uint32_t number;
	int what;
};

static struct life one_more(struct world *w, int what)
{
	static uint32_t lives;
	struct life life = { 0, ++lives, what };

	life.process = fork_child();
	if (life.process == 0) {
		if (what == SENDS)
			sends_for_ever(w, life.number);
		receives_to_the_end(w, life.number, what);
	}
	return life;
}

static int is_readable(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	return poll(&end, 1, 0) == 1;
}

/* As long as what waits first is the same one, there was a token all the time. */
static int looks_asleep(const struct world *w)
{
	const struct channel *ch = layout_of(w);
	uint64_t received = __atomic_load_n(&ch->received.count, __ATOMIC_SEQ_CST);
	uint64_t sent = __atomic_load_n(&ch->sent.count, __ATOMIC_SEQ_CST);

	if (sent > received && !is_readable(w->data[0]) && received == __atomic_load_n(&ch->received.count, __ATOMIC_SEQ_CST))
		return 1;
	sent = __atomic_load_n(&ch->sent.count, __ATOMIC_SEQ_CST);
	received = __atomic_load_n(&ch->received.count, __ATOMIC_SEQ_CST);
	return sent - received < SLOTS && !is_readable(w->space[0])
	       && sent == __atomic_load_n(&ch->sent.count, __ATOMIC_SEQ_CST);
}

static void watch(const struct world *w, int64_t span_ns)
{
	static const struct timespec between_looks = { .tv_nsec = 50000 };
	int64_t end = now_ns() + span_ns;

	do {
		CHECK(!looks_asleep(w));
		(void) nanosleep(&between_looks, NULL);
	} while (now_ns() < end);
}

static void count_fates(uint64_t taken, int killed_in_call, int killed_keepers)
{
	uint32_t end = all->next < MOST ? all->next : MOST;
	int sent = 0, missing = 0;
	uint64_t came = 0;

	for (uint32_t i = 0; i < end; i++) {
		sent += (all->fate[i] & SENT) != 0;
		came += all->fate[i] >= RECEIVED;
		missing += (all->fate[i] & SENT) && all->fate[i] < RECEIVED;
		if (!(all->fate[i] & CALLED) && all->fate[i])
			printf("  message %u was never sent\n", i);
	}
	printf("  %d sent; %d receivers killed in a call, %d messages gone with them; %d keepers killed, %u messages "
	       "came again\n", sent, killed_in_call, missing, killed_keepers, all->again);
	CHECK(sent > 1000);
	CHECK((uint64_t) missing <= taken - came);
	CHECK(taken - came <= (uint64_t) killed_in_call);
	CHECK(all->again <= (uint32_t) killed_keepers);
	EQUAL(0, all->wrong);
}

static void what_the_living_send_arrives_once_whoever_is_killed(void)
{
	struct life lives[2 * EACH];
	struct pyipc_channel ours;
	struct pyipc_loan everything;
	int killed[3] = { 0, 0, 0 }, killed_in_call = 0;
	struct world w;
	int64_t end;

	all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(all != MAP_FAILED);
	make_world_with(&w, SLOTS, 65536);
	for (int i = 0; i < 2 * EACH; i++)
		lives[i] = one_more(&w, i < EACH ? SENDS : i % 2 ? KEEPS : RECEIVES);
	for (end = now_ns() + (int64_t) milliseconds * 1000000; now_ns() < end && check_ok == 1;) {
		struct life *victim = &lives[below(2 * EACH)];

		(void) alarm(PATIENCE_S + 5);
		watch(&w, (int64_t) below(5000000));
		EQUAL(1000 + SIGKILL, kill_and_reap(victim->process));
		killed[victim->what]++;
		killed_in_call += all->in_call[victim->number];
		*victim = one_more(&w, victim->what);
	}
	for (int i = 0; i < EACH; i++)
		EQUAL(1000 + SIGKILL, kill_and_reap(lives[i].process));
	for (int i = 0; i < 2; i++) {	/* and so the receivers come to the end */
		EQUAL(0, close(w.data[i]));
		EQUAL(0, close(w.space[i]));
		w.data[i] = w.space[i] = -1;
	}
	for (int i = EACH; i < 2 * EACH; i++)
		EQUAL(0, end_of(lives[i].process));
	CHECK(killed[SENDS] > 10 && killed[KEEPS] > 5 && killed[RECEIVES] > 5);
	EQUAL(layout_of(&w)->sent.count, layout_of(&w)->received.count);
	count_fates(layout_of(&w)->received.count, killed_in_call, killed[KEEPS]);
	ours = take_part(&w, 0);
	EQUAL(0, reserve_by(&ours, 65536, 0, &everything));
	leave(&ours);
	end_world(&w);
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
