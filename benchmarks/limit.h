/* What the limits in plain C share: errors that end the program, and how time is measured. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_NS 1000000
#define MOST_BLOCKS 1000000

static void stop(const char *why)
{
    fprintf(stderr, "%s: %s\n", why, strerror(errno));
    exit(1);
}

static void wrong(void)
{
    fprintf(stderr, "what came back is not what was written\n");
    exit(1);
}

static long long must(long long result, const char *call)
{
    if (result == -1)
        stop(call);
    return result;
}

#define MUST(call) must((long long)(call), #call)

static double now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double timed(clockid_t clock, void (*block)(long), long n)
{
    double start = now(clock);

    block(n);
    return now(clock) - start;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* As worker.py does it: the median over blocks of about this many ns, by this clock. */
static double measure_by(clockid_t clock, double block_ns, void (*block)(long), double seconds)
{
    static double times[MOST_BLOCKS];
    long n = 2, count = 0;
    double end;

    while (timed(clock, block, n) < block_ns || timed(clock, block, n) < block_ns
           || timed(clock, block, n) < block_ns)
        n *= 2;
    end = now(CLOCK_MONOTONIC) + seconds * 1e9;
    while (count < MOST_BLOCKS && (count < 5 || now(CLOCK_MONOTONIC) < end))
        times[count++] = timed(clock, block, n);
    qsort(times, (size_t)count, sizeof *times, by_size);
    return (times[(count - 1) / 2] + times[count / 2]) / 2 / (double)n;
}

static inline double measure(void (*block)(long), double seconds)
{
    return measure_by(CLOCK_PROCESS_CPUTIME_ID, BLOCK_NS, block, seconds);
}
