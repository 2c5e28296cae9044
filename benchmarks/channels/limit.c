/* Channels by the core alone, without Python: what remains is the binding.
 *
 *     limit ROW SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../../csrc/internal.h"
#include "../limit.h"

#define ACROSS_BLOCK_NS 5000000
#define MIB (1 << 20)
#define PAGE 4096

enum { SPINS = 500, SLOTS = 256, BATCH = 64, SENDERS = 4, LARGE = 4, MOST_ROOM = 16384 };

struct world {
    int32_t memory, data[2], space[2];
    char *mapped;
    uint64_t size;
};

struct row {
    const char *id;
    void (*first)(long), (*second)(long);
    uint32_t size;
    char place;             /* of the CPUs: 'a'part, 'f'ree, 'o'ne */
    int senders;
};

static struct world there, back;
static struct pyipc_channel out, in;
static const struct row *row;
static char *payloads[2];
static int orders[SENDERS][2], answers[2], others;

static int64_t expect(int64_t result, int64_t wanted, const char *call)
{
    if (result != wanted) {
        fprintf(stderr, "%s gave %lld\n", call, (long long)result);
        exit(1);
    }
    return result;
}

#define EXPECT(wanted, call) expect((int64_t)(call), wanted, #call)

/* Python calls again, too. */
#define AGAIN(call) ({ \
    int64_t result_; \
    do \
        result_ = (call); \
    while (result_ == -EINTR); \
    result_; \
})

static int64_t forever(void)
{
    return INT64_MAX;
}

/* ---- a channel ---- */

static void make(struct world *w, uint32_t slot_size, uint64_t capacity)
{
    w->size = (uint64_t)pyipc_channel_memory(SLOTS, slot_size, capacity);
    EXPECT(0, pyipc_memory_create(w->size, 0, &w->memory));
    w->mapped = (char *)pyipc_map(w->memory, w->size, PYIPC_MAP_WRITABLE);
    MUST(pipe2(w->data, O_CLOEXEC | O_NONBLOCK));
    MUST(pipe2(w->space, O_CLOEXEC | O_NONBLOCK));
    if (pyipc_channel_format(w->mapped, w->size, SLOTS, slot_size, w->space[1]) < 0)
        stop("cannot make a channel");
}

static struct pyipc_channel part(const struct world *w)
{
    struct pyipc_channel c = {
        .me = { .spins = SPINS },
        .data_read = w->data[0], .data_write = w->data[1],
        .space_read = w->space[0], .space_write = w->space[1],
    };
    char path[64];
    int32_t life = -1;

    snprintf(path, sizeof path, "/proc/self/fd/%d", w->memory);
    EXPECT(0, pyipc_fd_open(path, O_RDWR, &life));
    EXPECT(0, pyipc_channel_open(&c, w->mapped, w->size, life));
    return c;
}

/* ---- messages of slots ---- */

static uint32_t send_some(const char *data, const uint32_t *sizes, uint32_t count)
{
    int64_t result = pyipc_now_channel_send(&out, data, sizes, count);

    if (result == -EAGAIN)
        result = AGAIN(pyipc_channel_send(&out, data, sizes, count, forever()));
    if (result <= 0)
        EXPECT(1, result);
    return (uint32_t)result;
}

static uint32_t receive_some(char *data, uint64_t room, uint32_t *sizes, uint32_t count)
{
    int64_t result = pyipc_now_channel_receive(&in, data, room, sizes, count);

    if (result == -EAGAIN)
        result = AGAIN(pyipc_channel_receive(&in, data, room, sizes, count, forever()));
    if (result <= 0)
        EXPECT(1, result);
    return (uint32_t)result;
}

static void check(const char *data, uint32_t size, const char *wanted)
{
    if (size != row->size || memcmp(data, wanted, size))
        wrong();
}

static void send_each(long n)
{
    for (long i = 0; i < n; i++)
        send_some(payloads[i & 1], &row->size, 1);
}

static void receive_each(long n)
{
    char data[MOST_ROOM];
    uint32_t size;

    for (long i = 0; i < n; i++) {
        receive_some(data, row->size, &size, 1);
        check(data, size, payloads[i & 1]);
    }
}

static void ask(long n)
{
    char data[MOST_ROOM];
    uint32_t size;

    for (long i = 0; i < n; i++) {
        send_some(payloads[i & 1], &row->size, 1);
        receive_some(data, row->size, &size, 1);
        check(data, size, payloads[i & 1]);
    }
}

static void answer(long n)
{
    char data[MOST_ROOM];
    uint32_t size;

    while (n--) {
        receive_some(data, row->size, &size, 1);
        send_some(data, &size, 1);
    }
}

static void send_batches(long n)
{
    static char data[BATCH * 1024];
    static uint32_t sizes[BATCH];

    for (uint32_t i = 0; i < BATCH; i++) {
        memcpy(data + i * row->size, payloads[i & 1], row->size);
        sizes[i] = row->size;
    }
    while (n--)
        for (uint32_t sent = 0; sent < BATCH;)
            sent += send_some(data + sent * row->size, sizes, BATCH - sent);
}

static void check_either(const char *data, uint32_t size)
{
    if (size != row->size || (memcmp(data, payloads[0], size) && memcmp(data, payloads[1], size)))
        wrong();
}

static void receive_batches(long n)
{
    char data[MOST_ROOM];
    uint32_t sizes[2 * BATCH];
    long left = n * row->senders * BATCH, at = 0;

    while (left > 0) {
        uint32_t count = receive_some(data, sizeof data, sizes, 2 * BATCH);

        for (uint32_t i = 0; i < count; i++, at++)
            if (row->senders == 1)
                check(data + i * row->size, sizes[i], payloads[at & 1]);
            else
                check_either(data + i * row->size, sizes[i]);
        left -= count;
    }
}

