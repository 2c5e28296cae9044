/* SPDX-License-Identifier: MIT
 *
 * pyipc_core.h -- the whole interface of the C core.
 *
 * The region between the two cdef marks is what cffi parses, so Python and the C compiler read
 * one text: only plain declarations there, fixed-width fields, no preprocessor, no kernel types.
 *
 * Every function returns a value >= 0 or -errno and touches its ret_ arguments only on success.
 * Times are nanoseconds on CLOCK_MONOTONIC; a deadline is a point on it, never a span.
 * None retries after EINTR: that answer goes up to Python, which runs its signal handlers and
 * calls again.
 *
 * A name that begins with pyipc_now_ promises to return at once: such a function never waits,
 * maps, unmaps, reserves or frees, and it is called with the GIL held (build_core.py).
 */
#ifndef PYIPC_CORE_H
#define PYIPC_CORE_H

#include <stdint.h>

/* cdef: begin */

/* One second, the unit of every ..._ns below. */
enum { PYIPC_SECOND = 1000000000 };

/* ---- memory that is already mapped (mapping.c) ---- */

enum { PYIPC_MAP_WRITABLE = 1, PYIPC_MAP_PRIVATE = 2 };

int pyipc_copy(char *to, const char *from, uint64_t size);
int pyipc_populate(char *address, uint64_t size);
int64_t pyipc_map(int fd, uint64_t size, int flags);
int pyipc_unmap(char *address, uint64_t size);

/* ---- threads that wait in the kernel (interrupt.c) ---- */

int pyipc_interrupt(int thread_id);

/* ---- one who takes part in shared memory, as it knows itself (roster.c) ---- */

struct pyipc_member {
    char *roster;
    int32_t life;
    uint32_t id;
    int32_t spins;
    int32_t pid;
};

int pyipc_member_join(struct pyipc_member *me, char *roster, int32_t life);
int pyipc_member_forked(struct pyipc_member *me);

/* ---- channels (channel.c, channel_layout.c, channel_loans.c) ---- */

enum { PYIPC_CHANNEL_EXTENTS = 256 };

/* A handle, of one process. */
struct pyipc_channel {
    struct pyipc_member me;
    char *memory;
    uint32_t slots, slot_size, mask;
    uint64_t arena_at, arena_size, spares_size;
    uint64_t reserved;
    int32_t data_read, data_write, space_read, space_write;
    int64_t looked_ns, scanned_ns, hungry_ns, sleep_ns, waited_ns;
    uint64_t spins, sleeps, recoveries;
};

/* A part of the arena that is ours: to fill, or a message. */
struct pyipc_loan {
    uint64_t at, size;
    uint32_t extent;
    uint32_t redelivered;
};

int64_t pyipc_channel_memory(uint32_t slots, uint32_t slot_size, uint64_t arena);
int64_t pyipc_channel_format(char *memory, uint64_t size, uint32_t slots, uint32_t slot_size, int space_write);
int pyipc_channel_open(struct pyipc_channel *c, char *memory, uint64_t size, int32_t life);
int64_t pyipc_now_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages);
int64_t pyipc_now_channel_send_each(struct pyipc_channel *c, const char *const *each, const uint32_t *sizes,
                                    uint32_t messages);
int64_t pyipc_now_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
                                  uint32_t messages);
int64_t pyipc_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages,
                           int64_t deadline_ns);
int64_t pyipc_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
                              uint32_t messages, int64_t deadline_ns);
