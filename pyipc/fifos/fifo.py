"""Fifos and their names: made as they shall be, or found and looked at, before anything is opened.

A fifo is held by its inode (O_PATH), and its ends are opened through that, by /proc: whatever its name has
come to mean meanwhile. docs/design/fifos.md has the reasons.
"""

from __future__ import annotations

import os
from errno import EAGAIN, EBADF, EEXIST, EIDRM, ELOOP, ENOENT, ENXIO, EPERM, ETIMEDOUT
from stat import S_IMODE, S_ISFIFO, S_ISLNK, S_IWOTH

from .. import _deadline
from .._backend import ops
from .._descriptor import Handle
from .._linux import O_PATH
from .._named import Named
from .._waiters import Waited
from ..errors import IPCError, NotFoundError, check, error, limit_error
from .ends import Reader, Writer
from .serving import serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar, Union

    from .._backend.protocol import Descriptor

    Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]
    Self = TypeVar("Self", bound="Fifo")
    End = TypeVar("End", bound=Union[Reader, Writer])

_FOLDER = O_PATH | os.O_DIRECTORY
_NODE = O_PATH | os.O_NOFOLLOW


class Fifo(Named, Waited):
    """A fifo: a name in the file system at which those who write and those who read meet.

    A `with` block closes it at its end. Ends that were opened live on.

    Attributes:
        name: Its path, absolute.
    """

    __slots__ = ("__weakref__", "_closed", "_mode", "_node", "_owner_pid", "_waiting", "name")
    kind = "fifo"
    name: str
    _node: Handle
    _closed: bool
    _mode: int | None  # of one that may be made anew

    def __init__(self) -> None:
        raise TypeError("a fifo is what create(), open() and open_or_create() give")

    @classmethod
    def _at(cls: type[Self], path: Path) -> Self:
        self = cls.__new__(cls)
        self._node, self._waiting = Handle._empty(), []
        self._closed, self._mode = False, None
        self._begin(_absolute(path), owner=False)
        return self

    # ---- its name ----

    @classmethod
    def create(cls: type[Self], path: Path, *, mode: int = 0o600, persist: bool = False) -> Self:
        """Make one. Nobody finds it before it has its mode.

        Args:
            path: Where.
            mode: Who may read and write it, exactly, whatever the umask.
            persist: Keep its name after `close()`.

        Raises:
            AlreadyExistsError: The name is taken, by whatever it is.
            NotFoundError: There is no such directory.
            AccessError: The directory may not be written; or its filesystem has no links.
        """
        _check_mode(mode)
        self = cls._at(path)
        try:
            self._make(mode)
            if persist:
                self._owner_pid = 0
        except BaseException:  # a signal handler's too
            self.close()
            raise
        return self

    @classmethod
    def open(cls: type[Self], path: Path, *, owner: int | None = None) -> Self:
        """Find one; nothing is opened for reading or writing yet.

        Args:
            path: Where.
            owner: The uid that it must belong to. None: in a directory where everybody may write, this
                process's or the directory's; elsewhere any.

        Raises:
            NotFoundError: Nothing is there.
            AlreadyExistsError: Something else than a fifo is there.
            AccessError: It is somebody else's.
            IPCError: ELOOP: it is a symbolic link.
        """
        self = cls._at(path)
        try:
            self._find(owner)
        except BaseException:  # a signal handler's too
            self.close()
            raise
        return self

    @classmethod
    def open_or_create(cls: type[Self], path: Path, *, mode: int = 0o600, owner: int | None = None) -> Self:
        """Find one; if nothing is there, make it.

        Whoever makes it, nobody owns it: it stays until `remove()`. What is found has its own mode.

        Raises:
            IPCError: As `open` and `create`.
        """
        _check_mode(mode)
        while True:
            try:
                self = cls.open(path, owner=owner)
            except NotFoundError:
                try:
                    self = cls.create(path, mode=mode, persist=True)
                except FileExistsError:
                    continue  # somebody made it between the two calls: begin again
            self._mode = mode
            return self

    def _make(self, mode: int) -> None:
        """Under a name that nobody knows, then link it: so it is never seen half made."""
        folder, name = os.path.split(self.name)
        doing = f"create fifo {self.name!r}"
        made = f".pyipc-{os.urandom(8).hex()}"
        with Handle._empty() as directory:
            check(ops.fd_open(directory, os.fsencode(folder), _FOLDER), doing)
            number = directory.fileno()
            try:
                os.mkfifo(made, mode, dir_fd=number)  # less the umask: never more than the mode
                old, self._node = self._node, _node(f"/proc/self/fd/{number}/{made}", doing)
                old.close()
                _set_mode(self._node, mode, doing)
                # Whatever ends this now takes the name away, if it is this fifo that has it.
                self._begin(self.name, owner=True)
                os.link(made, name, src_dir_fd=number, dst_dir_fd=number, follow_symlinks=False)
                os.unlink(made, dir_fd=number)
            except BaseException as problem:  # a signal handler's too
                _unlink(made, number)
                if not isinstance(problem, OSError) or isinstance(problem, IPCError):
                    raise
                if getattr(problem.__traceback__, "tb_next", None) is not None:  # not of these calls
                    raise
                raise error(problem.errno or 0, doing) from problem
        self._mode = mode

    def _find(self, owner: int | None) -> None:
        doing = f"open fifo {self.name!r}"
        self._node = _node(self.name, doing)
        _verify(self._node, self.name, owner, doing)

    def _renew(self) -> None:
        """Make it anew: its name has gone."""
        mode, owner = self._mode, self._owner_pid
        if (
            self._closed
        ):  # by another thread; after this it may be, too, but then our owner is the one of before
            return
        if mode is None:
            raise error(EIDRM, f"serve {self}, whose name is gone or another's")
        try:
            self._make(mode)
        finally:
            self._owner_pid = owner
            if self._closed:  # by another thread, which may have let go of the old one
                self.close()

    @property
    def path(self) -> str:
        """Its path, absolute."""
        return self.name

    @property
    def mode(self) -> int:
        """Who may read and write it."""
        self._refuse_if_closed()
        return S_IMODE(os.fstat(self._node.fileno()).st_mode)

    def _is_still_so_named(self) -> bool:
        try:
            there = os.stat(self.name, follow_symlinks=False)
            mine = os.fstat(self._node.fileno())
        except OSError:
            return False
        return os.path.samestat(there, mine)

    def _unlink(self) -> int:
        # As long as our node is open, no other file has the number of its inode.
        if self._node.closed:
            return -EBADF
        if not self._is_still_so_named():
            return -ENOENT
        return _unlink(self.name)

    # ---- its ends ----

    def reader(self, timeout: float | None = None, *, keep_alive: bool = False) -> Reader:
        """Open it for reading; waits until somebody has it open for writing.

        Nobody takes this process for a reader meanwhile, or finds it gone when the time is over (on the
        fallback they do).

        Args:
            timeout: How many seconds to wait.
            keep_alive: Do not wait, and see no end between one writer and the next: who reads has it
                open for writing too, so it needs the right to write. Other readers see no end either.

        Raises:
            WouldBlockError: With `timeout=0`: nobody has it open for writing.
            TimedOutError: Nobody opened it in time.
            AccessError: Its mode forbids it.
            LimitError: RLIMIT_NOFILE; RLIMIT_NPROC, for a thread does the waiting.
        """
        deadline = _deadline.by(timeout)
        reader = Reader._empty()
        if keep_alive:
            flags = os.O_RDWR | os.O_NONBLOCK
            return self._opened(reader, lambda path: ops.fd_open(reader, path, flags))
        return self._opened(reader, lambda path: self._await(reader, path, deadline, timeout))

    def writer(self, timeout: float | None = None) -> Writer:
        """Open it for writing; waits until somebody has it open for reading.

        Raises:
            WouldBlockError: With `timeout=0`: nobody has it open for reading.
            TimedOutError: Nobody opened it in time.
            AccessError: Its mode forbids it.
            LimitError: RLIMIT_NOFILE; RLIMIT_NPROC, for a thread does the waiting.
        """
        deadline = _deadline.by(timeout)
        writer = Writer._empty()

        def open(path: bytes) -> int:
            result = self._try_to_write(writer, path)
            if result != -EAGAIN or timeout == 0:
                return result
            return self._await(writer, path, deadline, timeout)

        return self._opened(writer, open)

    def _opened(self, end: End, open: Callable[[bytes], int]) -> End:
        # By another number for the inode: ours may be another file's, should a thread close us meanwhile.
        twin: Descriptor = ops.Descriptor()
        try:
            result = ops.now_twin(twin, self._node)
            if result == 0:
                result = open(b"/proc/self/fd/%d" % twin.fileno())
            if result < 0:
                doing = "writing" if isinstance(end, Writer) else "reading"
                raise error(EBADF if self.closed else -result, f"open {self} for {doing}")
        except BaseException:  # a signal handler's too
            end.close()
            raise
        finally:
            twin._close()
        return end

    def _await(self, end: Reader | Writer, path: bytes, deadline: int, timeout: float | None) -> int:
        writing = isinstance(end, Writer)
        result: int = self._wait_until(
            lambda until: ops.fifo_open(end, path, writing, until), deadline, "open"
        )
        if result == -EAGAIN:
            raise self._no_thread()
        return -EAGAIN if result == -ETIMEDOUT and timeout == 0 else result

    def _try_to_write(self, writer: Writer, path: bytes) -> int:
        result = ops.fd_open(writer, path, os.O_WRONLY | os.O_NONBLOCK)
        return -EAGAIN if result == -ENXIO else result

    def _no_thread(self) -> IPCError:
        import resource

        most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        return limit_error(EAGAIN, f"wait for the other side of {self}", "RLIMIT_NPROC", most, None)

    def serve(self, producer: Callable[[], Any], timeout: float | None = None) -> None:
        """Give each reader a text of its own: wait for one, call `producer()`, write what it returns.

        The next is waited for once that reader has closed the fifo, so that nobody who reads to the end
        gets two. Readers that have it open at the same time share: there is one pipe. Those who leave
        early are nobody's fault.

        It goes on until `close()` in another thread, whereupon it returns. If the name is gone, the fifo
        is made anew; if `open()` has found it, or something else has the name, that is an error.

        Args:
            producer: Gives any bytes-like object; what it raises ends the serving.
            timeout: How many seconds to wait: for a reader, for it to take all, for it to go.

        Raises:
            TimedOutError: Nobody came, or somebody stayed.
            WouldBlockError: With `timeout=0`: the same.
            RemovedError: Its name is gone, and it is not ours to make anew.
            AlreadyExistsError: Something else has its name.
            AccessError: It may not be written, or not be read, which seeing readers go needs.
            LimitError: A limit of inotify(7).
        """
        serve(self, producer, timeout)

    # ---- its end ----

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def close(self) -> None:
        """Let go of it, and take its name away if this handle owns it, and it still has it.

        Threads of this process that wait for the other side, or serve, get out. Closing again does
        nothing.
        """
        self._closed = True
        problem = self._remove_if_owner()
        self._node.close()
        self._wake_waiters()
        if problem is not None:
            raise problem

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise error(EBADF, f"use {self}")

    def __repr__(self) -> str:
        return f"<fifo {self.name!r}{' closed' if self.closed else ''}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        raise TypeError("a fifo is found by its path; its ends can be pickled")

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _absolute(path: Path) -> str:
    given = os.fsdecode(path)
    if "\0" in given or not os.path.basename(given) or os.path.basename(given) in (".", ".."):
        raise ValueError(f"not a path that a fifo can have: {path!r}")
    if os.path.isabs(given):
        return given
    # Not abspath(), which takes ".." for the folder before it, though that may be a symbolic link.
    try:
        return os.path.join(os.getcwd(), given)
    except OSError as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # a signal handler's
        raise error(problem.errno or ENOENT, f"find the directory that {path!r} is in") from problem


