"""Memory goes from process to process; it lives while anybody has it, and the kernel says when it is gone."""

from __future__ import annotations

import os
import socket

import pytest

import pyipc
from pyipc import fds
from pyipc.memory import Memory

SIZE = 1 << 20


def count_up(say, hear, end):
    """Numbers from the other side; squares back."""
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message:
        memory = Memory.from_fd(message.fds[0])
    with memory:
        say((message.data, memory.size))
        numbers = memory.array("i8", (100,))
        squares = memory.array("i8", (100,), 800)
        hear()
        squares[:] = numbers**2
        memory.write(b"the end", memory.size - 7)
        say(int(numbers.sum()))
        hear()


def test_numbers_are_seen_both_ways(partner):
    other, sock = partner(count_up)
    with Memory(SIZE) as memory:
        fds.send(sock, b"numbers", [memory])
        assert other.hear() == (b"numbers", SIZE)
        memory.array("i8", (100,))[:] = range(100)
        other.say()
        assert other.hear() == 4950
        assert memory.array("i8", (100,), 800).tolist() == [number**2 for number in range(100)]
        assert memory.read(7, SIZE - 7) == b"the end"
        other.say()
        assert other.end() == 0


def test_what_was_sent_is_still_the_senders():
    ours, theirs = fds.socketpair()
    with ours, theirs, Memory(SIZE) as memory:
        fds.send(ours, b"1", [memory])
        with fds.receive(theirs) as message, Memory.from_fd(message.fds[0]) as twin:
            twin.write(b"by the twin")
            assert memory.read(11) == b"by the twin"
        assert memory.read(11) == b"by the twin"


@pytest.mark.parametrize("kind", ["seqpacket", "stream", "datagram"])
def test_the_standard_library_can_carry_it_too(kind):
    ours, theirs = fds.socketpair(kind)
    with ours, theirs, Memory(SIZE) as memory:
        memory.write(b"plain")
        if hasattr(socket, "send_fds"):
            socket.send_fds(ours, [b"x"], [memory.fileno()])
        else:
            fds.send(ours, b"x", [memory])
        _, numbers, _, _ = socket.recv_fds(theirs, 1, 1)
        with Memory.from_fd(numbers[0]) as twin:
            assert twin.read(5) == b"plain"


def test_many_memories_go_in_one_message():
    ours, theirs = fds.socketpair()
    memories = [Memory(4096) for _ in range(20)]
    for place, memory in enumerate(memories):
        memory.write(bytes([place]))
    with ours, theirs:
        fds.send(ours, b"all", memories)
        with fds.receive(theirs) as message:
            twins = [Memory.from_fd(handle) for handle in message.fds]
    assert [twin.read(1)[0] for twin in twins] == list(range(20))
    for memory in memories + twins:
        memory.close()


# ---- how long it lives ----


def keep(say, hear, end):
    from pyipc import fds
    from pyipc.memory import Memory

    with fds.receive(end) as message:
        how = message.data
        memory = Memory.from_fd(message.fds[0])
    view = memory.buf
    if how == b"by a view":
        memory.close()
    say(bytes(view[:4]))
    hear()
    if how == b"by a handle":
        del view
        memory.close()
    elif how == b"by a view":
        del view
    say("let go")
    hear()


@pytest.mark.parametrize("how", [b"by a handle", b"by a view"])
def test_it_lives_while_another_has_it_and_is_gone_then(partner, watch, until, how):
    other, sock = partner(keep)
    memory = Memory(SIZE)
    watched = watch(memory)
    memory.write(b"live")
    fds.send(sock, how, [memory])
    memory.close()
    assert other.hear() == b"live"
    assert not watched.gone()
    other.say()
    assert other.hear() == "let go"
    until(watched.gone)
    other.say()
    assert other.end() == 0


def test_it_goes_with_a_killed_process(partner, watch, until):
    other, sock = partner(keep)
    memory = Memory(SIZE)
    watched = watch(memory)
    fds.send(sock, b"until killed", [memory])
    memory.close()
    assert other.hear() == bytes(4)
    assert not watched.gone()
    other.kill()
    assert other.end() == -9
    until(watched.gone)


def test_it_lives_on_its_way_and_goes_with_the_socket(watch, until):
    ours, theirs = fds.socketpair()
    memory = Memory(SIZE)
    watched = watch(memory)
    memory.write(b"on the way")
    fds.send(ours, b"x", [memory])
    memory.close()
    ours.close()
    assert not watched.gone()
    with fds.receive(theirs) as message, Memory.from_fd(message.fds[0]) as twin:
        assert twin.read(10) == b"on the way"
        fds_left = socket.socketpair()
        with fds_left[0], fds_left[1]:
            fds.send(fds_left[0], b"x", [twin])
    theirs.close()
    until(watched.gone)  # with the message that nobody took


