"""Processes by descriptor (pidfd_open(2))."""

from __future__ import annotations

from errno import EBADF, ECHILD, EINTR, ENOENT, ETIMEDOUT

from . import _deadline
from ._backend import ops
from ._descriptor import Handle, WaitedHandle, pid_of
from .errors import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Self = TypeVar("Self", bound="Pidfd")

_ALREADY = 0  # a deadline that has passed: look, do not wait

_MOST_SIGNALS = 64


class Pidfd(WaitedHandle):
    """A process, by a descriptor that means it and no other, whoever has its pid by now.

    It is readable, for select(2) and the like, once the process has ended.

    Args:
        descriptor: A pidfd's number that nobody else will close; or a handle, which gives its own up.
    """

    __slots__ = ()
    kind = "pidfd"

    @classmethod
    def open(cls: type[Self], pid: int) -> Self:
        """The process that has this pid now. That it is the one you mean, only its parent can know.

        Raises:
            ProcessGoneError: There is none.
            UnsupportedError: Before Linux 5.3, or where a sandbox forbids it.
        """
        if not 0 < pid < 1 << 31:
            raise ValueError(f"a pid is 1..2**31-1, not {pid}")
        pidfd = cls._empty()
        check(ops.now_pidfd_open(pidfd, pid), f"open a pidfd of process {pid}")
        return pidfd

    @property
    def pid(self) -> int:
        """Its pid as this process sees it: -1 once it was reaped, 0 in a foreign pid namespace."""
        return pid_of(self)

    def send(self, signal: int) -> None:
        """Send it a signal; 0 sends none, and tells whether one could (pidfd_send_signal(2)).

        Raises:
            ProcessGoneError: It has ended, and was reaped.
            AccessError: It is somebody else's.
        """
        if not 0 <= signal <= _MOST_SIGNALS:
            raise ValueError(f"a signal is 0..{_MOST_SIGNALS}, not {signal}")
        result = ops.now_pidfd_send(self, signal)
        if result < 0:
            raise self._error(result, f"send signal {int(signal)} to")

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended.

        Its parent's claim is not touched: a child stays a zombie until whoever it belongs to reaps it.

        Returns:
            Of a child of this process that nobody has reaped, how it ended: its exit status, or minus
            the signal that killed it. Of any other process None.

        Raises:
            WouldBlockError: With `timeout=0`: it is running.
            TimedOutError: It did not end in time.
        """
        self._wait_for_end(timeout)
        return self._status(reap=False)

    def reap(self, timeout: float | None = None) -> int:
        """Wait until this child of ours has ended, and let the kernel forget it (waitid(2)).

        Returns:
            Its exit status, or minus the signal that killed it.

        Raises:
            IPCError: ECHILD, at once: it is no child of this process, or somebody has reaped it.
            WouldBlockError: With `timeout=0`: it is running.
            TimedOutError: It did not end in time.
        """
        if ops.now_pidfd_status(self, False) != -ECHILD:
            self._wait_for_end(timeout)
        status = self._status(reap=True)
        if status is None:
            raise self._error(-ECHILD, "reap")
        return status

    def _wait_for_end(self, timeout: float | None) -> None:
        _deadline.valid(timeout)
        result = ops.fd_wait(self._number, ops.READABLE, _ALREADY)
        if result in (-ETIMEDOUT, -EINTR):
            result = self._wait(lambda end: ops.fd_wait(self._number, ops.READABLE, end), timeout, "wait for")
        if result < 0:
            raise self._error(result, "wait for")

    def _status(self, *, reap: bool) -> int | None:
        result = ops.now_pidfd_status(self, reap)
        if result == -ECHILD:
            return None
        if isinstance(result, int):
            raise self._error(result, "learn how it ended from")
        _, code, signal, _ = result
        return -signal if signal else code

    def getfd(self, number: int) -> Handle:
        """A copy of that descriptor of the process (pidfd_getfd(2)).

        Raises:
            AccessError: This process may not trace that one (ptrace(2)).
            NotFoundError: It has no such descriptor.
            UnsupportedError: Before Linux 5.6, or not on this backend; see `pyipc.capabilities()`.
        """
        if not 0 <= number < 1 << 31:
            raise ValueError(f"a descriptor is 0..2**31-1, not {number}")
        copy = Handle._empty()
        result = ops.now_pidfd_getfd(copy, self, number)
        if result == -EBADF and self.pid:  # which is an error of its own, if this is no pidfd
            result = -ENOENT
        if result < 0:
            raise self._error(result, f"copy descriptor {number} of")
        return copy
