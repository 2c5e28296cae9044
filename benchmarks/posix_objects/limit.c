/* The rows of POSIX objects in plain C: the limit of what a binding can reach.
 *
 *     limit ROW SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../limit.h"

#define LARGE 8192

/* Nothing is left behind: the name in use is removed on every way out. */
static char name[64];
static int (*remove_object)(const char *);

static void finish(void)
{
    if (remove_object)
        remove_object(name);
}

static char small[2][64], large[2][LARGE], received[LARGE];
static sem_t *semaphore;
static mqd_t queue;
static int memory;
static char *mapped;

static void give_and_take(long n, int timed)
{
    int value;

    for (long i = 0; i < n; i++) {
        MUST(sem_post(semaphore));
        if (timed) {
            struct timespec end;

            clock_gettime(CLOCK_REALTIME, &end);
            end.tv_sec++;
            MUST(sem_timedwait(semaphore, &end));
        } else {
            MUST(sem_wait(semaphore));
        }
    }
    MUST(sem_getvalue(semaphore, &value));
    if (value != 0)
        wrong();
}

static void sem_plain(long n) { give_and_take(n, 0); }
static void sem_timed(long n) { give_and_take(n, 1); }

static void messages(long n, const char *first, const char *second, size_t size)
{
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            const char *sent = k == 0 ? first : second;

            MUST(mq_send(queue, sent, size, 0));
            if (MUST(mq_receive(queue, received, LARGE, NULL)) != (long long)size
                || memcmp(received, sent, size) != 0)
                wrong();
        }
}

static void mq_64(long n) { messages(n, small[0], small[1], 64); }
static void mq_8k(long n) { messages(n, large[0], large[1], LARGE); }

static void shm_64(long n)
{
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            MUST(pwrite(memory, small[k], 64, 0));
            MUST(pread(memory, received, 64, 0));
            if (memcmp(received, small[k], 64) != 0)
                wrong();
        }
}

static void view_64(long n)
{
    for (long i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            memcpy(mapped, small[k], 64);
            __asm__ volatile("" ::: "memory"); /* both copies are made */
            memcpy(received, mapped, 64);
            __asm__ volatile("" ::: "memory");
            if (memcmp(received, small[k], 64) != 0)
                wrong();
        }
}

static sem_t *new_semaphore(void)
{
    sem_t *made = sem_open(name, O_CREAT | O_EXCL, 0600, 0);

    if (made == SEM_FAILED)
        stop("sem_open");
    return made;
}

static int new_memory(void)
{
    int made = (int)MUST(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));

    MUST(ftruncate(made, 4096));
    return made;
}

static mqd_t new_queue(void)
{
    struct mq_attr room = {.mq_maxmsg = 10, .mq_msgsize = LARGE};

    return (mqd_t)MUST(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &room));
}

static void create_shm(long n)
{
    while (n--) {
        MUST(close(new_memory()));
        MUST(shm_unlink(name));
    }
}

static void create_sem(long n)
{
    while (n--) {
        MUST(sem_close(new_semaphore()));
        MUST(sem_unlink(name));
    }
}

static void create_mq(long n)
{
    while (n--) {
        MUST(mq_close(new_queue()));
        MUST(mq_unlink(name));
    }
}

static void need_semaphore(void)
{
    semaphore = new_semaphore();
    remove_object = sem_unlink;
}

static void need_queue(void)
{
    queue = new_queue();
    remove_object = mq_unlink;
}

static void need_memory(void)
{
    memory = new_memory();
    remove_object = shm_unlink;
    mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED)
        stop("mmap");
}

static void need_nothing(void) {}

static const struct {
    const char *name;
    void (*prepare)(void), (*block)(long);
} rows[] = {
    {"posix-sem", need_semaphore, sem_plain},
    {"posix-sem-timed", need_semaphore, sem_timed},
    {"posix-mq-64", need_queue, mq_64},
    {"posix-mq-8k", need_queue, mq_8k},
    {"posix-shm-64", need_memory, shm_64},
    {"posix-view-64", need_memory, view_64},
    {"posix-create-shm", need_nothing, create_shm},
    {"posix-create-sem", need_nothing, create_sem},
    {"posix-create-mq", need_nothing, create_mq},
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
    snprintf(name, sizeof name, "/pyipc-bench-%ld", (long)getpid());
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
