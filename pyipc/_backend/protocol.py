"""What a backend does: one Protocol per family of calls.

A backend is a module. Every call returns a value >= 0 or `-errno` and raises nothing; where a
call hands out more than a number, the number comes back alone when it failed. Names that begin
with `now_` never wait. Deadlines are nanoseconds on CLOCK_MONOTONIC (`_deadline.FOREVER`: none);
a wait that a signal ended, or that looks around once a second, returns `-EINTR` and wants to be
called again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, Optional, Protocol, TypeVar, Union

# key, uid, gid, creator's uid, creator's gid, mode
Owner = tuple[int, int, int, int, int, int]

# Owner, then: size, attach count, attach time, detach time, change time, creator's pid, last pid
SegmentFields = tuple[Owner, int, int, int, int, int, int, int]

# Owner, then: semaphores, time of the last semop, change time
SetFields = tuple[Owner, int, int, int]

# Owner, then: bytes, messages, most bytes, send time, receive time, change time, the last
# sender's pid, the last receiver's pid
QueueFields = tuple[Owner, int, int, int, int, int, int, int, int]

# pid, uid, gid
Credentials = tuple[int, int, int]

# pid, exit code or -1, signal or 0, whether it dumped core
Exit = tuple[int, int, int, bool]

# What happens at a signal, as the kernel has it: handler (0: default, 1: ignored), flags, restorer, mask
Disposition = tuple[int, int, int, int]

# Its number, code (siginfo), the sender's pid and uid, the value, the status of a child
SignalFields = tuple[int, int, int, int, int, int]

# Data, how many bytes that are (one more if some were cut off), handles, credentials, pidfd, the
# sender's address; and of a message that has lost descriptors LOST or LOST_TABLE_FULL, with how many
# came and are closed.
Incoming = tuple[
    bytes,
    int,
    list[Any],
    Optional[Credentials],
    Any,
    Optional[bytes],
    Optional[tuple[int, int]],
]

# Size, seals, size of a huge page or 0, whether the descriptor is for reading only
MemoryFields = tuple[int, int, int, bool]

# Most messages, longest message, messages now, uid, gid, mode
PosixQueueFields = tuple[int, int, int, int, int, int]

# What keeps a segment attached: gone with its last reference.
Attachment = Any
# What can be read, written and viewed, and keeps its attachment alive meanwhile.
Memory = Any
# Operations made ready once, for many calls.
Prepared = Any
Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])


class CommonOps(Protocol):
    """What every family needs."""

    NAME: str
    FREES_AT_ONCE: bool  # whether the last reference to something ends it there and then, whose ever it was

    def capabilities(self) -> dict[str, bool]:
        """What can be had here, by name."""

    def accelerate(self, *methods: str, result: Any = None) -> Callable[[Class], Class]:
        """A class decorator: let C stand in for the common call of these methods, where it can.

        *result* is the class of what they return.
        """

    def stand_in(self, signature: str) -> Callable[[Function], Function]:
        """A decorator: let C stand in for the common call of this function, where it can."""

    def interrupt(self, thread_id: int) -> int:
        """End the wait of that thread of ours in the kernel, if it is in one; call it again until it is."""


class MappingOps(Protocol):
    """Memory that is mapped: mmap(2), or by a segment."""

    MAP_WRITABLE: int
    MAP_PRIVATE: int

    def map_memory(self, number: int, size: int, flags: int) -> Union[int, tuple[Attachment, Memory]]:
        """Map so much of what a descriptor holds; readable, and shared, unless the flags say otherwise."""

    def view(self, memory: Memory) -> Union[int, memoryview]:
        """A view that keeps it mapped; -ENOTSUP of read-only memory where that is not safe."""

    def copy_out(self, memory: Memory, offset: int, size: int) -> bytes:
        """A copy of these bytes; of many, made without the GIL."""

    def copy_in(self, memory: Memory, offset: int, data: Any) -> None:
        """Write these bytes; many, without the GIL. *data* may be a view of this very memory."""

    def fill(self, memory: memoryview, offset: int, data: Any) -> None:
        """The same, into a view that no other thread uses."""


class SegmentOps(Protocol):
    """System V segments: shmget(2), shmop(2), shmctl(2)."""

    SHM_HUGE_2M: int
    SHM_HUGE_1G: int
    SHM_NO_RESERVE: int
    SHM_READ_ONLY: int

    #: A base of classes whose `__buffer__(flags)` gives a view of a segment, for `memoryview()` to see.
    Viewed: type[Any]

    def shm_create(self, key: int, size: int, flags: int, mode: int) -> int:
        """A new segment's id."""

    def shm_create_private(self, size: int, flags: int, mode: int) -> Union[int, tuple[int, Attachment]]:
        """A new segment that is attached and already marked for removal."""

    def now_shm_find(self, key: int, size: int) -> int:
        """The id of the segment with this key and at least this size."""

    def shm_get(self, key: int, size: int, flags: int) -> int:
        """The id that shmget(2) gives for these flags, its own."""

    def shm_attach(self, id: int, address: int, flags: int) -> Union[int, Attachment]:
        """Map it, at *address* unless that is 0."""

    def shm_address(self, attachment: Attachment) -> int:
        """Where it is mapped."""

    def shm_memory(self, attachment: Attachment, size: int, read_only: bool) -> Memory:
        """Its bytes; keeps the attachment alive."""

    def shm_populate(self, memory: Memory) -> int:
        """Make every page of it present."""

    def now_shm_size(self, id: int) -> int:
        """Its size, as IPC_STAT has it."""

    def now_shm_stat(self, id: int) -> Union[int, SegmentFields]:
        """IPC_STAT."""

    def now_shm_set(self, id: int, uid: int, gid: int, mode: int) -> int:
        """IPC_SET; -1 leaves a field as it is."""

    def shm_lock(self, id: int, locked: int) -> int:
        """SHM_LOCK or SHM_UNLOCK."""

    def shm_remove(self, id: int) -> int:
        """IPC_RMID."""