int64_t pyipc_channel_send_long(struct pyipc_channel *c, const char *data, uint64_t size, int64_t deadline_ns);
int pyipc_channel_reserve(struct pyipc_channel *c, uint64_t size, int64_t deadline_ns, struct pyipc_loan *ret_loan);
int pyipc_channel_commit(struct pyipc_channel *c, const struct pyipc_loan *loan, uint64_t size, int64_t deadline_ns);
int pyipc_channel_take(struct pyipc_channel *c, int kept, int64_t deadline_ns, struct pyipc_loan *ret_loan);
int pyipc_channel_watch(struct pyipc_channel *c);
int pyipc_now_channel_look(struct pyipc_channel *c, int for_data);
int pyipc_channel_until(struct pyipc_channel *c, int for_data, int64_t deadline_ns);
int pyipc_now_channel_acknowledge(struct pyipc_channel *c, uint32_t extent);
int pyipc_now_channel_drop(struct pyipc_channel *c, uint32_t extent);
int pyipc_now_channel_drop_loan(struct pyipc_channel *c, const struct pyipc_loan *loan, const char *memory);
int pyipc_channel_return(struct pyipc_channel *c, uint32_t extent);
int pyipc_now_channel_done(struct pyipc_channel *c);
int pyipc_channel_join(struct pyipc_channel *c, int64_t deadline_ns);
int64_t pyipc_now_channel_depth(const struct pyipc_channel *c);
int64_t pyipc_now_channel_count(const struct pyipc_channel *c, int received);

/* ---- locks and their like in shared memory (sync.c, lock.c, semaphore.c, event.c, condition.c, barrier.c,
 * rwlock.c); since_ns is when a wait began, in however many calls it is made; ret_taken becomes 1 ---- */

enum {
    PYIPC_LOCK,
    PYIPC_SEMAPHORE,
    PYIPC_EVENT,
    PYIPC_CONDITION,
    PYIPC_BARRIER,
    PYIPC_RWLOCK,
};
enum {
    PYIPC_SYNC_RECURSIVE = 1,
    PYIPC_SYNC_STRICT = 2,
    PYIPC_SYNC_UNDO = 4,
    PYIPC_SYNC_BOUNDED = 8,
};
enum { PYIPC_MOST_PARTIES = 1 << 20 };

struct pyipc_sync {
    struct pyipc_member me;
    char *memory;
    uint32_t kind, flags, value;
    int32_t spins;
    uint64_t thread;
    uint32_t depth, recovered;
    uint64_t recoveries;
};

int64_t pyipc_now_sync_size(uint32_t kind, uint32_t value);
int pyipc_now_sync_format(char *memory, uint64_t size, uint32_t kind, uint32_t flags, uint32_t value);
int pyipc_sync_open(struct pyipc_sync *s, char *memory, uint64_t size, int32_t life, uint32_t kind);

int pyipc_now_lock_try(struct pyipc_sync *s);
int pyipc_lock_acquire(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns);
int pyipc_lock_recover(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns);
int pyipc_now_lock_release(struct pyipc_sync *s);
int pyipc_now_lock_depth(const struct pyipc_sync *s);
int pyipc_now_lock_recovered(const struct pyipc_sync *s);
int pyipc_now_lock_held(const struct pyipc_sync *s);

int pyipc_now_semaphore_try(struct pyipc_sync *s);
int pyipc_semaphore_acquire(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns);
int pyipc_now_semaphore_release(struct pyipc_sync *s);
int pyipc_semaphore_release(struct pyipc_sync *s, int64_t deadline_ns);
int64_t pyipc_semaphore_value(struct pyipc_sync *s, int64_t deadline_ns);

int64_t pyipc_now_event_count(const struct pyipc_sync *s);
int pyipc_now_event_set(struct pyipc_sync *s);
int pyipc_now_event_clear(struct pyipc_sync *s);
int pyipc_event_wait(struct pyipc_sync *s, uint32_t seen, int64_t since_ns, int64_t deadline_ns);

int pyipc_condition_enlist(struct pyipc_sync *s, int32_t *ret_place, int64_t deadline_ns);
int pyipc_condition_sleep(struct pyipc_sync *s, int32_t *place, int64_t since_ns, int64_t deadline_ns);
int pyipc_condition_delist(struct pyipc_sync *s, int32_t *place, int64_t deadline_ns);
int pyipc_condition_notify(struct pyipc_sync *s, uint32_t most, int64_t deadline_ns);

struct pyipc_arrival {
    uint32_t generation;
    int32_t place, acts, passed;
};

