"""Bind a Unix socket to a path: what lives there is never stolen, what is dead is never in the way.

Everybody who binds through here holds the lock of the directory meanwhile, and the kernel frees it
when they die. Why not otherwise, and what is true at each step: docs/design/unix-paths.md.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_DGRAM, socket
from errno import (
    EADDRINUSE,
    EAGAIN,
    ECONNREFUSED,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOTDIR,
    ENOTSOCK,
    EPERM,
    EPROTOTYPE,
    ETIMEDOUT,
)
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from stat import S_IMODE, S_ISSOCK
from time import monotonic_ns

from . import _deadline
from ._backend import ops
from ._descriptor import Handle
from ._linux import O_PATH
from .errors import AlreadyExistsError, IPCError, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypeVar, Union

    Self = TypeVar("Self", bound="BoundPath")
    Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

_LONGEST_PATH = 107  # bytes: sun_path, less the NUL
_LONGEST_NAME = _LONGEST_PATH - len("/proc/self/fd/2147483647/")  # so that no descriptor is too great

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NODE = O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class BoundPath:
    """A name in the file system that has a socket, and how to take it away again.

    A `with` block removes it at the end. To drop the object does not, and is a `ResourceWarning`; a
    name whose socket is closed is in nobody's way, though, since the next `bind` takes it over.

    Attributes:
        path: The path, as it was given.
    """

    __slots__ = ("_folder", "_name", "_node", "_pid", "path")

    def __init__(self, path: str | bytes, folder: bytes, name: bytes, node: Handle) -> None:
        self.path = path
        # chdir(2) may come before remove().
        self._folder = folder if folder[:1] == b"/" else os.path.join(os.getcwdb(), folder)
        self._name = name
        # As long as it is open, no other file gets the number of this inode.
        self._node = node
        self._pid = os.getpid()

    def remove(self, *, timeout: float | None = 5.0) -> None:
        """Remove the name, if it still is the one that was bound; again, or in a forked child: nothing.

        The socket may be closed before or after. See unlink(2).

        Raises:
            AccessError: The directory may not be written, or not read.
            TimedOutError: Somebody else has the directory locked (flock(2)).
            WouldBlockError: The same, with `timeout=0`.
        """
        _deadline.valid(timeout)
        if self._pid != os.getpid():
            self._node.close()
        if self._node.closed:
            return
        try:
            with _open(self._folder, _FOLDER) as directory, _Lock(directory, self._folder, timeout):
                if not self._node.closed and _is_at(self._node, directory, self._name):
                    os.unlink(self._name, dir_fd=directory.fileno())
                self._node.close()
        except OSError as problem:
            if problem.errno in (ENOENT, ENOTDIR):
                self._node.close()
            elif isinstance(problem, IPCError):
                raise
            else:
                raise error(problem.errno or 0, f"remove {self.path!r}") from problem

    def leave(self) -> None:
        """Let the name be somebody else's to remove, who has the socket too."""
        self._node.close()

    @property
    def absolute(self) -> str:
        """The path, for a process that is in another directory."""
        folder = self._folder[:-1] if self._folder.endswith(b"/.") else self._folder
        return os.fsdecode(os.path.join(folder, self._name))

    def fileno(self) -> int:
        """A descriptor of the name itself (O_PATH), which who takes it over has to get."""
        return self._node.fileno()

    def __repr__(self) -> str:
        return f"<bound path {self.path!r}{' removed' if self._node.closed else ''}>"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def adopt(path: Path, node: Handle) -> BoundPath:
    """The name of a socket that another process has bound and handed over: from now on ours to remove.

    Args:
        path: An absolute one: the other process may be somewhere else.
        node: What the `fileno()` of its `BoundPath` was, which gives its own up. It is not opened by the
            path, which may have come to mean something else.

    Raises:
        IPCError: It is no socket (ENOTSOCK).
    """
    _, folder, name = _split(path)
    if not S_ISSOCK(os.fstat(node.fileno()).st_mode):
        raise error(ENOTSOCK, f"take over {os.fspath(path)!r}")
    return BoundPath(os.fspath(path), folder, name, Handle(node))