class SemaphoreOps(Protocol):
    """System V semaphore sets: semget(2), semop(2), semctl(2)."""

    SEM_NOWAIT: int
    SEM_UNDO: int
    SEM_GET_VALUE: int
    SEM_GET_PID: int
    SEM_GET_WAITERS: int
    SEM_GET_ZERO_WAITERS: int

    def sem_create(self, key: int, values: Sequence[int], mode: int) -> int:
        """A new set with these values, initialised before anybody takes it for ready."""

    def now_sem_find(self, key: int, count: int) -> int:
        """The id of the set with this key and at least this many semaphores."""

    def sem_get(self, key: int, flags: int, value: int) -> int:
        """The id that semget(2) gives for these flags, its own.

        One made by IPC_EXCL gets *value*, if the mode lets its owner write, and no operation.
        """

    def sem_prepare(self, ops: Sequence[tuple[int, int, int]]) -> Union[int, Prepared]:
        """Operations as (index, delta, flags)."""

    def sem_callable(self, set: Any, python: Any, prepared: Prepared) -> Callable[..., None]:
        """`python.run`, or what stands in for it."""

    def now_sem_take(self, id: int) -> int:
        """Take 1 from the first semaphore."""

    def now_sem_give(self, id: int) -> int:
        """Give 1 to the first semaphore."""

    def now_sem_op(self, id: int, ops: Prepared, count: int) -> int:
        """All of them in one step, or -EAGAIN."""

    def sem_op(self, id: int, ops: Prepared, count: int, deadline: int) -> int:
        """All of them in one step; -EAGAIN here is the answer of an operation with SEM_NOWAIT."""

    def now_sem_get(self, id: int, index: int, what: int) -> int:
        """One figure of one semaphore."""

    def now_sem_set_value(self, id: int, index: int, value: int) -> int:
        """SETVAL."""

    def now_sem_get_all(self, id: int, count: int) -> Union[int, list[int]]:
        """GETALL."""

    def now_sem_set_all(self, id: int, values: Sequence[int]) -> int:
        """SETALL."""

    def now_sem_stat(self, id: int) -> Union[int, SetFields]:
        """IPC_STAT."""

    def now_sem_set(self, id: int, uid: int, gid: int, mode: int) -> int:
        """IPC_SET; -1 leaves a field as it is."""

    def sem_remove(self, id: int) -> int:
        """IPC_RMID."""


class QueueOps(Protocol):
    """System V message queues: msgget(2), msgop(2), msgctl(2)."""

    MSG_TRUNCATE: int
    MSG_EXCEPT: int
    MSG_COPY: int

    def msg_create(self, key: int, mode: int) -> int:
        """A new queue's id."""

    def now_msg_find(self, key: int) -> int:
        """The id of the queue with this key."""

    def msg_get(self, key: int, flags: int) -> int:
        """The id that msgget(2) gives for these flags, its own."""

    def now_msg_send(self, id: int, type: int, data: bytes) -> int:
        """Send, or -EAGAIN of a full queue; -EMSGSIZE of what only `msg_send` can carry."""

    def msg_send(self, id: int, type: int, data: bytes, deadline: int) -> int:
        """Send; a deadline that has passed still tries once."""

    def now_msg_receive(self, id: int, size: int, type: int, flags: int) -> Union[int, tuple[bytes, int]]:
        """The message's bytes and type, or -EAGAIN; -E2BIG of a message longer than *size*."""

    def msg_receive(
        self, id: int, size: int, type: int, flags: int, deadline: int
    ) -> Union[int, tuple[bytes, int]]:
        """The same, waiting."""

    def now_msg_stat(self, id: int) -> Union[int, QueueFields]:
        """IPC_STAT."""

    def now_msg_set(self, id: int, uid: int, gid: int, mode: int, max_bytes: int) -> int:
        """IPC_SET; -1 leaves a field as it is."""

    def msg_remove(self, id: int) -> int:
        """IPC_RMID."""


