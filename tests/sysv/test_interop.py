"""The same objects from Perl, from C, and from sysv_ipc: what one writes, the other reads."""

from __future__ import annotations

import os
import struct
import threading

import pytest

from pyipc import sysv

# ---- segments ----


def test_perl_reads_the_segment_that_we_write(key, perl):
    with sysv.SharedMemory.create(2000, key=key) as segment:
        segment.write(b"Message #1", pad_to=60)
        other = perl(
            "my $id = shmget($ARGV[0], 2000, 0) // die $!; my $buff;"
            "shmread($id, $buff, 0, 60) || die $!;"
            'print length($buff), "\\n", unpack("Z*", $buff), "\\n"',
            key,
        )
        assert other.line() == "60"
        assert other.line() == "Message #1"
        assert other.end() == 0


def test_we_read_the_segment_that_perl_makes_and_writes(perl, key):
    other = perl(
        "my $id = shmget($ARGV[0], 2000, 01000 | 0600) // die $!;"
        'shmwrite($id, "Message #2", 0, 60) || die $!; print "$id\\n"; <STDIN>;'
        'shmctl($id, 0, 0) || die $!; print "removed\\n"',
        key,
    )
    id = int(other.line())
    with sysv.SharedMemory.open(key) as segment:
        assert (segment.id, segment.size) == (id, 2000)
        assert segment.read(60) == b"Message #2".ljust(60, b"\0")
        other.say("seen")
        assert other.line() == "removed"
        assert segment.read(10) == b"Message #2"  # attached, so still there
    assert other.end() == 0


def test_perl_sees_the_id_of_a_private_segment(perl):
    with sysv.SharedMemory.create(100) as segment:
        segment.write(b"by id")
        other = perl('my $b; shmread($ARGV[0], $b, 0, 5) || die $!; print "$b\\n"', segment.id)
        assert other.line() == "by id"
        assert other.end() == 0


def test_c_adds_to_a_number_in_our_segment(key, peer):
    with sysv.SharedMemory.create(100, key=key) as segment:
        segment.write(struct.pack("i", 41))
        other = peer("segment", key)
        assert int(other.line()) == segment.id
        assert other.end() == 0
        assert struct.unpack("i", segment.read(4)) == (42,)
        assert segment.read(7, 4) == b"from C\0"


# ---- semaphores ----

TAKE = 'semop($id, pack("s!3 s!3", 0, 0, 0, 0, 1, 0)) || die $!;'  # wait for zero and +1, in ONE semop


@pytest.mark.needs("sysv.atomic_operations")
def test_perl_waits_until_we_give_and_we_until_perl_gives(key, perl, until):
    with sysv.SemaphoreSet.create(1, key=key, initial=0) as s:
        take, give = s.ops(s[0].wait_zero, s[0] + 1), s.ops(s[0] - 1)
        take(timeout=5)
        other = perl(
            'my $id = semget($ARGV[0], 0, 0) // die $!; print "waiting\\n";'
            f'{TAKE} print "taken\\n"; <STDIN>;'
            'semop($id, pack("s!3", 0, -1, 0)) || die $!; print "given\\n"',
            key,
        )
        assert other.line() == "waiting"
        until(lambda: s[0].zero_waiters == 1)
        give()
        assert other.line() == "taken"
        assert s[0].value == 1
        assert s[0].pid == other.pid
        ours = threading.Thread(target=take, args=(20,))
        ours.start()
        until(lambda: s[0].zero_waiters == 1)
        other.say("give")
        assert other.line() == "given"
        ours.join()
        assert s[0].value == 1
        assert s[0].pid == os.getpid()
        assert other.end() == 0


@pytest.mark.needs("sysv.atomic_operations")
def test_c_waits_for_zero_and_adds_one_in_one_operation(key, peer, until):
    with sysv.SemaphoreSet.create(1, key=key, initial=1) as s:
        other = peer("take", key)
        until(lambda: s[0].zero_waiters == 1)
        s.op(s[0] - 1)
        assert int(other.line()) == 1
        assert other.end() == 0


@pytest.mark.needs("sysv.semaphore_sets")
def test_we_use_the_set_that_perl_made_and_initialised(key, perl):
    other = perl(
        "my $id = semget($ARGV[0], 3, 01000 | 02000 | 0600) // die $!;"
        'semctl($id, 0, 17, pack("s!3", 4, 5, 6)) || die $!;'  # SETALL
        'semop($id, pack("s!3", 2, 1, 0)) || die $!; print "$id\\n"; <STDIN>;'
        'my $all; semctl($id, 0, 13, $all) || die $!; print join(" ", unpack("s!*", $all)), "\\n"',
        key,
    )
    id = int(other.line())
    with sysv.SemaphoreSet.open(key) as s:
        assert (s.id, s.values) == (id, [4, 5, 7])
        s.values = [1, 2, 3]
        other.say("look")
        assert other.line() == "1 2 3"
        assert other.end() == 0
        s.remove()