static void receive_from_many(long n)
{
    char data[MOST_ROOM];
    uint32_t size;

    for (n *= row->senders; n--;) {
        receive_some(data, row->size, &size, 1);
        check_either(data, size);
    }
}

/* ---- large ones ---- */

static char mark(long which, uint32_t at)
{
    return (char)(at / PAGE * 7 + which);
}

static void fill(char *data, long which)
{
    for (uint32_t at = 0; at < row->size; at += PAGE)
        data[at] = mark(which, at);
}

static void send_large(long n)
{
    for (long i = 0; i < n; i++)
        EXPECT(0, AGAIN(pyipc_channel_send_long(&out, payloads[i & 1], row->size, forever())));
}

static void lend(long n)
{
    struct pyipc_loan loan;

    for (long i = 0; i < n; i++) {
        EXPECT(0, AGAIN(pyipc_channel_reserve(&out, row->size, forever(), &loan)));
        fill(out.memory + loan.at, i & 1);
        EXPECT(0, AGAIN(pyipc_channel_commit(&out, &loan, row->size, forever())));
    }
}

static void look(long n)
{
    struct pyipc_loan loan;

    for (long i = 0; i < n; i++) {
        EXPECT(0, AGAIN(pyipc_channel_take(&in, 1, forever(), &loan)));
        for (uint32_t at = 0; at < row->size; at += PAGE)
            if (in.memory[loan.at + at] != mark(i & 1, at))
                wrong();
        EXPECT(0, pyipc_now_channel_acknowledge(&in, loan.extent));
        EXPECT(0, pyipc_now_channel_drop(&in, loan.extent));
    }
}

/* ---- the rows, and the processes ---- */

static const struct row rows[] = {
    { "trip-64", ask, answer, 64, 'a', 1 },
    { "trip-64-free", ask, answer, 64, 'f', 1 },
    { "trip-64-one-cpu", ask, answer, 64, 'o', 1 },
    { "trip-64-polling", ask, answer, 64, 'a', 1 },
    { "stream-64", send_each, receive_each, 64, 'a', 1 },
    { "stream-1k", send_each, receive_each, 1024, 'a', 1 },
    { "stream-64-batch", send_batches, receive_batches, 64, 'a', 1 },
    { "stream-1k-batch", send_batches, receive_batches, 1024, 'a', 1 },
    { "fan-in-64", receive_from_many, send_each, 64, 'a', SENDERS },
    { "fan-in-64-batch", receive_batches, send_batches, 64, 'a', SENDERS },
    { "payload-1m", send_large, look, MIB, 'a', 1 },
    { "payload-64m", send_large, look, 64 * MIB, 'a', 1 },
    { "in-place-1m", lend, look, MIB, 'a', 1 },
    { "in-place-64m", lend, look, 64 * MIB, 'a', 1 },
};

static void pin(int last)
{
    cpu_set_t all, one;
    int cpu = last ? CPU_SETSIZE - 1 : 0;

    if (row->place == 'f')
        return;
    MUST(sched_getaffinity(0, sizeof all, &all));
    while (!CPU_ISSET(cpu, &all))
        cpu += last ? -1 : 1;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
}

/* The receiver's channel is the sender's, but the first half asks by one and is answered by another. */
static void take_part(int is_first)
{
    const struct world *to = &there, *from = &there;

    if (row->first == ask) {
        to = is_first ? &there : &back;
        from = is_first ? &back : &there;
    }
    out = part(to);
    in = to == from ? out : part(from);
}

static void obey(int i)
{
    long n;

    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
    pin(1);
    take_part(0);
    MUST(write(answers[1], "x", 1));
    while (read(orders[i][0], &n, sizeof n) == sizeof n) {
        row->second(n);
        MUST(write(answers[1], "x", 1));
    }
    exit(1);
}

static void wait_for_others(void)
{
    char done;

    for (int i = 0; i < others; i++)
        if (read(answers[0], &done, 1) != 1)
            wrong();
}

static void across(long n)
{
    for (int i = 0; i < others; i++)
        MUST(write(orders[i][1], &n, sizeof n));
    row->first(n);
    wait_for_others();
}

static void start_others(void)
{
    MUST(pipe(answers));
    for (others = 0; others < row->senders; others++) {
        MUST(pipe(orders[others]));
        if (MUST(fork()) == 0)
            obey(others);
    }
    MUST(close(answers[1]));
    pin(row->place == 'o');
    take_part(1);
    wait_for_others();
}

static const struct row *row_of(const char *id)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].id, id) == 0)
            return &rows[i];
    fprintf(stderr, "no row %s\n", id);
    exit(2);
}

static void make_payloads(void)
{
    for (int which = 0; which < 2; which++) {
        payloads[which] = malloc(row->size);
        if (!payloads[which])
            stop("malloc");
        for (uint32_t i = 0; i < row->size; i++)
            payloads[which][i] = (char)(i + (uint32_t)which * 64);
        if (row->size >= MIB)
            fill(payloads[which], which);
    }
}

int main(int argc, char **argv)
{
    uint32_t slot_size;

    if (argc != 3) {
        fprintf(stderr, "usage: limit ROW SECONDS\n");
        return 2;
    }
    row = row_of(argv[1]);
    make_payloads();
    slot_size = row->size < MIB ? row->size : 1024;
    make(&there, slot_size, row->size < MIB ? 0 : (uint64_t)LARGE * row->size);
    make(&back, slot_size, 0);
    start_others();
    printf("{\"\": %.3f}\n", measure_by(CLOCK_MONOTONIC, ACROSS_BLOCK_NS, across, atof(argv[2])));
    return 0;
}
