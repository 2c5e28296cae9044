/* SPDX-License-Identifier: MIT
 *
 * fuzz_channel.c -- a peer writes whatever it likes into the memory of a channel, steals its tokens and
 * holds its guards, between our calls and while they run: calls end soon after their deadline, with an answer
 * that can be, and touch no byte outside of the channel and of what they were given.
 */
#include "channels.h"
#include "random.h"

enum { ROUNDS_BETWEEN = 40000, ROUNDS_DURING = 20000 };
enum { SLOTS = 8, SMALL_ARENA = 65536, TIMEOUT_NS = 200000, MOST = 3, MOST_LOANS = 8 };

static struct world w;
static char *fenced;
static uint64_t fenced_size;
static struct pyipc_channel c, other;	/* alive, and so are guards in its name */
static struct pyipc_loan loans[MOST_LOANS];
static uint64_t loans_held;

/* The channel between two pages that nobody may touch, its end at the end of its last page. */
static void map_fenced(void)
{
	uint64_t size = (w.size + PAGE - 1) / PAGE * PAGE;

	fenced_size = size + 2 * PAGE;
	fenced = mmap(NULL, fenced_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fenced != MAP_FAILED);
	CHECK(mmap(fenced + PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w.memory, 0) != MAP_FAILED);
}

/* ---- the peer ---- */

/* Values that mean something there, as a rule. */
static uint64_t telling_value(void)
{
	switch (below(14)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return below(2 * SLOTS);
	case 3: return c.me.id;
	case 4: return other.me.id;
	case 5: return other.me.id | UINT64_C(0x80000000);
	case 6: return UINT64_C(1) << below(64);
	case 7: return SLOT_SIZE + below(3) - 1;
	case 8: return IN_EXTENT | below(EXTENTS + 2);
	case 9: return SMALL_ARENA - below(3) * LINES;
	case 10: return 1 << SLOT_BITS;		/* nobody's id */
	case 11: return layout_of(&w)->sent.count + below(3) - 1;
	case 12: return layout_of(&w)->received.count + below(3) - 1;
	default: return random_bits();
	}
}

static const struct area {
	uint64_t at, size;
} areas[] = {
	{ 0, offsetof(struct channel, sent) },
	{ offsetof(struct channel, sent), sizeof(struct side) },
	{ offsetof(struct channel, received), sizeof(struct side) },
	{ offsetof(struct channel, arena), 16 },
	{ offsetof(struct channel, roster), 16 },
	{ offsetof(struct channel, owners), 64 },
	{ offsetof(struct channel, extents), 16 * sizeof(struct extent) },
	{ offsetof(struct channel, blocks), SLOTS * 2 * LINES },
};

static void write_anything(void)
{
	const struct area *area = &areas[below(sizeof areas / sizeof *areas)];
	size_t width = below(2) ? 4 : 8;
	uint64_t value = telling_value(), at = area->at + below(area->size / width) * width;

	memcpy(w.mapped + at, &value, width);
}

/* A guard that is frozen costs two slices, so it is not always. */
static void thaw_guards(void)
{
	layout_of(&w)->sent.guard = layout_of(&w)->received.guard = layout_of(&w)->arena.guard = 0;
}