def test_a_semaphore_serves_perl_too(key, perl):
    semaphore = sysv.Semaphore.create(0, key=key)
    other = perl(
        "my $id = semget($ARGV[0], 1, 0) // die $!;"
        'semop($id, pack("s!3", 0, -1, 0)) || die $!; print "taken\\n"',
        key,
    )
    semaphore.release()
    assert other.line() == "taken"
    assert semaphore.value == 0
    assert other.end() == 0
    semaphore.close()


# ---- queues ----


def test_typed_messages_go_to_perl_and_come_back(key, perl):
    with sysv.MessageQueue.create(key=key) as queue:
        queue.send(b"not for perl", type=1)
        queue.send(b"for \0 perl", type=3)
        other = perl(
            "my $id = msgget($ARGV[0], 0) // die $!; my $m;"
            'msgrcv($id, $m, 100, 3, 0) // die $!; my ($type, $text) = unpack("l! a*", $m);'
            'msgsnd($id, pack("l! a*", 7, "$type:" . length($text)), 0) || die $!; print "sent\\n"',
            key,
        )
        assert other.line() == "sent"
        assert queue.receive(type=7, timeout=20) == (b"3:10", 7)
        assert queue.receive() == (b"not for perl", 1)
        assert other.end() == 0


def test_c_echoes_a_message_one_type_higher(key, peer):
    with sysv.MessageQueue.create(key=key) as queue:
        other = peer("echo", key, 7)
        queue.send(b"x" * 5000, type=7)
        assert int(other.line()) == 5000
        assert queue.receive(timeout=20) == (b"x" * 5000, 8)
        assert other.end() == 0


# ---- sysv_ipc ----


@pytest.mark.needs("sysv.wide_message_types")
def test_c_echoes_a_message_of_a_type_beyond_32_bits(key, peer):
    with sysv.MessageQueue.create(key=key) as queue:
        other = peer("echo", key, 2**40)
        queue.send(b"wide", type=2**40)
        assert int(other.line()) == 4
        assert queue.receive(timeout=20) == (b"wide", 2**40 + 1)
        assert other.end() == 0


@pytest.fixture
def incumbent():
    return pytest.importorskip("sysv_ipc", reason="sysv_ipc is not installed")


def use_incumbent(say, hear, key):
    import sysv_ipc

    memory = sysv_ipc.SharedMemory(key)
    text = memory.read(5)
    memory.write(b"theirs", 10)
    memory.detach()
    semaphore = sysv_ipc.Semaphore(key)
    semaphore.acquire()
    queue = sysv_ipc.MessageQueue(key)
    data, type = queue.receive(type=4)
    queue.send(data + b" back", type=5)
    say((text, data, type))


def test_sysv_ipc_in_another_process_shares_all_three(key, incumbent, child):
    with sysv.SharedMemory.create(100, key=key) as segment, sysv.MessageQueue.create(key=key) as queue:
        semaphore = sysv.Semaphore.create(1, key=key)
        segment.write(b"ours!")
        other = child(use_incumbent, key)
        queue.send(b"there", type=4)
        assert other.hear() == (b"ours!", b"there", 4)
        assert queue.receive(type=5, timeout=20) == (b"there back", 5)
        assert segment.read(6, 10) == b"theirs"
        assert semaphore.value == 0
        assert other.end() == 0
        semaphore.close()


def test_what_sysv_ipc_made_is_ours_too(key, incumbent):
    memory = incumbent.SharedMemory(key, incumbent.IPC_CREX, size=100, init_character=b"\0")
    semaphore = incumbent.Semaphore(key, incumbent.IPC_CREX, initial_value=2)
    queue = incumbent.MessageQueue(key, incumbent.IPC_CREX)
    memory.write(b"theirs")
    queue.send(b"theirs", type=9)
    with sysv.SharedMemory.open(key) as ours, sysv.MessageQueue.open(key) as our_queue:
        assert ours.read(6) == b"theirs"
        assert our_queue.receive(timeout=0) == (b"theirs", 9)
    ours = sysv.Semaphore.open(key, ready=False)
    ours.acquire(timeout=0)
    assert semaphore.value == 1
    ours.close()
    memory.detach()
    for theirs in (memory, semaphore, queue):
        theirs.remove()
