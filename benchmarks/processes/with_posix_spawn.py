"""Programs, by os.posix_spawn: the least that the standard library can do."""

from __future__ import annotations

import os

from processes.checked import PROGRAM, spawning


def _once():
    pid = os.posix_spawn(PROGRAM, [PROGRAM], os.environ)
    if os.waitpid(pid, 0)[1]:
        raise AssertionError("it failed")


spawn = spawn_big = spawning(_once)
