"""One measurement of one Python contestant, in a process of its own.

    worker.py work|latency|across MODULE ROW SECONDS

The module has a generator for each row, named as the row with `_` for `-`. It makes what it needs,
yields once, and removes what it made. What it yields is timed: for `work` a function that does n
operations and raises if a payload is wrong, for `latency` the calls that are timed one by one, for
`across` two such functions, the halves of an operation that two processes do together.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from contextlib import contextmanager
from statistics import median
from time import perf_counter_ns as clock
from time import process_time_ns as cpu_clock

BLOCK_NS = 1_000_000  # long enough for the rare costs (garbage collection) to be in every block


def work(block, seconds):
    """The median over blocks of about 1 ms of CPU time; peer.pl and limit.c measure in the same way.

    No row waits for anything, so on an idle machine this is the time that passes; on a busy one it
    leaves out what other processes took.
    """

    def timed():
        start = cpu_clock()
        block(n)
        return cpu_clock() - start

    n = 2
    while min(timed(), timed(), timed()) < BLOCK_NS:
        n *= 2
    times = []
    stop = clock() + seconds * 1e9
    while clock() < stop or len(times) < 5:
        times.append(timed())
    return {"": median(times) / n}


def latency(calls, seconds):
    """Every single call, while a second thread computes in Python."""
    running, spinning = True, threading.Event()
    cpus = sorted(os.sched_getaffinity(0))

    def spin():
        os.sched_setaffinity(0, cpus[:1])  # of this thread; on one CPU the two would take turns
        spinning.set()
        n = 0
        while running:
            n += 1

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        spinning.wait()
        os.sched_setaffinity(0, cpus[-1:])
        times = []
        stop = clock() + seconds * 1e9
        while clock() < stop or len(times) < 100:
            for call in calls:
                start = clock()
                call()
                times.append(clock() - start)
    finally:
        running = False
        thread.join()
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}


ACROSS_BLOCK_NS = 5_000_000


def across(halves, seconds):
    """The second half in a process and on a CPU of its own; by the clock on the wall, as limit.c does it."""
    first, second = halves
    cpus = sorted(os.sched_getaffinity(0))
    orders, answers = os.pipe(), os.pipe()
    if os.fork() == 0:
        status = 1
        try:
            os.close(orders[1])
            os.sched_setaffinity(0, cpus[-1:])
            while order := os.read(orders[0], 8):
                second(int.from_bytes(order, "little"))
                os.write(answers[1], b"x")
            status = 0
        finally:
            os._exit(status)  # it must not go on as if it were the first
    os.close(answers[1])
    os.sched_setaffinity(0, cpus[:1])

    def timed():
        start = clock()
        os.write(orders[1], n.to_bytes(8, "little"))
        first(n)
        if not os.read(answers[0], 1):
            raise SystemExit("the second process has failed")
        return clock() - start

    n = 2
    while min(timed(), timed(), timed()) < ACROSS_BLOCK_NS:
        n *= 2
    times = []
    stop = clock() + seconds * 1e9
    while clock() < stop or len(times) < 5:
        times.append(timed())
    os.close(orders[1])
    os.wait()
    return {"": median(times) / n}


def main(how, module, row, seconds):
    generator = getattr(importlib.import_module(module), row.replace("-", "_"))
    with contextmanager(generator)() as timed:
        print(json.dumps(globals()[how](timed, float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
