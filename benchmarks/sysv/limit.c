/* The rows of System V in plain C: the limit of what a binding can reach.
 *
 *     limit ROW SECONDS
 */
#define _GNU_SOURCE
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "../limit.h"

#define LARGE (1 << 20)

/* Nothing is left behind: the object in use is removed on every way out. */
static int id = -1, (*remove_object)(int);

static int remove_segment(int i) { return shmctl(i, IPC_RMID, NULL); }
static int remove_set(int i) { return semctl(i, 0, IPC_RMID); }
static int remove_queue(int i) { return msgctl(i, IPC_RMID, NULL); }

static void finish(void)
{
    if (id >= 0)
        remove_object(id);
}

static void use(int object, int (*remove)(int))
{
    id = object;
    remove_object = remove;
}

static char small[2][64], large[2][LARGE], copied[LARGE];
static char *memory;
static size_t size;
static const struct timespec one_second = {1, 0};

static void copy(const char *from)
{
    memcpy(memory, from, size);
    __asm__ volatile("" ::: "memory"); /* both copies are made */
    memcpy(copied, memory, size);
    __asm__ volatile("" ::: "memory");
}

static void copy_64(long n)
{
    size = 64;
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            copy(small[k]);
            if (memcmp(copied, small[k], 64) != 0)
                wrong();
        }
}

static void copy_1m(long n)
{
    size = LARGE;
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            copy(large[k]);
            if (copied[LARGE - 1] != large[k][LARGE - 1])
                wrong();
        }
    if (memcmp(copied, large[1], LARGE) != 0)
        wrong();
}

static void operate(long n, size_t count, const struct timespec *timeout)
{
    struct sembuf up[3], down[3];
    unsigned short values[3];

    for (size_t i = 0; i < 3; i++) {
        up[i] = (struct sembuf){(unsigned short)i, 1, 0};
        down[i] = (struct sembuf){(unsigned short)i, -1, 0};
    }
    for (long i = 0; i < n; i++) {
        MUST(semop(id, up, count));
        MUST(timeout ? semtimedop(id, down, count, timeout) : semop(id, down, count));
    }
    MUST(semop(id, up, count));
    MUST(semctl(id, 0, GETALL, values));
    for (size_t i = 0; i < count; i++)
        if (values[i] != 1)
            wrong();
    MUST(semop(id, down, count));
}

static void semop_one(long n) { operate(n, 1, NULL); }
static void semop_three(long n) { operate(n, 3, NULL); }
static void timed_semop(long n) { operate(n, 1, &one_second); }

static void message_64(long n)
{
    struct {
        long type;
        char text[64];
    } out[2], in;

    for (int k = 0; k < 2; k++) {
        out[k].type = 1;
        memcpy(out[k].text, small[k], 64);
    }
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            MUST(msgsnd(id, &out[k], 64, 0));
            MUST(msgrcv(id, &in, 64, 0, 0));
            if (memcmp(in.text, small[k], 64) != 0)
                wrong();
        }
}

static void attach(long n, int read)
{
    for (long i = 0; i < n; i++) {
        const char *at = (const char *)MUST(shmat(id, NULL, 0));
        if (read || i == 0) {
            memcpy(copied, at, 64);
            if (memcmp(copied, small[0], 64) != 0)
                wrong();
        }
        MUST(shmdt(at));
    }
}

static void attach_only(long n) { attach(n, 0); }
static void attach_read(long n) { attach(n, 1); }

static void create_segment(long n)
{
    while (n--)
        MUST(remove_segment((int)MUST(shmget(IPC_PRIVATE, 4096, 0600))));
}

static void create_set(long n)
{
    while (n--)
        MUST(remove_set((int)MUST(semget(IPC_PRIVATE, 1, 0600))));
}

static void create_queue(long n)
{
    while (n--)
        MUST(remove_queue((int)MUST(msgget(IPC_PRIVATE, 0600))));
}

static void need_segment(void)
{
    use((int)MUST(shmget(IPC_PRIVATE, LARGE, 0600)), remove_segment);
    memory = (char *)MUST(shmat(id, NULL, 0));
    memset(memory, 0, LARGE);
}

static void need_detached(void)
{
    need_segment();
    memcpy(memory, small[0], 64);
    MUST(shmdt(memory));
}

static void need_set(void) { use((int)MUST(semget(IPC_PRIVATE, 3, 0600)), remove_set); }
static void need_queue(void) { use((int)MUST(msgget(IPC_PRIVATE, 0600)), remove_queue); }
static void need_nothing(void) {}

static const struct {
    const char *name;
    void (*prepare)(void), (*block)(long);
} rows[] = {
    {"semop-one", need_set, semop_one},
    {"semop-three", need_set, semop_three},
    {"semtimedop", need_set, timed_semop},
    {"copy-64", need_segment, copy_64},
    {"view-64", need_segment, copy_64},
    {"copy-1m", need_segment, copy_1m},
    {"message-64", need_queue, message_64},
    {"attach", need_detached, attach_only},
    {"attach-read", need_detached, attach_read},
    {"attach-id", need_detached, attach_only},
    {"create-segment", need_nothing, create_segment},
    {"create-set", need_nothing, create_set},
    {"create-queue", need_nothing, create_queue},
};

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: limit ROW SECONDS\n");
        return 2;
    }
    for (int i = 0; i < 64; i++) {
        small[0][i] = (char)i;
        small[1][i] = (char)(i + 64);
    }
    for (int i = 0; i < LARGE; i++) {
        large[0][i] = (char)i;
        large[1][i] = (char)(255 - i);
    }
    atexit(finish);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, argv[1]) == 0) {
            rows[i].prepare();
            printf("{\"\": %.3f}\n", measure(rows[i].block, atof(argv[2])));
            return 0;
        }
    fprintf(stderr, "no row %s\n", argv[1]);
    return 2;
}
