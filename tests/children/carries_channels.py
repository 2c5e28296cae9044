"""Channels, queues and connections through multiprocessing; says what the other processes did.

Arguments: the start method, and scenarios.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

import handshake

import pyipc
from pyipc import channels

PATIENCE = 20


def left_open():
    """How many descriptors are open, once threads of multiprocessing have closed what they handed out."""
    count, same = len(os.listdir("/proc/self/fd")), 0
    while same < 100:
        time.sleep(0.001)
        now = len(os.listdir("/proc/self/fd"))
        count, same = now, same + 1 if now == count else 0
    return count


def echoes(reader, writer):
    while True:  # with fork, we have the other ends too: there is no end to be told of
        data = reader.recv(PATIENCE)
        writer.send(data[::-1], PATIENCE)
        if data.endswith(b"end"):
            break
    reader.close()
    writer.close()


def as_arguments(context):
    """Ends, to a process that is being started; the end of each side is told."""
    there, here = channels.Channel(4, 64, 1 << 20).split()
    back, answers = channels.Channel(4, 64, 1 << 20).split()
    process = context.Process(target=echoes, args=(there, answers))
    process.start()
    there.close()
    answers.close()
    for data in b"abc", bytes(1000) + b"end":
        here.send(data, PATIENCE)
        assert back.recv(PATIENCE) == data[::-1]
    here.close()
    process.join(PATIENCE)
    gone = type(problem_of(back.recv)).__name__
    back.close()
    return process.exitcode, gone


def problem_of(call):
    try:
        call()
    except pyipc.IPCError as problem:
        return problem.with_traceback(None)
    return None


def doubles(queue, answers, connection, channel):
    while True:
        value = queue.get(timeout=PATIENCE)
        queue.task_done()
        if value is None:
            break
        answers.put(value * 2)
    connection.send([*connection.recv(), "seen"])
    channel.send(b"from the child")
    for handle in queue, answers, connection, channel:
        handle.close()


def of_each_kind(context):
    """A JoinableQueue, a Queue, a Connection and a Channel, in one start."""
    queue, answers = channels.JoinableQueue(), channels.Queue(10)
    ours, theirs = channels.Pipe()
    channel = channels.Channel(4, 64, 0)
    process = context.Process(target=doubles, args=(queue, answers, theirs, channel))
    process.start()
    theirs.close()
    for value in 1, "x", [2]:
        queue.put(value)
    doubled = [answers.get(timeout=PATIENCE) for _ in range(3)]
    queue.put(None)
    joined = queue.join(PATIENCE)
    ours.send(["sent"])
    replied = ours.recv()
    process.join(PATIENCE)
    said = channel.recv(PATIENCE)
    ended = type(problem_of(ours.recv)).__name__
    for handle in queue, answers, ours, channel:
        handle.close()
    return doubled, joined, replied, said, ended, process.exitcode


def answers_by(connection):
    writer = connection.recv()
    reader = connection.recv()
    for data in reader:
        writer.send(data + b" seen", PATIENCE)
    connection.send(writer)
    connection.recv()  # we must live until it was fetched
    writer.close()
    reader.close()


def over_a_connection(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=answers_by, args=(theirs,))
    process.start()
    theirs.close()
    there, here = channels.Channel(4, 64, 0).split()
    back, answers = channels.Channel(4, 64, 0).split()
    ours.send(answers)
    ours.send(there)
    here.send(b"hello", PATIENCE)
    said = back.recv(PATIENCE)
    there.close()
    answers.close()
    here.close()
    with ours.recv() as returned:
        ours.send("fetched")
        returned.send(b"came back", PATIENCE)
    said = said, back.recv(PATIENCE), type(returned).__name__
    process.join(PATIENCE)
    ours.close()
    ended = type(problem_of(back.recv)).__name__
    back.close()
    return said, ended, process.exitcode


def forwards(queue):
    channel = queue.get(timeout=PATIENCE)
    channel.send(b"by a queue", PATIENCE)
    channel.close()
    queue.close()


def over_queues(context):
    """Of theirs, and of ours."""
    said = []
    for make in context.Queue, context.JoinableQueue, channels.Queue:
        queue = make()
        channel = channels.Channel(4, 64, 0)
        process = context.Process(target=forwards, args=(queue,))
        process.start()
        queue.put(channel)
        said.append(channel.recv(PATIENCE))
        process.join(PATIENCE)
        said.append(process.exitcode)
        channel.close()
        queue.close()
        queue.join_thread()
    return said


def gets_all(queue, answers):
    total = 0
    while True:
        value = queue.get(timeout=PATIENCE)
        if value is None:
            break
        total += value
    answers.put(total)
    queue.close()
    answers.close()


def many_workers(context):
    queue, answers = channels.Queue(100), channels.Queue()
    processes = [context.Process(target=gets_all, args=(queue, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    for i in range(1000):
        queue.put(i, timeout=PATIENCE)
    for _ in processes:
        queue.put(None)
    total = sum(answers.get(timeout=PATIENCE) for _ in processes)
    for process in processes:
        process.join(PATIENCE)
    queue.close()
    answers.close()
    return total, [process.exitcode for process in processes]


def main() -> None:
    handshake.begin()
    context = multiprocessing.get_context(sys.argv[1])
    over_queues(context)  # which starts what multiprocessing keeps
    for scenario in sys.argv[2:]:
        before = left_open()
        answer = globals()[scenario](context)
        handshake.say((answer, left_open() - before))
    from multiprocessing import resource_sharer

    resource_sharer.stop()


if __name__ == "__main__":
    main()