int pyipc_barrier_arrive(struct pyipc_sync *s, int acts, struct pyipc_arrival *ret_arrival, int64_t since_ns,
                         int64_t deadline_ns);
int pyipc_barrier_wait(struct pyipc_sync *s, uint32_t generation, int64_t since_ns, int64_t deadline_ns);
int pyipc_barrier_acted(struct pyipc_sync *s, uint32_t generation, int well, int64_t deadline_ns);
int pyipc_barrier_leave(struct pyipc_sync *s, const struct pyipc_arrival *arrival, int64_t deadline_ns);
int pyipc_barrier_abort(struct pyipc_sync *s, int64_t deadline_ns);
int pyipc_barrier_reset(struct pyipc_sync *s, int64_t deadline_ns);
int pyipc_now_barrier_broken(const struct pyipc_sync *s);
int pyipc_barrier_waiting(struct pyipc_sync *s, int64_t deadline_ns);

int pyipc_rwlock_acquire(struct pyipc_sync *s, int write, int32_t *ret_taken, int64_t since_ns,
                         int64_t deadline_ns);
int pyipc_now_rwlock_release(struct pyipc_sync *s, int write);
int pyipc_rwlock_release(struct pyipc_sync *s, int write, int64_t deadline_ns);
int pyipc_now_rwlock_recovered(const struct pyipc_sync *s);

/* ---- what knows Python (hot_calls.c, python_descriptors.c, python_messages.c, python_locks.c,
 * python_scopes.c) ---- */

int pyipc_now_add_hot_calls(void);
int pyipc_now_add_descriptors(void);
int pyipc_now_add_lock_calls(void);
int pyipc_now_add_scopes(void);

/* ---- what all three System V families share ---- */

struct pyipc_owner {
    int32_t key;
    uint32_t uid, gid, creator_uid, creator_gid;
    uint32_t mode;
};

/* ---- System V segments (sysv_shm.c) ---- */

enum {
    PYIPC_SHM_HUGE_2M = 1,
    PYIPC_SHM_HUGE_1G = 2,
    PYIPC_SHM_NO_RESERVE = 4,
    PYIPC_SHM_READ_ONLY = 8,
};

struct pyipc_shm_stat {
    struct pyipc_owner owner;
    uint64_t size, attach_count;
    int64_t attach_time, detach_time, change_time;
    int32_t creator_pid, last_pid;
};

int pyipc_shm_create(int32_t key, uint64_t size, int flags, int mode);
int pyipc_shm_create_private(uint64_t size, int flags, int mode, int64_t *ret_address);
int pyipc_now_shm_find(int32_t key, uint64_t size);
int pyipc_shm_get(int32_t key, uint64_t size, int flags);
int64_t pyipc_shm_attach(int id, uint64_t address, int flags);
int pyipc_shm_detach(char *address);
int64_t pyipc_now_shm_size(int id);
int pyipc_now_shm_stat(int id, struct pyipc_shm_stat *ret_stat);
int pyipc_now_shm_set(int id, int64_t uid, int64_t gid, int64_t mode);
int pyipc_shm_lock(int id, int locked);
int pyipc_shm_remove(int id);

/* ---- System V semaphore sets (sysv_sem.c) ---- */

enum { PYIPC_SEM_NOWAIT = 0x800, PYIPC_SEM_UNDO = 0x1000 };
enum { PYIPC_SEM_GET_VALUE, PYIPC_SEM_GET_PID, PYIPC_SEM_GET_WAITERS, PYIPC_SEM_GET_ZERO_WAITERS };

struct pyipc_sem_op {
    uint16_t index;
    int16_t delta;
    int16_t flags;
};

struct pyipc_sem_stat {
    struct pyipc_owner owner;
    uint64_t count;
    int64_t op_time, change_time;
};

