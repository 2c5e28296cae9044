"""Runs one function of a test in a process of its own; the function comes as text, by the first line."""

from __future__ import annotations

import contextlib
import importlib
import os

import handshake

names: dict = {}  # the globals of the function, which last as long as the process


def main() -> None:
    handshake.begin()
    name, source, arguments, user = handshake.hear()
    if user is not None:
        ours = "fds", "memory", "posix", "processes", "sysv", "compat.sysv_ipc", "compat.posix_ipc"
        theirs = "ctypes", "queue", "resource", "signal", "socket", "subprocess", "threading"
        for module in (*theirs, *(f"pyipc.{name}" for name in ours)):
            importlib.import_module(module)  # while its file can still be read
        for module in "sysv_ipc", "posix_ipc":
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    exec(compile(source, name, "exec"), names)
    names[name](handshake.say, handshake.hear, *arguments)


if __name__ == "__main__":
    main()
