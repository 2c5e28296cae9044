"""Carries handles through multiprocessing; says what came of it, and what was left open.

Arguments: which scenario, and its own. Nothing of multiprocessing is imported before the handles are made.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from fcntl import F_GETFD, FD_CLOEXEC, fcntl

import handshake

import pyipc
from pyipc import fds
from pyipc.memory import Memory

PATIENCE = 20


# ---- what both sides do ----


class Kit:
    """One handle of each kind, and what they lead to."""

    def __init__(self):
        self.reading, writing = os.pipe()
        self.pipe = fds.Handle(writing)
        self.eventfd = fds.Eventfd.create(3)
        self.pidfd = fds.Pidfd.open(os.getpid())
        self.memory = Memory(100_000)
        self.memory.write(b"parent's")
        self.reader = Memory.from_fd(os.dup(self.memory.fileno()), read_only=True)
        self.frozen = Memory(5000)
        self.frozen.write(b"fixed")
        self.frozen.freeze()

    def handles(self):
        return [self.pipe, self.eventfd, self.pidfd, self.memory, self.reader, self.frozen]

    def answer(self):
        """What the other process has done by its handles; ours still work."""
        self.eventfd.write(1)
        facts = {
            "pipe": os.read(self.reading, 100),
            "eventfd": self.eventfd.read(timeout=0),
            "memory": self.memory.read(15),
            "reader": self.reader.read(15),
            "frozen": self.frozen.read(5),
            "pidfd": self.pidfd.pid == os.getpid(),
            "cloexec": all(map(is_cloexec, self.handles())),
        }
        self.close()
        return facts

    def close(self):
        os.close(self.reading)
        for handle in self.handles():
            handle.close()


def is_cloexec(handle):
    return bool(fcntl(handle.fileno(), F_GETFD) & FD_CLOEXEC)


def error_of(call, *arguments):
    try:
        call(*arguments)
    except Exception as problem:
        return type(problem).__name__
    return None


def open_now():
    """What is open: number, file, and whether a program that is executed would have it."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            where = os.readlink(f"/proc/self/fd/{name}")
            found.add((int(name), where, os.get_inheritable(int(name))))
    return found


def counts():
    """How many are open, and of those beside the standard ones how many would be inherited."""
    now = open_now()
    return len(now), sum(inheritable for number, _, inheritable in now if number > 2)


def use(pipe, eventfd, pidfd, memory, reader, frozen):
    """Use each, in the other process; then close them."""
    facts = {
        "types": [type(one).__name__ for one in (pipe, eventfd, pidfd, memory, reader, frozen)],
        "cloexec": [is_cloexec(one) for one in (pipe, eventfd, pidfd, memory, reader, frozen)],
        "eventfd": eventfd.read(timeout=0),
        "pid": pidfd.pid,
        "sizes": (memory.size, reader.size, frozen.size),
        "read_only": (memory.read_only, reader.read_only, frozen.read_only),
        "frozen": (memory.frozen, reader.frozen, frozen.frozen),
        "read": (memory.read(8), reader.read(8), frozen.read(5)),
        "refused": (error_of(reader.write, b"x"), error_of(frozen.write, b"x")),
    }
    pidfd.send(0)
    os.write(pipe.fileno(), b"from the other")
    eventfd.write(4)
    memory.write(b"child's", 8)
    for one in (pipe, eventfd, pidfd, memory, reader, frozen):
        one.close()
    return facts


def use_and_answer(answers, *handles):
    facts = use(*handles) if handles else None
    answers.send((facts, counts()))
    answers.close()


def run(context, target, *arguments):
    """The exit status of such a process."""
    child = context.Process(target=target, args=arguments, daemon=True)
    child.start()
    child.join(PATIENCE)
    status = child.exitcode
    if status is None:
        child.kill()
        child.join()
    child.close()
    return status


def ask(context, target, *arguments):
    ours, theirs = context.Pipe(duplex=False)
    with ours, theirs:
        child = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        child.start()
        theirs.close()
        answer = ours.recv()
        child.join()
        status = child.exitcode
        child.close()
    return answer, status


def put_multiprocessing_away():
    """Its servers and threads, which it would keep until the end."""
    if "multiprocessing" not in sys.modules:
        return
    from multiprocessing import forkserver, resource_sharer, resource_tracker

    resource_sharer.stop()
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


# ---- handles as arguments of a process ----


