"""System V: semaphores, segments and queues, beside every Python and Perl binding, and C."""

from __future__ import annotations

from pathlib import Path

from contest import BEST, FALLBACK, HERE, Bound, Contestant, Row, backend_missing, compiled, perl, python

PERL, ATTACHED = "perl", "perl IPC::SysV"


def rows(scratch: Path) -> list[Row]:
    ours = python("pyipc", "sysv.with_pyipc", "pyipc")
    fallback = python(FALLBACK, "sysv.with_pyipc", "pyipc", PYIPC_BACKEND="fallback")
    fallback = fallback._replace(missing=backend_missing("fallback"))
    theirs = python("sysv_ipc", "sysv.with_sysv_ipc", "sysv_ipc")
    sets = python("sysvipc-python", "sysv.with_sysvipc", "sysvipc")
    builtin = _mode(perl(PERL, HERE / "sysv/peer.pl", "Time::HiRes"), "builtin")
    attached = _mode(perl(ATTACHED, HERE / "sysv/peer.pl", "Time::HiRes", "IPC::SysV"), "attached")
    limit = compiled("C", HERE / "sysv/limit.c", scratch)
    under_load = [
        python("pyipc", "sysv.with_pyipc", "pyipc", how="latency"),
        python("sysv_ipc", "sysv.with_sysv_ipc", "sysv_ipc", how="latency"),
    ]
    return [
        Row(
            "semop-one",
            "semop of one: release() and acquire(), per call",
            [ours, fallback, theirs, sets, builtin, limit],
            [Bound(1.0, "sysv_ipc"), Bound(1.1, PERL)],
            calls=2,
        ),
        Row(
            "semop-three",
            "semop of three, prepared, per call",
            [ours, sets, builtin, limit],
            [Bound(1.3, "C")],
            calls=2,
        ),
        Row(
            "semtimedop",
            "release() and acquire(timeout=1.0), per call",
            [ours, fallback, theirs, limit],
            [],
            calls=2,
        ),
        Row(
            "copy-64",
            "write 64 bytes and read them",
            [ours, fallback, theirs, builtin, limit],
            [Bound(0.4, "sysv_ipc")],
            calls=2,
        ),
        Row(
            "view-64",
            "the same through a view: `.buf`, memoryview, memwrite and memread",
            [ours, theirs, attached, limit],
            [Bound(1.0, "sysv_ipc", aim=True)],
            calls=2,
        ),
        Row(
            "copy-1m",
            "write 1 MiB and read it",
            [ours, fallback, theirs, builtin, limit],
            [],
            calls=2,
        ),
        Row(
            "message-64",
            "msgsnd and msgrcv of 64 bytes",
            [ours, fallback, theirs, builtin, limit],
            [Bound(0.85, "sysv_ipc")],
            calls=2,
        ),
        Row(
            "attach",
            "attach and detach 1 MiB, by a handle that stays",
            [ours, fallback, theirs, attached, limit],
            [Bound(1.05, "sysv_ipc")],
        ),
        Row(
            "attach-read",
            "attach 1 MiB, read 64 bytes of it, detach, by a handle that stays",
            [ours, fallback, theirs, attached, limit],
            [],
        ),
        Row(
            "attach-id",
            "attach 1 MiB by its id and detach, with a new handle",
            [ours, fallback, theirs, limit],
            [],
        ),
        Row(
            "create-segment",
            "create and remove a segment of 4 KiB (perl and C do not attach it; perl IPC::SysV does)",
            [ours, fallback, theirs, builtin, attached, limit],
            [Bound(1.15, BEST, aim=True)],
        ),
        Row(
            "create-set",
            "create and remove a set of one",
            [ours, fallback, theirs, sets, builtin, limit],
            [Bound(1.3, BEST, aim=True)],
        ),
        Row(
            "create-queue",
            "create and remove a queue",
            [ours, fallback, theirs, builtin, limit],
            [Bound(1.3, BEST, aim=True)],
        ),
        Row(
            "busy-thread",
            "acquire() or release() while another thread computes, each single call",
            under_load,
            [Bound(5000, ours="pyipc, p99")],
            pinned=False,
        ),
    ]


def _mode(contestant: Contestant, mode: str) -> Contestant:
    return contestant._replace(command=[*contestant.command, mode])