class Descriptor:
    """The owner of a descriptor, or of none; a base of handles, which each backend has its own of.

    It closes what it owns when it goes, a handle with a `ResourceWarning`. Each of its calls is one
    step, which no signal handler can come between; so is each call of a backend that makes a
    descriptor `into` one.
    """

    #: What it owns, or -1.
    _number: int

    def fileno(self) -> int:
        """Its number; `self._refuse()` raises if there is none."""
        raise NotImplementedError

    def _close(self) -> int:
        """Close it, if it owns one."""
        raise NotImplementedError

    def _take(self) -> int:
        """Its number, which from now on is the caller's; or -1."""
        raise NotImplementedError


class DescriptorOps(Protocol):
    """Descriptors, eventfd(2), named pipes, and the pidfds of pidfd_open(2)."""

    Descriptor: type[Any]
    READABLE: int
    WRITABLE: int

    def now_adopt(self, into: Any, number: int) -> int:
        """Own this open number, which is close-on-exec from now on."""

    def now_duplicate(self, into: Any, number: int) -> int:
        """Own a copy of it (F_DUPFD_CLOEXEC)."""

    def now_twin(self, into: Any, owner: Any) -> int:
        """Own a copy of what that one owns, which another thread may close meanwhile."""

    def fd_open(self, into: Any, path: bytes, flags: int) -> int:
        """Open a file that is there; close-on-exec."""

    def now_move(self, source: Any, into: Any) -> int:
        """Own what another one owned."""

    def close_all(self, handles: list[Any]) -> None:
        """Close each of them."""

    def fd_wait(self, number: int, events: int, deadline: int) -> int:
        """Wait until it is READABLE or WRITABLE, has an error, or the other side has gone (poll(2))."""

    def now_pipe(self, waits: bool, read: Any, write: Any) -> int:
        """A pipe, into two handles; its ends wait, or never do."""

    def now_eventfd(self, into: Any, initial: int, semaphore: bool) -> int:
        """A new eventfd."""

    def now_eventfd_read(self, eventfd: Any) -> int:
        """Take its value, or 1 of a semaphore; -EAGAIN of 0."""

    def now_eventfd_write(self, eventfd: Any, value: int) -> int:
        """Add to it; -EAGAIN if it would pass its maximum."""

    def fifo_open(self, into: Any, path: bytes, writing: bool, deadline: int) -> int:
        """Open a fifo once somebody has the other side; -EAGAIN if there may be no thread for that.

        Until then nobody takes us for one who has it open; but the fallback's reader is taken for one.
        """

    def now_fifo_read(self, fifo: Any, into: list[bytes], size: int) -> int:
        """Append so many bytes at most, and no more than 65536: how many; 0 at the end; -EAGAIN for none.

        So a signal handler that raises loses none of them; but on PyPy and without a GIL it may.
        """

    def now_fifo_write(self, fifo: Any, data: Any) -> int:
        """How many bytes went, 65536 at most; -EPIPE, and no SIGPIPE, if nobody reads."""

    def now_fifo_is_unread(self, fifo: Any) -> int:
        """Whether nobody has it open for reading; of one that is open for writing."""

    def fifo_watch(self, into: Any, path: bytes) -> int:
        """What is readable once somebody has closed it who had it open for reading alone."""

    def now_pidfd_open(self, into: Any, pid: int) -> int:
        """The process that has this pid now."""

    def now_pidfd_send(self, pidfd: Any, signal: int) -> int:
        """Send it a signal."""

    def now_pidfd_status(self, pidfd: Any, reap: bool) -> Union[int, Exit]:
        """How a child of ours ended; -EAGAIN while it runs, -ECHILD of others."""

    def now_pidfd_getfd(self, into: Any, pidfd: Any, theirs: int) -> int:
        """A copy of a descriptor of that process."""