def as_arguments(method):
    kit = Kit()
    import multiprocessing

    context = multiprocessing.get_context(method)
    (facts, with_them), status = ask(context, use_and_answer, *kit.handles())
    answer = kit.answer()
    (_, without), _ = ask(context, use_and_answer)
    return facts, answer, os.getpid(), status, with_them, without


class Holder:
    def __init__(self, handle, others):
        self.handle, self.others = handle, others


def look_inside(answers, holder, by_name):
    same = holder.handle is by_name["again"][0] is holder.others[1]
    memory, eventfd = by_name["memory"], holder.others[0]
    answers.send((same, memory.read(4), eventfd.read(timeout=0), type(holder.handle).__name__))
    for handle in (holder.handle, memory, eventfd):
        handle.close()


def in_containers(method):
    import multiprocessing

    with Memory(100) as memory, fds.Eventfd.create(7) as eventfd, fds.Pidfd.open(os.getpid()) as pidfd:
        memory.write(b"deep")
        holder = Holder(pidfd, [eventfd, pidfd])
        by_name = {"memory": memory, "again": (pidfd,)}
        return ask(multiprocessing.get_context(method), look_inside, holder, by_name)


class Sealed:
    """Pickles its handle by itself, within the pickle that it is a part of: nobody notes what went before."""

    def __init__(self, handle):
        self.handle = handle

    def __reduce__(self):
        import pickle
        from multiprocessing.reduction import ForkingPickler

        return pickle.loads, (bytes(ForkingPickler.dumps(self.handle)),)


def compare(answers, first, second, third):
    if isinstance(first, Memory):
        first.write(b"one")
        same = second.read(3) == third.read(3) == b"one"
    else:
        first.write(2)
        same = second.read(timeout=0) == 2
    numbers = {one.fileno() for one in (first, second, third)}
    cloexec = all(map(is_cloexec, (first, second, third)))
    for one in (first, second, third):
        one.close()
    answers.send((same, len(numbers), cloexec))


def the_same_again(method, kind):
    import multiprocessing

    context = multiprocessing.get_context(method)
    with Memory(100) if kind == "memory" else fds.Eventfd.create() as handle:
        first = ask(context, compare, Sealed(handle), handle, Sealed(handle))
        second = ask(context, compare, handle, Sealed(handle), Sealed(handle))
        return first, second, handle.closed


def check_many(handles, first, last):
    files = {os.fstat(handle.fileno()).st_ino for handle in handles}
    fine = len(files) == 1 and all(map(is_cloexec, handles))
    fine = fine and len({handle.fileno() for handle in handles}) == len(handles)
    fine = fine and first is handles[0] and last is handles[-1]
    for handle in handles:
        handle.close()
    sys.exit(0 if fine else 1)


def many(method, count):
    import multiprocessing

    context = multiprocessing.get_context(method)
    handles = [fds.Handle(os.dup(0)) for _ in range(int(count))]
    try:
        return run(context, check_many, handles, handles[0], handles[-1])
    except pyipc.LimitError as problem:
        return problem.limit, problem.value, str(problem)
    finally:
        for handle in handles:
            handle.close()


def closed_argument(method):
    import multiprocessing

    context = multiprocessing.get_context(method)
    handle = fds.Eventfd.create()
    handle.close()
    told = error_of(run, context, check_many, [handle], handle, handle)
    with fds.Handle(os.dup(0)) as one:
        return told, run(context, check_many, [one], one, one)


class Counter(fds.Eventfd):
    """A handle of one's own, which says how it is reduced."""

    __slots__ = ()

    def __reduce__(self):
        return super().__reduce__()


def count_up(answers, counter):
    answers.send((type(counter).__name__, counter.read(timeout=0)))
    counter.close()


def kind_of_ones_own(method):
    import multiprocessing

    with fds.Eventfd.create(4) as eventfd, Counter(eventfd) as counter:
        return ask(multiprocessing.get_context(method), count_up, counter)


def echo_memory(answers, memory):
    answers.send((memory.size, memory.read_only, memory.read(4)))
    memory.close()


def huge_memory(method):
    import multiprocessing

    with Memory(1, huge_pages="2M") as memory:
        memory.write(b"huge")
        return ask(multiprocessing.get_context(method), echo_memory, memory)


# ---- handles over connections, queues and pools ----


def serve_pipe(pipe):
    """Use what comes; then send some of our own, and wait until they are no longer needed."""
    pipe.send(use(*pipe.recv()))
    kit = Kit()
    pipe.send((kit.handles(), os.getpid()))
    pipe.recv()
    pipe.send(kit.answer())
    pipe.close()