def bind(
    sock: socket, path: Path, *, mode: int = 0o600, backlog: int | None = None, timeout: float | None = 5.0
) -> BoundPath:
    """Bind a Unix socket of any kind to *path*, and listen if there is a *backlog*.

    A socket's name that nobody has bound any more is replaced. Nobody can connect whom *mode* does
    not let, at any moment and whatever the umask. A path longer than 107 bytes is bound by way of
    /proc, and then `getsockname()` does not tell it. See unix(7), flock(2).

    Args:
        sock: Not bound yet. It stays open whatever happens; once it was bound, it stays so.
        path: Its name has at most 82 bytes if it is longer than 107 bytes.
        mode: The permissions, exactly; who may write may connect.
        backlog: As in listen(2), or None not to listen.
        timeout: How many seconds to wait for others who bind in this directory.

    Raises:
        AlreadyExistsError: Somebody has it bound, or it is something else than a socket.
        AccessError: The directory may not be read and written; or a socket is there that we may
            not connect to, so that there is no telling whether somebody has it.
        NotFoundError: There is no such directory.
        TimedOutError: Somebody else has the directory locked.
        WouldBlockError: The same, with `timeout=0`.
        IPCError: The socket is bound already (EINVAL).
    """
    _deadline.valid(timeout)
    raw, folder, name = _split(path)
    if sock.family != AF_UNIX:
        raise ValueError(f"not a Unix socket: {sock!r}")
    if mode & ~0o777:
        raise ValueError(f"mode must be permissions, 0 to 0o777, not {mode!r}")
    if backlog is not None and not 0 <= backlog < 1 << 31:
        raise ValueError(f"backlog is 0..2**31-1 or None, not {backlog!r}")
    doing = f"bind {os.fspath(path)!r}"
    node: Handle | None = None
    before: int | None = None
    try:
        if sock.getsockname():
            raise error(EINVAL, f"{doing}: the socket is bound already")
        with _open(folder, _FOLDER) as directory, _Lock(directory, folder, timeout):
            before = os.fstat(sock.fileno()).st_mode
            os.fchmod(sock.fileno(), mode)  # the name is born with this, less the umask
            was = _stat_at(directory, name)
            _claim(sock, raw, name, directory, doing)
            node = _open_or_none(raw)
            if node is None or not _is_at(node, directory, name):
                now = _stat_at(directory, name)
                if now is not None and (was is None or not os.path.samestat(was, now)):
                    os.unlink(name, dir_fd=directory.fileno())  # ours; at the path is a stranger's by now
                    before = None
                raise error(EEXIST, f"{doing}: it or its directory was replaced meanwhile")
            _set_mode(node, mode, doing)
            if backlog is not None:
                sock.listen(backlog)
            return BoundPath(os.fspath(path), folder, name, node)
    except BaseException as problem:  # a signal handler's too
        if before is not None:
            _take_back(sock, raw, node, before)
        if node is not None:
            node.close()
        if isinstance(problem, OSError) and not isinstance(problem, IPCError):
            number = problem.errno or 0
            raise error(EEXIST if number == EADDRINUSE else number, doing) from problem
        raise


def is_dead(path: Path) -> bool:
    """Whether a socket is at that path which nobody has bound any more; nobody notices the question.

    Raises:
        IPCError: There is no telling: we may not connect to it; or it is no socket, or gone.
    """
    raw, _, _ = _split(path)
    node = _open_or_none(raw)
    doing = f"look who has {os.fspath(path)!r} bound"
    if node is None:
        raise error(ENOENT, doing)
    with node:
        if not S_ISSOCK(os.fstat(node.fileno()).st_mode):
            raise error(ENOTSOCK, doing)
        try:
            _check_dead(node, doing)
        except AlreadyExistsError:
            return False
        return True


def remove_dead(path: Path, *, timeout: float | None = 5.0) -> None:
    """Remove the name of a socket that nobody has bound any more.

    Raises:
        AlreadyExistsError: Somebody has it bound, or it is something else.
        NotFoundError: There is no such name.
        AccessError, TimedOutError: As `bind()`.
    """
    raw, folder, name = _split(path)
    doing = f"remove {os.fspath(path)!r}"
    try:
        with _open(folder, _FOLDER) as where, _Lock(where, folder, timeout), _open(raw, _NODE) as node:
            _check_dead(node, doing)
            if _is_at(node, where, name):
                os.unlink(name, dir_fd=where.fileno())
    except OSError as problem:
        if isinstance(problem, IPCError):
            raise
        raise error(problem.errno or 0, doing) from problem


def connect(sock: socket, path: Path, deadline: int, doing: str) -> None:
    """Connect a socket that does not block to a path of any length, or to an abstract name (after a NUL).

    It waits while the backlog there is full.
    """
    raw = os.fsencode(path)
    if raw[:1] != b"\0":
        _split(path)  # which refuses what no socket can have
    folder = ops.Descriptor()
    try:
        problem = 0
        if len(raw) > _LONGEST_PATH and raw[:1] != b"\0":
            problem = -ops.fd_open(folder, os.path.dirname(raw), O_PATH | os.O_DIRECTORY)
            raw = b"/proc/self/fd/%d/%b" % (folder._number, os.path.basename(raw))
        problem = problem or _connect_by(sock, raw, deadline)
    finally:
        folder._close()
    if problem:
        raise error(problem, doing)


def _connect_by(sock: socket, address: bytes, deadline: int) -> int:
    length = 0.0
    while True:
        problem = sock.connect_ex(address)
        if problem != EAGAIN:
            return problem
        if monotonic_ns() >= deadline:
            return ETIMEDOUT if deadline else EAGAIN
        length = _deadline.nap(length, deadline)