class SignalOps(Protocol):
    """Signals: sigaction(2), sigprocmask(2), sigqueue(3), signalfd(2).

    A set of them has its lowest bit for signal 1.
    """

    BLOCK: int
    UNBLOCK: int

    def now_signal_get(self, number: int) -> Union[int, Disposition]:
        """What happens at this signal."""

    def now_signal_set(self, number: int, disposition: Disposition) -> int:
        """Let that happen; a handler only as `now_signal_get` has given it."""

    def now_signal_mask(self, how: int, signals: int) -> int:
        """Let this thread BLOCK or UNBLOCK these: what it blocked before."""

    def now_signal_send(self, pid: int, number: int) -> int:
        """kill(2); of a negative pid, to that group, of 0 to our own."""

    def now_signal_queue(self, pid: int, number: int, value: int) -> int:
        """Send it with a value; -EAGAIN if too many wait already."""

    def now_pidfd_queue(self, pidfd: Any, number: int, value: int) -> int:
        """The same, to that process."""

    def now_signalfd(self, into: Any, signals: int) -> int:
        """What these can be read from."""

    def now_signalfd_read(self, signalfd: Any) -> Union[int, SignalFields]:
        """Take one; -EAGAIN if none waits."""

    def now_child_status(self, pid: int, reap: bool) -> Union[int, Exit]:
        """How a child of ours ended, by its pid; -EAGAIN while it runs, -ECHILD of others."""

    def sure_exit(self, cls: Class) -> Class:
        """A class decorator: let C stand in for `__exit__`, where it can, and call `_leave` until `_left`.

        No signal handler that raises can keep it from that.
        """


class TerminalOps(Protocol):
    """Pseudo-terminals: pty(7)."""

    def pty_open(self, into: Any) -> int:
        """A new one's master, which never blocks; -ENOSPC of kernel.pty.max."""

    def pty_peer(self, into: Any, master: Any) -> int:
        """The terminal of this master; it becomes nobody's controlling terminal by this."""

    def pty_look(self, number: int, deadline: int) -> int:
        """Whether a master is readable, looked for while to sleep would take longer; 0 may be wrong."""

    def now_pty_read(self, master: Any) -> Union[int, bytes]:
        """What was written there; -EAGAIN if nothing was, b"" if nobody has it open any more."""

    def now_pty_write(self, master: Any, data: bytes) -> int:
        """Type so many of these bytes; -EAGAIN if there is no room, -EPIPE if nobody has it open."""


class ConnectionOps(Protocol):
    """What servers do for each connection: fork(2), shutdown(2)."""

    def fork(self, born: list[int]) -> int:
        """fork(2), as `os.fork()` does it.

        What is there when this is over, in whatever way, is in the list, and no signal handler came before:
        the child's pid, or 0 in the child; and in the parent a pidfd.
        """

    def connection_finish(self, connection: socket) -> int:
        """End what we write, and read what has come and nobody has read, before it is closed."""


class SpawnOps(Protocol):
    """Programs in processes of their own: clone(2), execve(2)."""

    SPAWN_NEW_SESSION: int
    SPAWN_OWN_TERMINAL: int
    SPAWN_DIE_WITH_PARENT: int

    def spawn(
        self,
        into: Any,
        paths: bytes,
        words: bytes,
        variables: bytes,
        directory: Optional[bytes],
        moves: dict[int, int],
        flags: int,
        process_group: int,
        umask: int,
        uid: int,
        gid: int,
        groups: Optional[Sequence[int]],
    ) -> Union[int, tuple[int, str]]:
        """A child's pid, who is the program by now; or `-errno`, and at which step.

        *paths*, *words* and *variables* are strings one after another, each with its NUL.
        Its pidfd goes *into* a handle. *moves* says which of our descriptors become which of its own, and
        it has no others but 0, 1 and 2. The steps, in this order: "clone", "descriptors", "session", "group",
        "terminal" (descriptor 0 becomes its controlling one), "user" (verified), "directory", "parent" (whose
        thread's end kills it), "exec" (of the first of *paths* that is there). -1, and None, change nothing.
        """

    def child_record(self) -> Any:
        """Where the end of a child of ours will be kept; empty."""

    def child_wait(self, child: Any, record: Any, deadline: int) -> int:
        """Wait until it has ended, and reap it into the record; -ECHILD: somebody else has reaped it."""

    def now_child_reap(self, child: Any, record: Any) -> int:
        """The same; -EAGAIN while it runs."""

    def now_child_exit(self, record: Any) -> Union[int, Exit]:
        """What is in the record; -EAGAIN if nothing."""


