"""Runs one function of a test in a process of its own; the function comes as text, by the first line."""

from __future__ import annotations

import os

import handshake

names: dict = {}  # the globals of the function, which last as long as the process


def main() -> None:
    handshake.begin()
    name, source, arguments, user = handshake.hear()
    if user is not None:
        # Both while the files can still be read.
        import resource  # noqa: F401
        import signal  # noqa: F401
        import socket  # noqa: F401

        import pyipc.fds
        import pyipc.memory
        import pyipc.sysv  # noqa: F401

        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    exec(compile(source, name, "exec"), names)
    names[name](handshake.say, handshake.hear, *arguments)


if __name__ == "__main__":
    main()