/* As it was at first: or nothing would ever be done again. */
static void heal(void)
{
	struct channel *ch = layout_of(&w);

	memset(&ch->sent, 0, sizeof ch->sent + sizeof ch->received + sizeof ch->arena);
	memset(ch->owners, 0, sizeof ch->owners);
	memset(ch->extents, 0, sizeof ch->extents);
	CHECK(0 < pyipc_channel_format(w.mapped, w.size, SLOTS, SLOT_SIZE, w.space[1]));
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

static void do_harm(void)
{
	if (below(16) == 0)
		heal();
	for (uint64_t i = below(4); i > 0; i--)
		write_anything();
	if (below(16))
		thaw_guards();
	if (below(4) == 0)
		steal_or_forge_tokens();
}

static pid_t one_who_does_harm_for_ever(void)
{
	pid_t child = fork_child();

	if (child == 0) {
		(void) alarm(10 * PATIENCE_S);
		for (;;) {
			do_harm();
			for (uint64_t i = below(200); i > 0; i--)
				thaw_guards();	/* and some time goes by */
		}
	}
	return child;
}

/* ---- we ---- */

static int can_be(int64_t result)
{
	return result == -ETIMEDOUT || result == -EAGAIN || result == -EBADMSG || result == -EINTR || result == -EMSGSIZE
	       || result == -ENOSPC || result == -EINVAL || result == -EPROTONOSUPPORT || (result >= 0 && result <= MOST);
}

static int64_t by(void)
{
	return now_ns() + TIMEOUT_NS;
}

static char data[SLOT_SIZE + 64];
static uint32_t sizes[MOST];

static uint32_t some_sizes(void)
{
	for (int i = 0; i < MOST; i++)
		sizes[i] = (uint32_t) below(SLOT_SIZE / MOST + 2);
	return (uint32_t) below(MOST + 1);
}

static int64_t tries_to_send(void)
{
	uint32_t messages = some_sizes();

	return pyipc_now_channel_send(&c, data, sizes, messages);
}

static int64_t tries_to_receive(void)
{
	uint32_t messages = some_sizes();

	return pyipc_now_channel_receive(&c, data, SLOT_SIZE, sizes, messages);
}

static int64_t sends(void)
{
	uint32_t messages = some_sizes();

	return pyipc_channel_send(&c, data, sizes, messages, by());
}

static int64_t receives(void)
{
	uint32_t messages = some_sizes();

	return pyipc_channel_receive(&c, data, SLOT_SIZE, sizes, messages, by());
}

static int64_t sends_long(void)
{
	static char long_data[SMALL_ARENA + 1];
	int64_t result = pyipc_channel_send_long(&c, long_data, below(2) ? below(sizeof long_data + 1) : below(300), by());

	return result == 0 ? 1 : result;
}

static int64_t reserves(void)
{
	int64_t result;

	if (loans_held == MOST_LOANS)
		return -EAGAIN;
	result = pyipc_channel_reserve(&c, below(4) ? below(3000) : below(SMALL_ARENA + 2), by(), &loans[loans_held]);
	if (result < 0)
		return result;
	memset(c.memory + loans[loans_held].at, 'r', loans[loans_held].size);
	loans_held++;
	return 1;
}

static int64_t commits(void)
{
	const struct pyipc_loan *loan = &loans[below(MOST_LOANS)];
	int64_t result;

	if (loans_held == 0)
		return -EAGAIN;
	result = pyipc_channel_commit(&c, loan, below(8) ? loan->size : any_size(), by());
	return result == 0 ? 1 : result;
}

static int64_t takes(void)
{
	struct pyipc_loan loan;
	int64_t result = pyipc_channel_take(&c, (int) below(2), by(), &loan);
	uint64_t sum = 0;

	if (result < 0)
		return result;
	for (uint64_t i = 0; i < loan.size; i++)
		sum += (unsigned char) c.memory[loan.at + i];
	CHECK(sum <= 255 * w.size);
	loans[below(MOST_LOANS)] = loan;
	return 1;
}

static int64_t releases(void)
{
	int64_t result = pyipc_arena_release(&c, below(8) ? loans[below(MOST_LOANS)].extent : (uint32_t) any_size());

	loans_held -= loans_held > 0;
	return result == 0 ? 1 : result;
}

static int64_t returns(void)
{
	int64_t result = pyipc_channel_return(&c, loans[below(MOST_LOANS)].extent);

	return result == 0 ? 1 : result;
}

static int64_t opens(void)
{
	struct pyipc_channel another = {
		.data_read = w.data[0], .data_write = w.data[1], .space_read = w.space[0], .space_write = w.space[1],
	};
	int32_t life = a_life(&w);
	int64_t result = pyipc_channel_open(&another, c.memory, w.size, life);
	uint32_t size = 1;

	if (result == 0)
		(void) pyipc_now_channel_send(&another, "o", &size, 1);
	EQUAL(0, pyipc_fd_close(&life));
	return result == 0 ? 1 : result;
}

static int64_t counts(void)
{
	CHECK(pyipc_now_channel_count(&c, (int) below(2)) >= 0);
	return pyipc_now_channel_depth(&c) <= SLOTS ? 1 : -EIO;
}

static const struct call calls[] = {
	CALL(tries_to_send), CALL(tries_to_receive), CALL(sends), CALL(receives), CALL(sends_long), CALL(reserves),
	CALL(commits), CALL(takes), CALL(releases), CALL(returns), CALL(opens), CALL(counts),
};
enum { CALLS = sizeof calls / sizeof *calls };

static void begin_world(void)
{
	make_world_with(&w, SLOTS, SMALL_ARENA);
	map_fenced();
	c = take_part(&w, 3);
	c.memory = fenced + PAGE;
	c.me.roster = c.memory + offsetof(struct channel, roster);
	other = take_part(&w, 0);
	loans_held = 0;
	memset(loans, 0, sizeof loans);
}

static void end_of_world(void)
{
	leave(&c);
	leave(&other);
	EQUAL(0, munmap(fenced, fenced_size));
	end_world(&w);
}

static void call_often(int rounds, void (*between)(void))
{
	uint64_t good[CALLS] = { 0 };

	for (int round = 0; round < rounds && check_ok == 1; round++) {
		uint64_t which = below(CALLS);
		int64_t started, result;

		(void) alarm(PATIENCE_S);
		between();
		memset(data, UNTOUCHED, sizeof data);
		started = now_ns();
		result = calls[which].call();
		good[which] += result > 0;
		CHECK(can_be(result));
		CHECK(untouched(data + SLOT_SIZE, sizeof data - SLOT_SIZE));
		CHECK(now_ns() - started < 5 * (int64_t) PYIPC_SECOND);
		if (check_ok != 1)
			printf("  round %d: %s: %lld\n", round, calls[which].name, (long long) result);
	}
	for (int i = 0; i < CALLS; i++) {
		CHECK(good[i] > 0);
		if (!good[i])
			printf("  never succeeded: %s\n", calls[i].name);
	}
}

static void whatever_a_peer_writes_calls_end_with_an_answer_that_can_be(void)
{
	begin_world();
	call_often(ROUNDS_BETWEEN, do_harm);
	end_of_world();
}

static void nothing(void)
{
}

static void and_while_they_run(void)
{
	pid_t peer;

	begin_world();
	peer = one_who_does_harm_for_ever();
	call_often(ROUNDS_DURING, nothing);
	EQUAL(1000 + SIGKILL, kill_and_reap(peer));
	end_of_world();
}

int main(int argc, char **argv)
{
	begin_at_random(argc, argv);
	(void) signal(SIGPIPE, SIG_IGN);
	RUN(whatever_a_peer_writes_calls_end_with_an_answer_that_can_be);
	RUN(and_while_they_run);
	return report();
}