class PassingOps(Protocol):
    """Descriptors over Unix sockets: unix(7), cmsg(3)."""

    STREAM: int
    DATAGRAM: int
    SEQPACKET: int
    MOST_FDS: int
    LOST: int
    LOST_TABLE_FULL: int

    def now_socketpair(self, kind: int, one: Any, other: Any) -> int:
        """Two connected Unix sockets."""

    def now_socket_kind(self, sock: int) -> int:
        """SO_TYPE."""

    def now_socket_is_unix(self, sock: int) -> int:
        """1 of a Unix socket, 0 of another, -ENOTSOCK of what is none."""

    def now_send(
        self,
        sock: int,
        data: bytes,
        numbers: list[int],
        credentials: Optional[Credentials],
        address: Optional[bytes],
    ) -> int:
        """One sendmsg(2): how many bytes went, and with the first of them all the descriptors."""

    def now_receive(self, sock: int, size: int, handle: type) -> Union[int, Incoming]:
        """One recvmsg(2), for handles of this type; -EPIPE at the end of a connection."""

    def messages_face(self, *facts: Any) -> None:
        """What C needs to know to stand in for fds.send() and receive(): csrc/python_messages.c."""

    def now_message_size(self, sock: int) -> int:
        """The size of the next message, which stays where it is."""

    def now_pass_credentials(self, sock: int, credentials: bool, pidfd: bool) -> int:
        """Whether messages shall come with their sender's credentials, and its pidfd."""

    def now_peer(self, sock: int) -> Union[int, Credentials]:
        """SO_PEERCRED; -ENOTCONN if there is none."""

    def now_peer_pidfd(self, into: Any, sock: int) -> int:
        """SO_PEERPIDFD; -ENOTSUP if the kernel is older."""


class MemoryOps(Protocol):
    """Memory behind a descriptor: memfd_create(2)."""

    MEMORY_HUGE_2M: int
    MEMORY_HUGE_1G: int
    SEAL_SEAL: int
    SEAL_SHRINK: int
    SEAL_GROW: int
    SEAL_WRITE: int
    SEAL_FUTURE_WRITE: int

    def memory_create(self, into: Any, size: int, flags: int) -> int:
        """New memory, sealed against shrinking; its pages are not there yet."""

    def memory_reserve(self, number: int, offset: int, size: int) -> int:
        """Make pages present: how many bytes of them are done. The fallback lets the file grow with them."""

    def memory_grow(self, number: int, size: int) -> int:
        """To at least this size."""

    def now_memory_stat(self, number: int) -> Union[int, MemoryFields]:
        """What it is; -ENODEV of what has no size."""

    def memory_seal(self, number: int, seals: int) -> int:
        """F_ADD_SEALS; -EBUSY of a seal against writing, while writable mappings exist."""


class MemberOps(Protocol):
    """Who takes part in memory that processes share: csrc/roster.c.

    A *state* is what a handle knows of itself, in C memory.
    """

    def member_join(self, state: Any) -> int:
        """Take part, if it does not yet; -ENOSPC if too many do."""

    def member_forked(self, state: Any) -> int:
        """In a forked child: let go of the parent's part. Calls say -ENOTCONN until it has joined."""


class PosixOps(Protocol):
    """POSIX shared memory, semaphores and queues (shm_, sem_, mq_overview(7)); names without the slash."""

    POSIX_CREATE: int
    POSIX_EXCLUSIVE: int
    POSIX_READ: int
    POSIX_WRITE: int
    POSIX_SEM_SIZE: int
    POSIX_SEM_MOST: int
    NOTIFY_NOBODY: int
    NOTIFY_BY_SIGNAL: int

    def posix_shm_create(self, into: Any, mode: int) -> int:
        """New shared memory, empty, that has no name yet."""

    def posix_shm_link(self, number: int, name: bytes) -> int:
        """Give it one; -EEXIST."""

    def posix_shm_open(self, into: Any, name: bytes, read_only: bool) -> int:
        """What has this name."""

    def posix_shm_get(self, into: Any, name: bytes, flags: int, mode: int, size: int) -> int:
        """As shm_open(3), whose flags and mode these are; then, of a size but 0, ftruncate(2).

        Where that fails, what it has made goes again.
        """

    def posix_shm_resize(self, number: int, size: int) -> int:
        """Longer or shorter."""

    def posix_shm_unlink(self, name: bytes) -> int:
        """Take its name away."""

    def posix_shm_read(self, memory: Any, offset: int, size: int) -> Union[int, bytes]:
        """These bytes; -ENODATA if it has not so many."""

    def posix_shm_write(self, memory: Any, offset: int, data: Any) -> int:
        """Write these; -ENODATA if it would become longer."""

    def posix_sem_open(self, name: bytes, flags: int, mode: int, value: int) -> Union[int, Any]:
        """What keeps the semaphore of this name open; mode and value of one that is made."""

    def posix_sem_unlink(self, name: bytes) -> int:
        """Take its name away."""

    def posix_sem_in(self, memory: memoryview) -> Union[int, Any]:
        """The unnamed one that lies in these POSIX_SEM_SIZE bytes, which it keeps; -ENOTSUP.

        -EINVAL: their address is no multiple of 8.
        """

    def now_posix_sem_init(self, sem: Any, value: int) -> int:
        """Make an unnamed one of the bytes that are there."""

    def now_posix_sem_try(self, sem: Any) -> int:
        """Take 1; -EAGAIN of 0."""

    def posix_sem_wait(self, sem: Any, deadline: int) -> int:
        """Take 1 as soon as there is one."""

    def now_posix_sem_post(self, sem: Any) -> int:
        """Give 1; -EOVERFLOW."""

    def now_posix_sem_value(self, sem: Any) -> int:
        """How many there are."""

    def posix_mq_open(
        self, into: Any, name: bytes, flags: int, mode: int, max_messages: int, max_size: int
    ) -> int:
        """The queue of this name; the last three of one that is made."""

    def posix_mq_unlink(self, name: bytes) -> int:
        """Take its name away."""

    def now_posix_mq_send(self, queue: Any, data: bytes, priority: int) -> int:
        """-EAGAIN: it is full."""

    def now_posix_mq_receive(self, queue: Any, room: int) -> Union[int, tuple[bytes, int]]:
        """Data and priority; -EAGAIN: it is empty; -EMSGSIZE: a message may be longer than *room*."""

    def now_posix_mq_stat(self, queue: Any) -> Union[int, PosixQueueFields]:
        """mq_getattr(3), and whose it is."""

    def now_posix_mq_notify(self, queue: Any, kind: int, what: int, value: int) -> int:
        """Tell this process, once, of a message that comes to the empty queue: mq_notify(3).

        By the signal *what*, with a value; or no more. -EBUSY: some process is told already.
        """

    def posix_mq_news(self) -> Any:
        """What waits to be told so, once for each `ask(queue)`, which is 0 or `-errno`; or -ENOTSUP.

        `came()` waits in another thread for a message to come; False: none will, for the queue was closed
        or nobody is told any more. Whoever sees to that calls `end()`, too. `close()` is the last.
        """