int pyipc_sem_create(int32_t key, const uint16_t *values, int count, int mode);
int pyipc_now_sem_find(int32_t key, int count);
int pyipc_sem_get(int32_t key, int flags, int value);
int pyipc_now_sem_take(int id);
int pyipc_now_sem_give(int id);
int pyipc_now_sem_op(int id, const struct pyipc_sem_op *ops, uint64_t count);
int pyipc_sem_op(int id, const struct pyipc_sem_op *ops, uint64_t count, int64_t deadline_ns);
int pyipc_now_sem_get(int id, int index, int what);
int pyipc_now_sem_set_value(int id, int index, int value);
int pyipc_now_sem_get_all(int id, uint16_t *ret_values);
int pyipc_now_sem_set_all(int id, const uint16_t *values);
int pyipc_now_sem_stat(int id, struct pyipc_sem_stat *ret_stat);
int pyipc_now_sem_set(int id, int64_t uid, int64_t gid, int64_t mode);
int pyipc_sem_remove(int id);

/* ---- System V message queues (sysv_msg.c) ---- */

enum { PYIPC_MSG_TRUNCATE = 1, PYIPC_MSG_EXCEPT = 2, PYIPC_MSG_COPY = 4 };
enum { PYIPC_MSG_SMALL = 8192 };

struct pyipc_msg {
    int64_t type;
    char data[];
};

struct pyipc_msg_stat {
    struct pyipc_owner owner;
    uint64_t bytes, messages, max_bytes;
    int64_t send_time, receive_time, change_time;
    int32_t last_send_pid, last_receive_pid;
};

int pyipc_msg_create(int32_t key, int mode);
int pyipc_now_msg_find(int32_t key);
int pyipc_msg_get(int32_t key, int flags);
int pyipc_now_msg_send(int id, int64_t type, const char *data, uint64_t size);
int pyipc_msg_send(int id, const char *msg, uint64_t size, int64_t deadline_ns);
int64_t pyipc_now_msg_receive(int id, struct pyipc_msg *ret_msg, uint64_t size, int64_t type, int flags);
int64_t pyipc_msg_receive(int id, struct pyipc_msg *ret_msg, uint64_t size, int64_t type, int flags,
                          int64_t deadline_ns);
int pyipc_now_msg_stat(int id, struct pyipc_msg_stat *ret_stat);
int pyipc_now_msg_set(int id, int64_t uid, int64_t gid, int64_t mode, int64_t max_bytes);
int pyipc_msg_remove(int id);

/* ---- POSIX shared memory (posix_shm.c): names without the slash ---- */

int pyipc_posix_shm_create(int mode, int32_t *ret_fd);
int pyipc_posix_shm_link(int number, const char *name);
int pyipc_posix_shm_open(const char *name, int read_only, int32_t *ret_fd);
int pyipc_posix_shm_get(const char *name, int flags, int mode, uint64_t size, int32_t *ret_fd);
int pyipc_posix_shm_resize(int number, uint64_t size);
int pyipc_posix_shm_unlink(const char *name);
int64_t pyipc_now_posix_shm_read(const int32_t *fd, char *ret_data, uint64_t size, uint64_t offset);
int64_t pyipc_posix_shm_read(const int32_t *fd, char *ret_data, uint64_t size, uint64_t offset);
int64_t pyipc_now_posix_shm_write(const int32_t *fd, const char *data, uint64_t size, uint64_t offset);
int64_t pyipc_posix_shm_write(const int32_t *fd, const char *data, uint64_t size, uint64_t offset);

/* ---- POSIX semaphores (posix_sem.c): names as the C library has them, with the slash ---- */

enum { PYIPC_POSIX_CREATE = 1, PYIPC_POSIX_EXCLUSIVE = 2 };
enum { PYIPC_POSIX_SEM_SIZE = 32, PYIPC_POSIX_SEM_MOST = 0x7fffffff };

int pyipc_posix_sem_open(const char *name, int flags, int mode, uint32_t value, int64_t *ret_sem);
int pyipc_posix_sem_close(char *sem);
int pyipc_posix_sem_unlink(const char *name);
int pyipc_now_posix_sem_init(char *sem, uint32_t value);
int pyipc_now_posix_sem_try(char *sem);
int pyipc_posix_sem_wait(char *sem, int64_t deadline_ns);
int pyipc_now_posix_sem_post(char *sem);
int pyipc_now_posix_sem_value(char *sem);