def over_a_pipe(method):
    kit = Kit()
    import multiprocessing

    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=serve_pipe, args=(theirs,), daemon=True)
    child.start()
    theirs.close()
    ours.send(kit.handles())
    there = ours.recv(), kit.answer(), os.getpid()
    handles, pid = ours.recv()
    here = use(*handles)
    ours.send("done")
    back = here, ours.recv(), pid
    child.join()
    ours.close()
    status = child.exitcode
    child.close()
    return there, back, status


def serve_queue(asked, answers):
    before = counts()
    for handle in iter(asked.get, None):
        handle.write(b"seen" if isinstance(handle, Memory) else 5)
        answers.put((type(handle).__name__, is_cloexec(handle)))
        handle.close()
    answers.put(counts() == before)


def over_queues(method, kind):
    import multiprocessing

    context = multiprocessing.get_context(method)
    asked, answers = getattr(context, kind)(), context.SimpleQueue()
    child = context.Process(target=serve_queue, args=(asked, answers), daemon=True)
    child.start()
    told = []
    with Memory(100) as memory, fds.Eventfd.create() as eventfd:
        for _ in range(3):
            for handle in (memory, eventfd):
                asked.put(handle)
                told.append(answers.get())
        asked.put(None)
        as_before = answers.get()
        told.append((memory.read(4), eventfd.read(timeout=0)))
    child.join()
    status = child.exitcode
    child.close()
    for queue in (asked, answers):
        queue.close()
        if hasattr(queue, "join_thread"):
            queue.join_thread()
    return told, as_before, status


_kept = []


def in_a_worker(memory, eventfd):
    memory.write(b"worker's")
    eventfd.write(memory.size)
    memory.close()
    eventfd.close()
    _kept.append(Memory(50))  # stays open here until it has arrived there
    _kept[-1].write(b"result")
    return _kept[-1]


def in_a_pool(method):
    import multiprocessing

    context = multiprocessing.get_context(method)
    with Memory(100) as memory, fds.Eventfd.create() as eventfd:
        with context.Pool(2) as pool:
            results = [pool.apply(in_a_worker, (memory, eventfd)) for _ in range(4)]
            pool.terminate()
            pool.join()
        told = [(result.read(6), is_cloexec(result)) for result in results]
        for result in results:
            result.close()
        return told, memory.read(8), eventfd.read(timeout=0)


def in_an_executor(method):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context(method)
    with Memory(100) as memory, fds.Eventfd.create() as eventfd:
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            result = executor.submit(in_a_worker, memory, eventfd).result(PATIENCE)
            told = result.read(6)
            result.close()
        return told, memory.read(8), eventfd.read(timeout=0)


# ---- senders that have gone ----


def send_and_end(pipe, how):
    pipe.send(Memory(100))
    if how == "killed":
        os.kill(os.getpid(), 9)
    pipe.close()
    sys.exit(0)


def from_the_dead(method, how):
    import multiprocessing

    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=send_and_end, args=(theirs, how), daemon=True)
    child.start()
    theirs.close()
    child.join()
    begun = time.monotonic()
    told = error_of(ours.recv)
    ours.close()
    status = child.exitcode
    child.close()
    return told, status, time.monotonic() - begun < PATIENCE / 2


def taken_twice():
    import pickle
    import threading
    from multiprocessing.reduction import ForkingPickler

    threading.excepthook = lambda args: None  # the sender's thread complains of the second
    with Memory(100) as memory:
        memory.write(b"once")
        text = bytes(ForkingPickler.dumps([memory]))
        [first] = pickle.loads(text)
        with first:
            return first.read(4), error_of(pickle.loads, text), memory.read(4)


def closed_over_a_pipe():
    import multiprocessing

    ours, theirs = multiprocessing.Pipe()
    with ours, theirs, Memory(100) as memory:
        closed = fds.Handle(os.dup(0))
        closed.close()
        told = error_of(ours.send, [memory, closed])
        ours.send(memory)
        memory.write(b"next")
        with theirs.recv() as other:
            return told, other.read(4), is_cloexec(other)


def too_late(number, frame):
    raise TimeoutError(f"not within {PATIENCE} s")


def main():
    handshake.begin()
    signal.signal(signal.SIGALRM, too_late)  # some of multiprocessing's waits have no end
    signal.alarm(PATIENCE)
    before = open_now()
    answer = globals()[sys.argv[1]](*sys.argv[2:])
    put_multiprocessing_away()
    handshake.say((answer, sorted(open_now() - before)))


if __name__ == "__main__":
    main()