class ChannelOps(Protocol):
    """Messages through shared memory: csrc/channel.c."""

    def channel_memory(self, slots: int, slot_size: int, capacity: int) -> int:
        """How much memory it takes."""

    def channel_format(self, memory: Memory, size: int, slots: int, slot_size: int, space_write: int) -> int:
        """Make a channel in fresh memory."""

    def channel_open(self, memory: Memory, size: int, life: int, pipes: Sequence[int], spins: int) -> Any:
        """Take part in it: the state of a handle, or `-errno`."""

    def channel_unplug(self, state: Any) -> None:
        """Its pipes are about to be closed; what it has of the memory, it can still give back."""

    def channel_face(self, member: Any, pipes: Any, state: Any) -> Any:
        """What C needs to stand in for a handle's common calls; None where it cannot."""

    def loans_face(self, message: type, reservation: type) -> Any:
        """The classes of what it lends: csrc/python_loans.c."""

    def objects_face(self, dumps: Any, loads: Any, loads_in_place: Any) -> Any:
        """How objects become messages, and again objects: csrc/python_queues.c."""

    def now_channel_send(self, state: Any, messages: Sequence[Any]) -> int:
        """Send as many of these as there is room for, each no longer than a slot, or -EAGAIN."""

    def channel_send(self, state: Any, messages: Sequence[Any], deadline: int) -> int:
        """The same, waiting for room for one."""

    def channel_send_long(self, state: Any, data: Any, deadline: int) -> int:
        """Send one message of any length."""

    def now_channel_receive(self, state: Any, room: int, most: int) -> Union[int, list[bytes]]:
        """What waits, as far as it fits, or -EAGAIN; -EMSGSIZE of what is for `channel_take`."""

    def channel_receive(self, state: Any, room: int, most: int, deadline: int) -> Union[int, list[bytes]]:
        """The same, waiting for one."""

    def channel_receive_into(self, state: Any, buffer: Any, deadline: int) -> int:
        """One message into a buffer: its size."""

    def channel_reserve(self, state: Any, size: int, loan: Any, deadline: int) -> int:
        """Memory for a message, to fill and to commit."""

    def channel_commit(self, state: Any, loan: Any, size: int, deadline: int) -> int:
        """Send so much of it."""

    def channel_take(self, state: Any, kept: bool, loan: Any, deadline: int) -> int:
        """The next message, where it lies; *kept*, it comes back if we die."""

    def loan(self, keeps: Any, state: Any) -> Any:
        """The owner of a part of the channel's memory, or of none yet.

        It has a `view()`, and whether it is `redelivered`; `acknowledge()` is that it will not come back,
        or `-errno`, `give_back()` to let another have it, `forget()` that it is ours no longer. If it
        goes, a message that was kept comes back, and the memory of all else is free.
        """

    def channel_watch(self, state: Any) -> int:
        """Somebody waits by the receivers' pipe alone: a message shall never be there without a token."""

    def channel_until(self, state: Any, for_data: bool, deadline: int) -> int:
        """Wait until a receive, or a send, would not have to; -EPIPE at the end."""

    def now_channel_done(self, state: Any) -> int:
        """One message is done; -ERANGE of more than were sent."""

    def channel_join(self, state: Any, deadline: int) -> int:
        """Wait until as many are done as were sent."""

    def now_channel_counts(self, state: Any) -> tuple[int, int, int]:
        """How many messages wait, were sent, were received."""

    def now_channel_figures(self, state: Any) -> tuple[int, int, int, int, int, int]:
        """Slots, their size, capacity; spins, sleeps, recoveries of this handle."""