/* ---- POSIX message queues (posix_mq.c): names without the slash ---- */

enum { PYIPC_POSIX_READ = 4, PYIPC_POSIX_WRITE = 8 };
enum { PYIPC_NOTIFY_NOBODY, PYIPC_NOTIFY_BY_SIGNAL, PYIPC_NOTIFY_BY_SOCKET };
enum { PYIPC_NOTIFY_COOKIE = 32 };

struct pyipc_posix_mq_stat {
    int64_t max_messages, max_size, messages;
    uint32_t uid, gid, mode;
};

int pyipc_posix_mq_open(const char *name, int flags, int mode, int64_t max_messages, int64_t max_size,
                        int32_t *ret_fd);
int pyipc_posix_mq_unlink(const char *name);
int pyipc_now_posix_mq_send(const int32_t *fd, const char *data, uint64_t size, uint32_t priority);
int pyipc_posix_mq_send(const int32_t *fd, const char *data, uint64_t size, uint32_t priority);
int64_t pyipc_now_posix_mq_receive(const int32_t *fd, char *ret_data, uint64_t room, uint32_t *ret_priority);
int64_t pyipc_posix_mq_receive(const int32_t *fd, char *ret_data, uint64_t room, uint32_t *ret_priority);
int pyipc_now_posix_mq_stat(int number, struct pyipc_posix_mq_stat *ret_stat);
int pyipc_now_posix_mq_notify(int number, int kind, int what, int64_t value);

/* ---- descriptors, each in an int that owns it: -1 is none (descriptors.c) ---- */

enum { PYIPC_READABLE = 1, PYIPC_WRITABLE = 4 };

int pyipc_fd_close(int32_t *fd);
int pyipc_now_fd_take(int32_t *fd);
int pyipc_now_fd_move(int32_t *from, int32_t *to);
int pyipc_now_fd_adopt(int number, int32_t *ret_fd);
int pyipc_now_fd_duplicate(int number, int32_t *ret_fd);
int pyipc_now_fd_twin(const int32_t *fd, int32_t *ret_fd);
int pyipc_fd_open(const char *path, int flags, int32_t *ret_fd);
int pyipc_fd_wait(int number, int events, int64_t deadline_ns);
int pyipc_now_pipe(int waits, int32_t *ret_read, int32_t *ret_write);
int pyipc_now_eventfd(uint32_t initial, int semaphore, int32_t *ret_fd);
int pyipc_now_eventfd_read(const int32_t *fd, uint64_t *ret_value);
int pyipc_now_eventfd_write(const int32_t *fd, uint64_t value);

/* ---- named pipes (fifo.c) ---- */

int pyipc_fifo_open(const char *path, int writing, int64_t deadline_ns, int32_t *ret_fd);
int64_t pyipc_now_fifo_read(const int32_t *fd, char *ret_data, uint64_t room);
int64_t pyipc_now_fifo_write(const int32_t *fd, const char *data, uint64_t size);
int pyipc_now_fifo_is_unread(const int32_t *fd);
int pyipc_fifo_watch(const char *path, int32_t *ret_fd);

/* ---- connections (connection.c) ---- */

int pyipc_connection_finish(int number);

/* ---- pseudo-terminals (terminal.c) ---- */

int pyipc_pty_open(int32_t *ret_fd);
int pyipc_pty_peer(const int32_t *master, int32_t *ret_fd);
int pyipc_pty_look(int number, int64_t deadline_ns);
int pyipc_now_pty_read(const int32_t *master, char *buffer, int size);
int64_t pyipc_now_pty_write(const int32_t *master, const char *data, uint64_t size);

/* ---- processes by descriptor (pidfd.c) ---- */

struct pyipc_exit {
    int32_t pid;
    int32_t code;
    int32_t signal;
    int32_t dumped;
};