def _split(path: Path) -> tuple[bytes, bytes, bytes]:
    raw = os.fsencode(path)
    folder, name = os.path.split(raw)
    if not name or b"\0" in raw:
        raise ValueError(f"not a path that a socket can have: {path!r}")
    if len(raw) > _LONGEST_PATH and len(name) > _LONGEST_NAME:
        raise ValueError(f"the name has more than {_LONGEST_NAME} bytes, in a path so long: {path!r}")
    return raw, folder or b".", name


def _open(path: bytes, flags: int) -> Handle:
    handle = Handle._empty()
    result = ops.fd_open(handle, path, flags)
    if result < 0:
        raise OSError(-result, os.strerror(-result))  # the caller knows what for
    return handle


def _open_or_none(path: bytes) -> Handle | None:
    try:
        return _open(path, _NODE)
    except FileNotFoundError:
        return None


def _stat_at(directory: Handle, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory.fileno(), follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_at(node: Handle, directory: Handle, name: bytes) -> bool:
    """Whether that is what the name in the directory stands for."""
    found = _stat_at(directory, name)
    return found is not None and os.path.samestat(found, os.fstat(node.fileno()))


class _Lock:
    """The lock of a directory, held in a `with` block; whoever closes the directory frees it too."""

    __slots__ = ("_directory",)

    def __init__(self, directory: Handle, folder: bytes, timeout: float | None) -> None:
        self._directory = directory
        deadline = _deadline.after(timeout)
        length = 0.0
        while True:  # flock(2) has no timeout of its own, and a stranger may hold it for ever
            try:
                flock(directory, LOCK_EX | LOCK_NB)
                return
            except BlockingIOError:
                if monotonic_ns() >= deadline:
                    whose = f"lock directory {os.fsdecode(folder)!r}, which somebody else has locked"
                    raise error(ETIMEDOUT if timeout else EAGAIN, whose) from None
            length = _deadline.nap(length, deadline)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # To close is not enough: if another thread has forked meanwhile, the child has it open too.
        flock(self._directory, LOCK_UN)


def _claim(sock: socket, raw: bytes, name: bytes, directory: Handle, doing: str) -> None:
    """Bind, in the place of a dead socket if there is one."""
    address = raw if len(raw) <= _LONGEST_PATH else b"/proc/self/fd/%d/%b" % (directory.fileno(), name)
    old = _open_or_none(raw)
    if old is None:
        sock.bind(address)
        return
    with old:  # to the end, lest the new inode have the number of this one
        # Not in vain, though the name is there: a stranger within bind(2) has made it and not bound it
        # yet, and would look dead. Since Linux 5.14 he has the kernel's lock of the directory
        # meanwhile, so this call returns when he is through.
        try:
            sock.bind(address)
        except OSError as problem:
            if problem.errno != EADDRINUSE:
                raise
        else:
            return
        _check_dead(old, doing)
        if _is_at(old, directory, name):
            os.unlink(name, dir_fd=directory.fileno())
        sock.bind(address)


def _check_dead(node: Handle, doing: str) -> None:
    if not S_ISSOCK(os.fstat(node.fileno()).st_mode):
        raise error(EEXIST, f"{doing}: it is not a socket")
    # A datagram socket, whatever the other is: to connect one sends nothing and queues nothing.
    probe = socket(AF_UNIX, SOCK_DGRAM)
    try:
        number = probe.connect_ex(f"/proc/self/fd/{node.fileno()}")
    finally:
        probe.close()
    if number in (0, EPROTOTYPE, EPERM):  # EPERM: a datagram socket that listens to one peer only
        raise error(EEXIST, f"{doing}: somebody has it bound")
    if number != ECONNREFUSED:
        raise error(number, f"{doing}: a socket is there, and no telling whether somebody has it bound")


def _set_mode(node: Handle, mode: int, doing: str) -> None:
    found = os.fstat(node.fileno())
    if S_IMODE(found.st_mode) == mode:
        return
    if not S_ISSOCK(found.st_mode) or found.st_nlink != 1:
        raise error(EEXIST, f"{doing}: something else was put in its place meanwhile")
    # By name it could hit the target of a symlink: fchmodat(2) follows them, and fchmodat2 (Linux
    # 6.6) is not in Python. fchmod(2) refuses O_PATH. The link in /proc leads to this inode only.
    os.chmod(f"/proc/self/fd/{node.fileno()}", mode)


def _take_back(sock: socket, raw: bytes, node: Handle | None, before: int) -> None:
    """After a failure: remove the name if there is one, else give the socket its mode again."""
    if not sock.getsockname():
        os.fchmod(sock.fileno(), S_IMODE(before))
        return
    try:
        # Without the lock, which is free by now: our socket is bound, so nobody takes it over.
        found = os.lstat(raw)
        if S_ISSOCK(found.st_mode) and (node is None or os.path.samestat(found, os.fstat(node.fileno()))):
            os.unlink(raw)
    except FileNotFoundError:
        pass