class FileLockOps(Protocol):
    """Files that are there to be locked: fcntl(2), open file description locks."""

    def lock_file_open(self, into: Any, path: Union[str, bytes], mode: int, shared: bool) -> int:
        """Open it, or make it with exactly this mode; -ENXIO of what is no regular file.

        1 if the kernel itself keeps its locks, so that the calls named now_... are at once; else 0.
        """

    def lock_file(self, number: int, shared: bool, since: int, deadline: int) -> int:
        """Lock it; a deadline that has passed still tries once. *since* is when the wait began."""

    def unlock_file(self, number: int) -> int:
        """Let go of the lock."""

    def now_lock_file(self, number: int, shared: bool) -> int:
        """Lock it, or -EAGAIN."""

    def now_unlock_file(self, number: int) -> int:
        """Let go of the lock."""


class CounterOps(Protocol):
    """Numbers in shared memory; what these calls give is a number of any sign, for they cannot fail."""

    COUNTER_STRIDE: int

    def address_of(self, state: Any) -> int:
        """Where counters, or the state of a cell, lie, for C to stand in for calls; 0 if none does."""

    def counters(self, memory: Memory) -> Any:
        """Its counters, one each COUNTER_STRIDE bytes; keeps it alive. -ENOTSUP if there can be none."""

    def now_counter_add(self, counters: Any, index: int, n: int) -> int:
        """Add, and give the new value."""

    def now_counter_get(self, counters: Any, index: int) -> int:
        """Its value."""

    def now_counter_exchange(self, counters: Any, index: int, value: int) -> int:
        """A new value; gives the old one."""

    def now_counter_compare_exchange(self, counters: Any, index: int, expected: int, value: int) -> int:
        """A new value if it has the expected one: 1, or 0."""


class CellOps(Protocol):
    """The latest value: csrc/cell.c."""

    CELL_MOST: int

    def cell_memory(self, most: int) -> int:
        """The size of the memory that it takes for values of at most so many bytes."""

    def cell_format(self, memory: Memory, most: int) -> int:
        """Make one in memory that nobody else has yet."""

    def cell_begin(self, memory: Memory, size: int, life: int) -> Any:
        """Take part: a state, or -errno."""

    def now_cell_version(self, state: Any) -> int:
        """How many values there have been."""

    def now_cell_set(self, state: Any, data: bytes, size: int) -> int:
        """A new value: its version, or -EAGAIN while somebody else writes."""

    def cell_set(self, state: Any, data: Any, size: int, deadline: int) -> int:
        """The same of any bytes-like object, waiting."""

    def cell_get(self, state: Any) -> Union[int, tuple[bytes, int]]:
        """The newest value and its version; waits for nobody."""

    def cell_wait(self, state: Any, version: int, since: int, deadline: int) -> int:
        """Until there is a newer version than that. *since* is when the wait began."""