int pyipc_now_pidfd_open(int pid, int32_t *ret_fd);
int pyipc_now_pidfd_send(const int32_t *fd, int signal_number);
int pyipc_now_pidfd_status(const int32_t *fd, int reap, struct pyipc_exit *ret_exit);
int pyipc_now_child_reap(const int32_t *fd, struct pyipc_exit *record);
int pyipc_child_wait(const int32_t *fd, int64_t deadline_ns, struct pyipc_exit *record);
int pyipc_now_child_exit(const struct pyipc_exit *record);
int pyipc_now_pidfd_getfd(const int32_t *fd, int theirs, int32_t *ret_fd);
int pyipc_now_child_status(int pid, int reap, struct pyipc_exit *ret_exit);

/* ---- signals (signals.c): a set of them has its lowest bit for signal 1 ---- */

enum { PYIPC_BLOCK, PYIPC_UNBLOCK };

/* As the kernel has it. */
struct pyipc_disposition {
    uint64_t handler, flags, restorer, mask;
};

struct pyipc_signal {
    int32_t number, code, pid;
    uint32_t uid;
    int32_t value, status;
};

int pyipc_now_signal_get(int signal_number, struct pyipc_disposition *ret_disposition);
int pyipc_now_signal_set(int signal_number, const struct pyipc_disposition *disposition);
int pyipc_now_signal_mask(int how, uint64_t signals, uint64_t *ret_before);
int pyipc_now_signal_send(int pid, int signal_number);
int pyipc_now_signal_queue(int pid, int signal_number, int value);
int pyipc_now_pidfd_queue(const int32_t *fd, int signal_number, int value);
int pyipc_now_signalfd(uint64_t signals, int32_t *ret_fd);
int pyipc_now_signalfd_read(const int32_t *fd, struct pyipc_signal *ret_signal);

/* ---- programs in processes of their own (spawn.c) ---- */

enum {
    PYIPC_SPAWN_NEW_SESSION = 1,
    PYIPC_SPAWN_OWN_TERMINAL = 2,
    PYIPC_SPAWN_DIE_WITH_PARENT = 4,
};

/* In this order. */
enum {
    PYIPC_SPAWN_CLONE,
    PYIPC_SPAWN_DESCRIPTORS,
    PYIPC_SPAWN_SESSION,
    PYIPC_SPAWN_GROUP,
    PYIPC_SPAWN_TERMINAL,
    PYIPC_SPAWN_USER,
    PYIPC_SPAWN_DIRECTORY,
    PYIPC_SPAWN_PARENT,
    PYIPC_SPAWN_EXEC,
};

/* Strings lie one after another. Where a number is -1, nothing changes. */
struct pyipc_spawn {
    const char *paths, *words, *variables;
    uint32_t path_count, word_count, variable_count;
    char **room;                /* for as many pointers as these are, and three more */
    const char *directory;
    int32_t *sources;           /* is written to */
    const int32_t *targets;
    uint32_t moves;
    int32_t flags;
    int32_t process_group;      /* 0 is one of its own */
    int32_t umask;
    int64_t uid, gid;
    const uint32_t *groups;
    int32_t group_count;
    int32_t step;               /* is written to: the one that failed */
};

int64_t pyipc_spawn(struct pyipc_spawn *plan, int32_t *ret_pidfd);

/* ---- descriptors over Unix sockets (passing.c) ---- */

enum { PYIPC_STREAM = 1, PYIPC_DATAGRAM = 2, PYIPC_SEQPACKET = 5 };
enum { PYIPC_MOST_FDS = 253, PYIPC_MOST_ADDRESS = 108 };
enum { PYIPC_NONE_LOST, PYIPC_LOST, PYIPC_LOST_TABLE_FULL };

struct pyipc_credentials {
    int32_t pid;
    uint32_t uid, gid;
};

struct pyipc_message {
    int32_t count;
    int32_t pidfd;
    int32_t lost;
    int32_t has_credentials;
    int32_t address_size;
    struct pyipc_credentials credentials;
    char address[PYIPC_MOST_ADDRESS];
    int32_t fds[PYIPC_MOST_FDS];
};