def _check_mode(mode: int) -> None:
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode is 0..0o777, not {mode:#o}")


def _node(path: str, doing: str) -> Handle:
    node = Handle._empty()
    check(ops.fd_open(node, os.fsencode(path), _NODE), doing)
    return node


def _set_mode(node: Handle, mode: int, doing: str) -> None:
    found = os.fstat(node.fileno())
    if not S_ISFIFO(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        raise error(EEXIST, f"{doing}: something else was put in its place meanwhile")
    if S_IMODE(found.st_mode) != mode:
        os.chmod(f"/proc/self/fd/{node.fileno()}", mode)  # which leads to this inode only


def _verify(node: Handle, path: str, owner: int | None, doing: str) -> None:
    found = os.fstat(node.fileno())
    if S_ISLNK(found.st_mode):
        raise error(ELOOP, f"{doing}: it is a symbolic link")
    if not S_ISFIFO(found.st_mode):
        raise error(EEXIST, f"{doing}: it is no fifo")
    if owner is not None:
        allowed = {owner}
    else:
        folder = os.stat(os.path.dirname(path))
        if not folder.st_mode & S_IWOTH:
            return
        allowed = {os.geteuid(), folder.st_uid}
    if found.st_uid not in allowed:
        raise error(EPERM, f"{doing}, which is of user {found.st_uid}")


def _unlink(path: str, directory: int | None = None) -> int:
    try:
        os.unlink(path, dir_fd=directory)
    except OSError as problem:
        if problem.filename is None:  # a signal handler's
            raise
        return -(problem.errno or ENOENT)
    return 0