class LockOps(Protocol):
    """Locks and their like in shared memory: csrc/lock.c and others. Each call says -ENOTCONN after a fork.

    *since* is when a wait began, in however many calls it is made.
    """

    LOCK: int
    SEMAPHORE: int
    EVENT: int
    CONDITION: int
    BARRIER: int
    RWLOCK: int
    SYNC_RECURSIVE: int
    SYNC_STRICT: int
    SYNC_UNDO: int
    SYNC_BOUNDED: int
    MOST_PARTIES: int

    def now_sync_size(self, kind: int, value: int) -> int:
        """How much memory one takes."""

    def now_sync_format(self, memory: memoryview, kind: int, flags: int, value: int) -> int:
        """Make one in fresh memory."""

    def sync_open(self, memory: memoryview, life: int, kind: int, spins: int) -> Any:
        """The state of a handle on one; -EINVAL of what is none of this kind."""

    def lock_slots(self, cls: type) -> dict[str, str]:
        """The slots that handles need for `lock_calls`, with what they are for."""

    def lock_block(self, cls: Class) -> Class:
        """A class decorator: let C stand in for a `with` block too, where it can."""

    def lock_calls(self, handle: Any, member: Any) -> Any:
        """What stands in for `acquire` and `release` of this handle, until its `close`; or None.

        It calls `_py_acquire` and `_py_release` of the handle where it cannot.
        """

    def now_lock_try(self, state: Any) -> int:
        """Take it, from the dead too; -EAGAIN if somebody has it, -EOWNERDEAD of a strict one."""

    def lock_acquire(self, state: Any, taken: Any, since: int, deadline: int) -> int:
        """The same, waiting."""

    def lock_recover(self, state: Any, taken: Any, since: int, deadline: int) -> int:
        """The same, from the dead too, whether it is strict or not."""

    def now_lock_release(self, state: Any) -> int:
        """Give it back; -EPERM if nobody has it, or, of a recursive one, another thread."""

    def now_lock_depth(self, state: Any) -> int:
        """How often this thread has it."""

    def now_lock_recovered(self, state: Any) -> int:
        """Whether this process has it, from one who died."""

    def now_lock_held(self, state: Any) -> int:
        """Whether anybody has it."""

    def now_semaphore_try(self, state: Any) -> int:
        """Take one; -EAGAIN if there is none, -EBUSY if others are just at it."""

    def semaphore_acquire(self, state: Any, taken: Any, since: int, deadline: int) -> int:
        """Wait for one."""

    def now_semaphore_release(self, state: Any) -> int:
        """Give one; -EOVERFLOW if there can be no more, -EBUSY if others are just at it."""

    def semaphore_release(self, state: Any, deadline: int) -> int:
        """The same, waiting for them."""

    def semaphore_value(self, state: Any, deadline: int) -> int:
        """How many can be taken."""

    def now_event_count(self, state: Any) -> int:
        """Of its changes: odd if it is set."""

    def now_event_set(self, state: Any) -> int:
        """Set it."""

    def now_event_clear(self, state: Any) -> int:
        """The reverse."""

    def event_wait(self, state: Any, seen: int, since: int, deadline: int) -> int:
        """Wait until the count is not any more what it was."""

    def new_place(self) -> Any:
        """What owns a place among those who wait for a condition, or says with 1 that something was taken.

        C writes it, before any signal handler can run; -1 is none.
        """

    def condition_enlist(self, state: Any, place: Any, deadline: int) -> int:
        """Be one who waits, at a place; -ENOSPC if all are taken."""

    def condition_sleep(self, state: Any, place: Any, since: int, deadline: int) -> int:
        """Wait there to be notified, and give the place up."""

    def condition_delist(self, state: Any, place: Any, deadline: int) -> int:
        """Give the place up, if it owns one; 1 if it was notified after all."""

    def condition_notify(self, state: Any, most: int, deadline: int) -> int:
        """Wake so many, at the most, of those who have waited longest: how many."""

    def new_arrival(self) -> Any:
        """Who came to a barrier: its `generation`, its `place`; whether it `acts`, or all have `passed`."""

    def barrier_arrive(self, state: Any, acts: bool, arrival: Any, since: int, deadline: int) -> int:
        """Come to it; -ECANCELED if it is broken."""

    def barrier_wait(self, state: Any, generation: int, since: int, deadline: int) -> int:
        """Wait for the others; -ECANCELED if it breaks."""

    def barrier_acted(self, state: Any, generation: int, well: bool, deadline: int) -> int:
        """The action was run."""

    def barrier_leave(self, state: Any, arrival: Any, deadline: int) -> int:
        """Go before all have come; 1 if they have."""

    def barrier_abort(self, state: Any, deadline: int) -> int:
        """Break it, for good."""

    def barrier_reset(self, state: Any, deadline: int) -> int:
        """Break it for those who wait."""

    def now_barrier_broken(self, state: Any) -> int:
        """Whether it is broken."""

    def barrier_waiting(self, state: Any, deadline: int) -> int:
        """How many wait."""

    def rwlock_acquire(self, state: Any, write: bool, taken: Any, since: int, deadline: int) -> int:
        """Take it, waiting for others."""

    def now_rwlock_release(self, state: Any, write: bool) -> int:
        """Give it back; -EPERM if this process does not have it, -EBUSY if others are just at it."""

    def rwlock_release(self, state: Any, write: bool, deadline: int) -> int:
        """The same, waiting for them."""

    def now_rwlock_recovered(self, state: Any) -> int:
        """Whether this process has it, from a writer that died."""


class Backend(
    CommonOps,
    MappingOps,
    SegmentOps,
    SemaphoreOps,
    QueueOps,
    DescriptorOps,
    SignalOps,
    TerminalOps,
    ConnectionOps,
    SpawnOps,
    PassingOps,
    MemoryOps,
    PosixOps,
    MemberOps,
    ChannelOps,
    FileLockOps,
    CounterOps,
    CellOps,
    LockOps,
    Protocol,
):
    """All of it."""