def test_a_chain_of_processes_hands_it_on(partner, watch, until):
    def hand_on(say, hear, end):
        from pyipc import fds
        from pyipc.memory import Memory

        with fds.receive(end) as message, Memory.from_fd(message.fds[0]) as memory:
            place = message.data[0]
            memory.write(bytes([place]), place)
            fds.send(end, bytes([place + 1]), [memory])
        say("handed on")
        hear()

    memory = Memory(SIZE)
    watched = watch(memory)
    others = [partner(hand_on) for _ in range(3)]
    carried = fds.Handle(memory)
    memory = None  # only the message has it now
    place = 1
    for other, sock in others:
        with carried:
            fds.send(sock, bytes([place]), [carried])
        with fds.receive(sock) as message:
            place, carried = message.data[0], fds.Handle(message.fds[0])
        assert other.hear() == "handed on"
        assert not watched.gone()
    with Memory.from_fd(carried) as memory:
        assert memory.read(5) == bytes([0, 1, 2, 3, 0])
    assert watched.gone()
    for other, _ in others:
        other.say()
        assert other.end() == 0


# ---- fork ----


def test_both_sides_of_a_fork_have_it(child):
    def fork(say, hear):
        import os

        from pyipc.memory import Memory

        memory = Memory(100_000)
        view = memory.buf
        pid = os.fork()
        if not pid:
            memory.write(b"child")
            memory.grow(200_000)
            memory.write(b"grown", 150_000)
            memory.close()
            os._exit(memory.closed)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        assert not memory.closed
        assert memory.read(5) == bytes(view[:5]) == b"child"
        memory.grow(1)
        say((memory.size, memory.read(5, 150_000)))
        memory.close()

    other = child(fork)
    assert other.hear() == (200_000, b"grown")
    assert other.end() == 0


def test_a_child_forked_while_a_thread_grows_it_can_grow_it_too(child):
    def fork(say, hear):
        import os
        import signal
        import threading

        from pyipc.memory import Memory, memfd

        memory = Memory(5000)
        reserve = memfd.ops.memory_reserve
        growing, forked = threading.Event(), threading.Event()

        def wait_in_between(number, offset, size):
            if threading.current_thread() is not threading.main_thread():
                growing.set()
                forked.wait()
            return reserve(number, offset, size)

        memfd.ops.memory_reserve = wait_in_between
        thread = threading.Thread(target=memory.grow, args=(10_000,))
        thread.start()
        growing.wait()
        pid = os.fork()
        if not pid:
            signal.alarm(5)  # what waits for a lock that nobody holds, waits for ever
            memory.grow(20_000)
            os._exit(memory.size == 20_000)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        forked.set()
        thread.join()
        say((status, memory.size))
        memory.close()

    other = child(fork)
    assert other.hear() == (1, 20_000)
    assert other.end() == 0


def test_a_program_that_is_executed_does_not_have_it(process, watch):
    import sys

    with Memory(SIZE) as memory:
        watched = watch(memory)
        look = (
            "import os, sys; print(sys.stdin.readline() and os.path.exists(f'/proc/self/fd/{sys.argv[1]}'))"
        )
        other = process([sys.executable, "-c", look, str(memory.fileno())])
        memory.close()
        assert watched.gone()
        other.say()
        assert other.line() == "False"
        assert other.end() == 0


def test_a_stranger_with_the_right_to_may_open_it_by_proc(child):
    def open_it(say, hear, path):
        import os

        from pyipc.memory import Memory

        with Memory.from_fd(os.open(path, os.O_RDWR)) as memory:
            memory.write(b"from far")
            say(memory.size)

    with Memory(SIZE) as memory:
        other = child(open_it, f"/proc/{os.getpid()}/fd/{memory.fileno()}")
        assert other.hear() == SIZE
        assert other.end() == 0
        assert memory.read(8) == b"from far"


def test_what_is_closed_is_not_sent():
    ours, theirs = fds.socketpair()
    with ours, theirs:
        memory = Memory(4096)
        memory.close()
        with pytest.raises(pyipc.ClosedError):
            fds.send(ours, b"x", [memory])
        with pytest.raises(pyipc.WouldBlockError):
            fds.receive(theirs, timeout=0)