int pyipc_now_socketpair(int kind, int32_t *ret_fds);
int pyipc_now_socket_kind(int sock);
int pyipc_now_socket_is_unix(int sock);
int64_t pyipc_now_send(int sock, const char *data, uint64_t size, const int32_t *fds, int count,
                       const struct pyipc_credentials *credentials, const char *address, int address_size);
int64_t pyipc_now_receive(int sock, char *ret_data, uint64_t size, struct pyipc_message *ret_message);
int64_t pyipc_now_message_size(int sock);
int pyipc_message_close(struct pyipc_message *message);
int pyipc_now_pass_credentials(int sock, int credentials, int pidfd);
int pyipc_now_peer(int sock, struct pyipc_credentials *ret_peer);
int pyipc_now_peer_pidfd(int sock, int32_t *ret_fd);

/* ---- memory behind a descriptor (memory.c) ---- */

enum {
    PYIPC_MEMORY_HUGE_2M = 1,
    PYIPC_MEMORY_HUGE_1G = 2,
};
enum {
    PYIPC_SEAL_SEAL = 1,
    PYIPC_SEAL_SHRINK = 2,
    PYIPC_SEAL_GROW = 4,
    PYIPC_SEAL_WRITE = 8,
    PYIPC_SEAL_FUTURE_WRITE = 16,
};

struct pyipc_memory_stat {
    uint64_t size;
    int32_t seals;
    int32_t huge;
    int32_t read_only;
};

int pyipc_memory_create(uint64_t size, int flags, int32_t *ret_fd);
int64_t pyipc_memory_reserve(int number, uint64_t offset, uint64_t size);
int pyipc_memory_grow(int number, uint64_t size);
int pyipc_now_memory_stat(int number, struct pyipc_memory_stat *ret_stat);
int pyipc_memory_seal(int number, int seals);

/* ---- files that are there to be locked (file_lock.c) ---- */

int pyipc_lock_file_open(const char *path, int mode, int shared, int32_t *ret_fd);
int pyipc_lock_file(int number, int shared, int64_t since_ns, int64_t deadline_ns);
int pyipc_unlock_file(int number);
int pyipc_now_lock_file(int number, int shared);
int pyipc_now_unlock_file(int number);

/* ---- counters (counters.c): what these give is a counter, of any value; they cannot fail ---- */

enum { PYIPC_COUNTER_STRIDE = 128 };

int64_t pyipc_now_counter_add(int64_t *counters, uint64_t index, int64_t n);
int64_t pyipc_now_counter_get(int64_t *counters, uint64_t index);
int64_t pyipc_now_counter_exchange(int64_t *counters, uint64_t index, int64_t value);
int pyipc_now_counter_compare_exchange(int64_t *counters, uint64_t index, int64_t expected, int64_t value);

/* ---- the latest value (cell.c) ---- */

enum { PYIPC_CELL_MOST = 1 << 26 };

struct pyipc_cell {
    struct pyipc_member me;
    char *memory;
    uint32_t most;
};

int64_t pyipc_cell_memory(uint32_t most);
int pyipc_cell_format(char *memory, uint64_t size, uint32_t most);
int pyipc_cell_open(struct pyipc_cell *c, char *memory, uint64_t size, int32_t life);
int64_t pyipc_now_cell_set(struct pyipc_cell *c, const char *data, uint64_t size);
int64_t pyipc_cell_set(struct pyipc_cell *c, const char *data, uint64_t size, int64_t deadline_ns);
int64_t pyipc_now_cell_version(const struct pyipc_cell *c);
int64_t pyipc_now_cell_size(const struct pyipc_cell *c);
int64_t pyipc_now_cell_get(const struct pyipc_cell *c, char *into, uint64_t room, uint64_t *ret_size);
int64_t pyipc_cell_get(const struct pyipc_cell *c, char *into, uint64_t room, uint64_t *ret_size);
int pyipc_cell_wait(const struct pyipc_cell *c, uint64_t version, int64_t since_ns, int64_t deadline_ns);

/* cdef: end */

#endif
