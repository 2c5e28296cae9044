"""Channels beside what else carries messages between two processes, and the core in C alone.

Who polls is never told that nothing comes: it uses a whole CPU for as long as it waits. pyipc sleeps. Rows
of messages that wait for each other compare it with either kind; where messages stream nobody sleeps much.
"""

from __future__ import annotations

from pathlib import Path

from contest import BEST, CFFI, HERE, Bound, Contestant, Row, compiled, python

WAYS = {
    "pyipc": ("with_pyipc", "pyipc"),
    CFFI: ("with_pyipc_cffi", "pyipc"),
    "os.pipe": ("with_pipe", "pyipc"),
    "socketpair": ("with_socketpair", "pyipc"),
    "mp.Pipe": ("with_mp_pipe", "pyipc"),
    "mp.Queue": ("with_mp_queue", "pyipc"),
    "mp.SimpleQueue": ("with_mp_simple_queue", "pyipc"),
    "mp.shared_memory + Semaphore": ("with_shared_memory", "pyipc"),
    "sysv_ipc": ("with_sysv_ipc", "sysv_ipc"),
    "posix_ipc": ("with_posix_ipc", "posix_ipc"),
    "faster-fifo": ("with_faster_fifo", "faster_fifo"),
    "kickmsg": ("with_kickmsg", "kickmsg"),
    "cloudtoid": ("with_cloudtoid", "cloudtoid_interprocess"),
    "iceoryx2": ("with_iceoryx2", "iceoryx2"),
    "pyzmq": ("with_zmq", "zmq"),
    "pynng": ("with_pynng", "pynng"),
    "mp.shared_memory (polls)": ("with_shared_memory_polling", "pyipc"),
    "kickmsg (polls)": ("with_kickmsg_polling", "kickmsg"),
    "cloudtoid (polls)": ("with_cloudtoid_polling", "cloudtoid_interprocess"),
    "iceoryx2 (polls)": ("with_iceoryx2_polling", "iceoryx2"),
}
POLL = [name for name in WAYS if name.endswith("(polls)")]
SLEEP = [name for name in WAYS if name not in POLL]
OBJECTS = [
    "pyipc",
    "mp.Pipe",
    "mp.Queue",
    "mp.SimpleQueue",
    "faster-fifo",
    "pyzmq",
    "kickmsg (polls)",
    "cloudtoid (polls)",
]
COPY = [
    "pyipc",
    "socketpair",
    "mp.shared_memory + Semaphore",
    "cloudtoid (polls)",
    "kickmsg (polls)",
    "iceoryx2 (polls)",
]
IN_PLACE = ["pyipc", "mp.shared_memory + Semaphore", "kickmsg (polls)", "iceoryx2 (polls)"]
BATCHES = ["pyipc", CFFI, "os.pipe", "faster-fifo", "cloudtoid (polls)"]
MANY_SEND = [name for name in WAYS if not name.startswith(("mp.Pipe", "mp.shared", "kickmsg"))]
ARRAYS = ["pyipc", "mp.Pipe", "mp.Queue", "mp.SimpleQueue", "faster-fifo"]

ONE_WAY = "one way, by the clock on the wall"


def rows(scratch: Path) -> list[Row]:
    limit = _limit(scratch)

    def row(id: str, title: str, names: list[str], most: float, how: str = "across", calls: int = 1) -> Row:
        found = [*_contestants(names, how), *([limit] if CFFI in names or names in (COPY, IN_PLACE) else [])]
        return Row(id, title, found, [Bound(most, BEST)], calls=calls, pinned=False)

    trip = row(
        "trip-64", "64 bytes there and back, each process on its own CPU; who waits sleeps", SLEEP, 0.02
    )
    return [
        trip._replace(bounds=[*trip.bounds, Bound(1.2, BEST, "pyipc, p99")]),
        row("trip-64-free", "the same, on whatever CPUs the kernel picks", SLEEP, 0.1, "across-free"),
        row("trip-64-one-cpu", "the same, both on one CPU", SLEEP, 0.95, "across-one-cpu"),
        row("trip-64-polling", "the same, each on its own; the peers poll", ["pyipc", CFFI, *POLL], 0.85),
        row("stream-64", f"64 bytes, {ONE_WAY}", list(WAYS), 1 / 1.2),
        row("stream-64-batch", f"64 bytes in batches of 64, {ONE_WAY}", BATCHES, 1 / 1.5, calls=64),
        row("stream-1k", f"1 KiB, {ONE_WAY}", list(WAYS), 1 / 1.1),
        row("stream-1k-batch", f"1 KiB in batches of 64, {ONE_WAY}", BATCHES, 1 / 1.3, calls=64),
        row("fan-in-64", f"64 bytes from 4 processes to one, {ONE_WAY}", MANY_SEND, 1 / 1.1, calls=4),
        row("fan-in-64-batch", f"the same in batches of 64, {ONE_WAY}", BATCHES, 1 / 1.5, calls=256),
        row("payload-1m", f"1 MiB, copied once, {ONE_WAY}", COPY, 0.9),
        row("payload-64m", f"64 MiB, copied once, {ONE_WAY}", COPY, 1.02),
        row("in-place-1m", f"1 MiB, written and read in place, {ONE_WAY}", IN_PLACE, 0.75),
        row("in-place-64m", f"64 MiB, written and read in place, {ONE_WAY}", IN_PLACE, 0.95),
        _arrays(row("array-1m", f"a numpy array of 1 MiB as an object, {ONE_WAY}", ARRAYS, 0.05)),
        _arrays(row("array-64m", f"a numpy array of 64 MiB as an object, {ONE_WAY}", ARRAYS, 0.08)),
        row("object-dict", f"a dict of 10 fields as an object, {ONE_WAY}", OBJECTS, 1 / 1.05),
        row("object-list", f"a list of 1000 ints as an object, {ONE_WAY}", OBJECTS, 1.0),
    ]


def _contestants(names: list[str], how: str) -> list[Contestant]:
    return [python(name, f"channels.{WAYS[name][0]}", WAYS[name][1], how=how) for name in names]


def _arrays(row: Row) -> Row:
    """These take numpy."""
    missing = python("numpy", "numpy", "numpy").missing
    return row._replace(contestants=[one._replace(missing=one.missing or missing) for one in row.contestants])


def _limit(scratch: Path) -> Contestant:
    """The core itself; its files that know Python are not needed."""
    core = [path for path in (HERE.parent / "csrc").glob("*.c") if "PYPY_VERSION" not in path.read_text()]
    return compiled("C", HERE / "channels/limit.c", scratch, *core)
