/* SPDX-License-Identifier: MIT
 *
 * fuzz_channel.c -- a peer writes whatever it likes into the memory of a channel, steals its tokens and
 * holds its guards: calls end soon after their deadline, with an answer that can be, and touch no byte
 * outside of the channel and of what they were given.
 */
#include "channels.h"
#include "random.h"

enum { ROUNDS = 10000, SLOTS = 8, TIMEOUT_NS = 200000, MOST = 3, PAGE = 4096 };

static struct world w;
static char *fenced;
static uint64_t fenced_size;

/* The channel between two pages that nobody may touch, its end at the end of its last page. */
static void map_fenced(void)
{
	uint64_t size = (w.size + PAGE - 1) / PAGE * PAGE;

	fenced_size = size + 2 * PAGE;
	fenced = mmap(NULL, fenced_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fenced != MAP_FAILED);
	CHECK(mmap(fenced + PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w.memory, 0) != MAP_FAILED);
}

/* Values that mean something there, as a rule. */
static uint64_t telling_value(const struct pyipc_channel *c)
{
	switch (below(8)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return below(2 * SLOTS);
	case 3: return c->me.id;
	case 4: return c->me.id | UINT64_C(0x80000000);
	case 5: return UINT64_C(1) << below(64);
	case 6: return SLOT_SIZE + below(3) - 1;
	default: return random_bits();
	}
}

/* Where the counters, guards, tokens and entries are, most of the time. */
static void scribble(char *memory, const struct pyipc_channel *c)
{
	const uint64_t sides = 128, roster = sides + 2 * 128, places = roster + 4096;

	for (uint64_t i = below(4); i > 0; i--) {
		uint64_t value = telling_value(c);
		uint64_t at = below(3) ? sides + 4 * below((roster - sides) / 4) : places + 4 * below(SLOTS * 40);
		size_t width = below(2) ? 4 : 8;

		if (at + width <= w.size)
			memcpy(memory + at, &value, width);
	}
}

/* A guard that is frozen costs two slices, so it is not always. */
static void thaw_guards(char *memory)
{
	memset(memory + 128, 0, 4);
	memset(memory + 256, 0, 4);
}

/* As it was at first: or nothing would ever be done again. */
static void heal(char *memory)
{
	memset(memory + 128, 0, 2 * 128);
	CHECK(0 < pyipc_channel_format(memory, w.size, SLOTS, SLOT_SIZE, w.space[1]));
}

static void steal_or_forge_tokens(void)
{
	int *pipe = below(2) ? w.data : w.space;
	char tokens[100] = "";

	if (below(2))
		(void) !read(pipe[0], tokens, sizeof tokens);
	else
		(void) !write(pipe[1], tokens, below(sizeof tokens));
}

static int can_be(int64_t result)
{
	return result == -ETIMEDOUT || result == -EAGAIN || result == -EBADMSG || result == -EINTR || result == -EMSGSIZE
	       || (result >= 0 && result <= MOST);
}

static void whatever_a_peer_writes_calls_end_with_an_answer_that_can_be(void)
{
	char data[SLOT_SIZE + 64];
	struct pyipc_channel c, other;
	uint32_t sizes[MOST], messages;
	int64_t result, started;
	int good = 0;

	make_world(&w, SLOTS);
	map_fenced();
	c = take_part(&w, 3);
	c.memory = fenced + PAGE;
	other = take_part(&w, 0);	/* alive, and so are guards in its name */
	memset(data, 'd', SLOT_SIZE);
	for (int round = 0; round < ROUNDS && check_ok == 1; round++) {
		(void) alarm(PATIENCE_S);
		if (below(16) == 0)
			heal(w.mapped);
		scribble(w.mapped, below(2) ? &c : &other);
		if (below(16))
			thaw_guards(w.mapped);
		if (below(4) == 0)
			steal_or_forge_tokens();
		memset(data + SLOT_SIZE, UNTOUCHED, 64);
		started = now_ns();
		for (int i = 0; i < MOST; i++)
			sizes[i] = (uint32_t) below(SLOT_SIZE / MOST + 2);
		messages = (uint32_t) below(MOST + 1);
		switch (below(4)) {
		case 0: result = pyipc_now_channel_send(&c, data, sizes, messages); break;
		case 1: result = pyipc_now_channel_receive(&c, data, SLOT_SIZE, sizes, messages); break;
		case 2: result = pyipc_channel_send(&c, data, sizes, messages, started + TIMEOUT_NS); break;
		default: result = pyipc_channel_receive(&c, data, SLOT_SIZE, sizes, messages, started + TIMEOUT_NS); break;
		}
		CHECK(can_be(result));
		good += result > 0;
		CHECK(untouched(data + SLOT_SIZE, 64));
		CHECK(now_ns() - started < PYIPC_SECOND);
		if (check_ok != 1)
			printf("  round %d: %lld\n", round, (long long) result);
	}
	CHECK(good > ROUNDS / 50);
	leave(&c);
	leave(&other);
	EQUAL(0, munmap(fenced, fenced_size));
	end_world(&w);
}

int main(int argc, char **argv)
{
	begin_at_random(argc, argv);
	(void) signal(SIGPIPE, SIG_IGN);
	RUN(whatever_a_peer_writes_calls_end_with_an_answer_that_can_be);
	return report();
}
