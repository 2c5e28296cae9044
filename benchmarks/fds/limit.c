/* Passing descriptors in plain C: the limit of what a binding can reach.
 *
 *     limit ROW SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../limit.h"

#define MANY 64
#define ACROSS_BLOCK_NS 5000000

static int pair[2], file, batch, orders[2], answers[2];
static ino_t inode;

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(MANY * sizeof(int))];
};

static void send_batch(void)
{
    union control control;
    struct iovec part = { "x", 1 };
    struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };

    head.msg_controllen = CMSG_SPACE((size_t)batch * sizeof(int));
    control.head = (struct cmsghdr){ CMSG_LEN((size_t)batch * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
    for (int i = 0; i < batch; i++)
        ((int *)CMSG_DATA(&control.head))[i] = file;
    MUST(sendmsg(pair[0], &head, MSG_NOSIGNAL));
}

static void receive_batch(void)
{
    union control control;
    char byte;
    struct iovec part = { &byte, 1 };
    struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };
    struct stat stat;
    int *fds = (int *)CMSG_DATA(&control.head);

    head.msg_controllen = sizeof control;
    MUST(recvmsg(pair[1], &head, MSG_CMSG_CLOEXEC));
    if (control.head.cmsg_len != CMSG_LEN((size_t)batch * sizeof(int)))
        wrong();
    MUST(fstat(fds[0], &stat));
    if (stat.st_ino != inode)
        wrong();
    for (int i = 0; i < batch; i++)
        MUST(close(fds[i]));
}

static void both(long n)
{
    while (n--) {
        send_batch();
        receive_batch();
    }
}

static void pin(int last)
{
    cpu_set_t all, one;
    int cpu = last ? CPU_SETSIZE - 1 : 0;

    MUST(sched_getaffinity(0, sizeof all, &all));
    while (!CPU_ISSET(cpu, &all))
        cpu += last ? -1 : 1;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
}

static void across(long n)
{
    char done;

    MUST(write(orders[1], &n, sizeof n));
    for (long i = 0; i < n; i++)
        send_batch();
    if (read(answers[0], &done, 1) != 1)
        wrong();
}

static void start_receiver(void)
{
    long n;

    MUST(pipe(orders));
    MUST(pipe(answers));
    if (MUST(fork())) {
        MUST(close(answers[1]));
        pin(0);
        return;
    }
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
    MUST(close(orders[1]));
    pin(1);
    while (read(orders[0], &n, sizeof n) == sizeof n) {
        while (n--)
            receive_batch();
        MUST(write(answers[1], "x", 1));
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    struct stat stat;

    if (argc != 3) {
        fprintf(stderr, "usage: limit ROW SECONDS\n");
        return 2;
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    file = (int)MUST(memfd_create("limit", 0));
    MUST(fstat(file, &stat));
    inode = stat.st_ino;
    batch = strncmp(argv[1], "fd-one", 6) ? MANY : 1;
    if (strstr(argv[1], "-across")) {
        start_receiver();
        printf("{\"\": %.3f}\n", measure_by(CLOCK_MONOTONIC, ACROSS_BLOCK_NS, across, atof(argv[2])));
    } else {
        printf("{\"\": %.3f}\n", measure(both, atof(argv[2])));
    }
    return 0;
}
