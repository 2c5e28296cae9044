"""Runs one function of a test in a process of its own; the function comes as text, by the first line."""

from __future__ import annotations

import importlib
import os

import handshake

names: dict = {}  # the globals of the function, which last as long as the process


def main() -> None:
    handshake.begin()
    name, source, arguments, user = handshake.hear()
    if user is not None:
        for module in (
            "resource",
            "signal",
            "socket",
            "pyipc.fds",
            "pyipc.memory",
            "pyipc.posix",
            "pyipc.sysv",
        ):
            importlib.import_module(module)  # while its file can still be read
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    exec(compile(source, name, "exec"), names)
    names[name](handshake.say, handshake.hear, *arguments)


if __name__ == "__main__":
    main()
