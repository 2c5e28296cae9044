"""One measurement of one Python contestant, in a process of its own.

    worker.py work|children|once|latency|across[-free|-one-cpu] MODULE ROW SECONDS

The module has a generator for each row, named as the row with `_` for `-`. It makes what it needs,
yields once, and removes what it made. What it yields is timed: for `work` a function that does n
operations and raises if a payload is wrong, for `children` the same, of which the time of its children
counts too, for `once` one that does a single operation, by the clock on the wall, for `latency` the calls
that are timed one by one, for `across` two or more functions, the halves of an operation that so many
processes do together. Those are called with 0 first, in the process where they will run. What the first
gives back, if anything, is how long each of its operations took.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from functools import partial
from statistics import median
from time import perf_counter_ns as clock
from time import process_time_ns as cpu_clock

BLOCK_NS = 1_000_000  # long enough for the rare costs (garbage collection) to be in every block


def children_clock():
    """The CPU time of this process and of those children that it has waited for."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_clock() + round((use.ru_utime + use.ru_stime) * 1e9)


def once(block, seconds):
    """One that takes long enough by itself, whatever the seconds."""
    del seconds
    start = clock()
    block()
    return {"": clock() - start}


def work(block, seconds, cpu_clock=cpu_clock):
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

# Which CPUs are for the first half, and which for the others.
PLACES = {
    "": lambda cpus: (cpus[:1], cpus[-1:]),
    "free": lambda cpus: (cpus, cpus),
    "one-cpu": lambda cpus: (cpus[-1:], cpus[-1:]),
}


class Other:
    """A half in a process of its own, which does as many operations as it is told to."""

    def __init__(self, half, cpus):
        orders, answers = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(orders[1])
                os.sched_setaffinity(0, cpus)
                self._obey(half, orders[0], answers[1])
                os._exit(0)  # it must not go on as if it were the first
            except BaseException:  # SystemExit too: the parent's code must not run here
                traceback.print_exc()
                sys.stderr.flush()
                os.kill(os.getppid(), signal.SIGTERM)  # who may wait for what this one will not send
                os._exit(1)
        os.close(orders[0])
        os.close(answers[1])
        self.orders, self.answers = orders[1], answers[0]

    @staticmethod
    def _obey(half, orders, answers):
        while order := os.read(orders, 8):
            half(int.from_bytes(order, "little"))
            os.write(answers, b"x")

    def order(self, n):
        os.write(self.orders, n.to_bytes(8, "little"))

    def wait(self):
        if not os.read(self.answers, 1):
            sys.exit("another process has failed")


def across(halves, seconds, place=""):
    """The other halves in processes of their own; by the clock on the wall, as limit.c does it."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    here, there = PLACES[place](sorted(os.sched_getaffinity(0)))
    first = halves[0]
    others = [Other(half, there) for half in halves[1:]]
    os.sched_setaffinity(0, here)
    try:
        return _across(first, others, seconds)
    finally:
        for other in others:
            os.kill(other.pid, signal.SIGKILL)
            os.waitpid(other.pid, 0)


def _across(first, others, seconds):
    each = []

    def timed():
        start = clock()
        for other in others:
            other.order(n)
        each.extend(first(n) or ())
        for other in others:
            other.wait()
        return clock() - start

    n = 0
    timed()
    n = 2
    while min(timed(), timed(), timed()) < ACROSS_BLOCK_NS:
        n *= 2
    each.clear()
    times = []
    stop = clock() + seconds * 1e9
    while clock() < stop or len(times) < 5:
        times.append(timed())
    figures = {"": median(times) / n}
    if each:
        each.sort()
        figures["p99"] = each[len(each) * 99 // 100]
    return figures


def main(how, module, row, seconds):
    generator = getattr(importlib.import_module(module), row.replace("-", "_"))
    how, _, place = how.partition("-")
    measure = {
        "work": work,
        "children": partial(work, cpu_clock=children_clock),
        "once": once,
        "latency": latency,
        "across": partial(across, place=place),
    }[how]
    with contextmanager(generator)() as timed:
        figures = measure(timed, float(seconds))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
