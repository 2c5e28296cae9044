"""A text for each reader.

How it is known that a reader has gone, though nobody may have the fifo open for writing meanwhile, or the
reader would see no end: docs/design/fifos.md.
"""

from __future__ import annotations

import os
from errno import EAGAIN, EIDRM, EMFILE, ENOSPC, EPIPE, ETIMEDOUT
from time import monotonic_ns

from .. import _deadline
from .._backend import ops
from .._descriptor import Handle
from ..errors import ClosedError, check, error, limit_error
from .ends import AT_ONCE, Reader, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..errors import IPCError
    from .fifo import Fifo


# How long the kernel takes to close a file, at most; who takes longer costs a text.
_GOING_NS = 2_000_000


class _Stopped(Exception):  # noqa: N818 (nobody sees it)
    """The fifo was closed."""


def serve(fifo: Fifo, producer: Callable[[], Any], timeout: float | None) -> None:
    """As `Fifo.serve` says."""
    _deadline.valid(timeout)
    fifo._refuse_if_closed()
    try:
        while True:
            _Serving(fifo, producer, timeout).run()
            fifo._renew()
    except _Stopped:
        pass


class _Serving:
    """It lasts as long as the inode has its name."""

    __slots__ = ("_fifo", "_has_just_gone", "_producer", "_timeout")

    def __init__(self, fifo: Fifo, producer: Callable[[], Any], timeout: float | None) -> None:
        self._fifo = fifo
        self._producer = producer
        self._timeout = timeout
        self._has_just_gone = False

    def run(self) -> None:
        with Handle._empty() as node, Handle._empty() as watch:
            if ops.now_twin(node, self._fifo._node) < 0:
                raise _Stopped  # closed by another thread
            path = b"/proc/self/fd/%d" % node.fileno()
            result = ops.fifo_watch(watch, path)
            if result < 0:
                raise _cannot_watch(result, node, f"watch {self._fifo}")
            while self._serve_one(path, watch):
                _empty(path)

    def _serve_one(self, path: bytes, watch: Handle) -> bool:
        """False if its name has gone, and nobody is left who opened it before."""
        with Writer._empty() as writer:
            result = self._wait(lambda until: self._open(writer, path, until), "wait for a reader of")
            if result == -EIDRM:
                return False
            if result == -EAGAIN:
                raise self._fifo._no_thread()
            check(result, f"write to {self._fifo}")
            gone = self._give(writer, watch)
        if not gone:
            result = self._wait(
                lambda until: ops.fd_wait(watch.fileno(), ops.READABLE, until),
                "wait until the reader has gone of",
            )
            check(result, f"watch {self._fifo}")
            self._has_just_gone = True
        return True

    def _open(self, writer: Writer, path: bytes, deadline: int) -> int:
        result = self._fifo._try_to_write(writer, path)
        if result == 0 and self._has_just_gone and _loses_its_reader(writer):
            writer.close()
            result = -EAGAIN
        self._has_just_gone = False
        if result != -EAGAIN:
            return result
        # Each wait looks around once a second, and so do we.
        return ops.fifo_open(writer, path, True, deadline) if self._fifo._is_still_so_named() else -EIDRM

    def _give(self, writer: Writer, watch: Handle) -> bool:
        """Whether nobody reads any more."""
        text = memoryview(self._producer()).cast("B")
        deadline = _deadline.by(self._timeout)  # for all of it: who reads slowly gets no more time
        while text:
            part = text[:AT_ONCE]
            result = ops.now_fifo_write(writer, part)
            if result == -EAGAIN:
                result = self._pour(writer, part, deadline)
            if result == -EPIPE:
                return True
            text = text[check(result, f"write to {self._fifo}") :]
        while ops.now_fifo_read(watch, [], AT_ONCE) != -EAGAIN:
            pass  # whoever has gone so far is none that we wait for
        # Who is there now will close it, and the watch will tell.
        return writer._is_unread()

    def _pour(self, writer: Writer, part: memoryview, deadline: int) -> int:
        def write(until: int) -> int:
            return writer._write_once(part, until)

        return self._wait(write, "wait until it is read, what is in", deadline)

    def _wait(self, attempt: Callable[[int], int], doing: str, deadline: int | None = None) -> int:
        until = _deadline.by(self._timeout) if deadline is None else deadline
        try:
            result: int = self._fifo._wait_until(attempt, until, doing)
        except ClosedError:
            if not self._fifo.closed:
                raise
            raise _Stopped from None
        if result == -ETIMEDOUT:
            raise error(ETIMEDOUT if self._timeout else EAGAIN, f"{doing} {self._fifo}")
        return result


def _loses_its_reader(writer: Writer) -> bool:
    """Whether who reads is the one before: the watch tells of its going before the pipe knows."""
    return ops.fd_wait(writer.fileno(), 0, monotonic_ns() + _GOING_NS) == 0


def _empty(path: bytes) -> None:
    """What a reader has left unread is nobody's; it would be the next one's, if that waits in open(2)."""
    with Reader._empty() as reader:
        if ops.fd_open(reader, path, os.O_RDONLY | os.O_NONBLOCK) < 0:
            return
        left = reader.capacity  # it was no more; a stranger who writes all the time shall not keep us
        while left > 0:
            result = ops.now_fifo_read(reader, [], AT_ONCE)
            if result <= 0:
                return
            left -= result


def _cannot_watch(result: int, node: Handle, doing: str) -> IPCError:
    if result == -EMFILE:
        node.dup().close()  # or it is the descriptors that there are too many of
    limits = {-EMFILE: "max_user_instances", -ENOSPC: "max_user_watches"}
    if result not in limits:
        return error(-result, doing)
    path = f"/proc/sys/fs/inotify/{limits[result]}"
    with open(path) as text:
        return limit_error(-result, doing, f"fs.inotify.{limits[result]}", int(text.read()), path)
