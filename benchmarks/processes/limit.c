/* Starting a program in plain C: vfork(2), execve(2) and waitpid(2), and nothing else.
 *
 *     limit ROW SECONDS
 *
 * With BALLAST in the environment, from a process that has so many bytes.
 */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../limit.h"

extern char **environ;

static void spawn(void)
{
    char *words[] = { "/bin/true", NULL };
    pid_t pid = (pid_t)MUST(vfork());
    int status;

    if (pid == 0) {
        execve(words[0], words, environ);
        _exit(127);
    }
    MUST(waitpid(pid, &status, 0));
    if (status)
        wrong();
}

static void block(long n)
{
    while (n--)
        spawn();
}

static double of(int who)
{
    struct rusage use;

    MUST(getrusage(who, &use));
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e9
           + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e3;
}

/* As worker.py has it: the time of its children belongs to it. */
static double used(void)
{
    return of(RUSAGE_SELF) + of(RUSAGE_CHILDREN);
}

int main(int argc, char **argv)
{
    static double times[MOST_BLOCKS];
    long count = 0, n = 4;
    const char *ballast = getenv("BALLAST");
    size_t size = ballast ? (size_t)atoll(ballast) : 0;
    char *memory = malloc(size + 1);
    double end;

    if (argc != 3 || !memory) {
        fprintf(stderr, "usage: limit ROW SECONDS\n");
        return 2;
    }
    memset(memory, 1, size + 1);
    block(3 * n);
    end = now(CLOCK_MONOTONIC) + atof(argv[2]) * 1e9;
    while (count < MOST_BLOCKS && (count < 5 || now(CLOCK_MONOTONIC) < end)) {
        double start = used();

        block(n);
        times[count++] = used() - start;
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf("{\"\": %.3f}\n", times[count / 2] / (double)n);
    return memory[size] != 1;
}
