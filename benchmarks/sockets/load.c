/* Short connections over TCP on the loopback: who makes them, and the plainest servers of them.
 *
 *   load client PORT COUNT     COUNT connections, by four threads; each sends 16 bytes and reads them back
 *   load serial|fork|prefork   serves them; prints its port, ends with SIGTERM, its children with it
 */

#define _GNU_SOURCE /* accept4() */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, SIZE = 16, WORKERS = 2, BACKLOG = 4096 };

static struct sockaddr_in address = {.sin_family = AF_INET};

static int
answered(uint64_t number)
{
    char asked[SIZE + 1], answer[SIZE];
    snprintf(asked, sizeof asked, "%016llx", (unsigned long long) number);
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *) &address, sizeof address) != 0
        || send(sock, asked, SIZE, MSG_NOSIGNAL) != SIZE)
        return 0;
    size_t came = 0;
    for (;;) {
        char more;
        ssize_t got = came < SIZE ? recv(sock, answer + came, SIZE - came, 0) : recv(sock, &more, 1, 0);
        if (got < 0 || (got > 0 && came == SIZE))
            return 0;
        if (got == 0)
            break;
        came += (size_t) got;
    }
    close(sock);
    return came == SIZE && memcmp(asked, answer, SIZE) == 0;
}

static long each;

static void *
ask(void *which)
{
    uint64_t number = (uint64_t) (uintptr_t) which << 32;
    for (long i = 0; i < each; i++)
        if (!answered(number + (uint64_t) i))
            return "wrong";
    return NULL;
}

static int
client(int port, long count)
{
    pthread_t threads[THREADS];
    int wrong = 0;
    address.sin_port = htons((uint16_t) port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    each = count / THREADS;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask, (void *) i) != 0)
            return 2;
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong |= result != NULL;
    }
    return wrong;
}

static void
serve(int sock)
{
    char text[SIZE];
    size_t came = 0;
    while (came < SIZE) {
        ssize_t got = recv(sock, text + came, SIZE - came, 0);
        if (got <= 0)
            break;
        came += (size_t) got;
    }
    if (send(sock, text, came, MSG_NOSIGNAL) < 0)
        perror("send");
    close(sock);
}

static void
serve_all(int listener)
{
    for (;;) {
        int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (sock >= 0)
            serve(sock);
    }
}

static void
serve_by_children(int listener)
{
    signal(SIGCHLD, SIG_IGN); /* nobody is waited for */
    for (;;) {
        int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (sock < 0)
            continue;
        pid_t child = fork();
        if (child == 0) {
            serve(sock);
            _exit(0);
        }
        close(sock);
    }
}

static void
serve_by_workers(int listener)
{
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_all(listener);
        }
    for (;;)
        pause();
}

int
main(int count, char **words)
{
    if (count == 4 && strcmp(words[1], "client") == 0)
        return client(atoi(words[2]), atol(words[3]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (count != 2 || bind(listener, (struct sockaddr *) &address, sizeof address) != 0
        || listen(listener, BACKLOG) != 0
        || getsockname(listener, (struct sockaddr *) &address, &size) != 0)
        return 2;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    if (strcmp(words[1], "fork") == 0)
        serve_by_children(listener);
    else if (strcmp(words[1], "prefork") == 0)
        serve_by_workers(listener);
    serve_all(listener);
}
