"""Named pipes, by the calls of the protocol."""

from __future__ import annotations

import os
import time
from errno import EAGAIN, EBADF, EINTR, ENOENT, EPIPE, ETIMEDOUT
from fcntl import F_GETFD, F_GETFL, FD_CLOEXEC, fcntl

import pytest

FOREVER = 2**63 - 1


@pytest.fixture
def path(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return os.fsencode(tmp_path / "fifo")


@pytest.fixture
def owner(backend):
    made = []

    def make():
        made.append(backend.Descriptor())
        return made[-1]

    yield make
    for one in made:
        one._close()


def came(backend, fifo, size):
    """The bytes, which come after what was there; or what it gave instead, and then none."""
    into = [b"before"]
    result = backend.now_fifo_read(fifo, into, size)
    assert into.pop(0) == b"before"
    assert [len(piece) for piece in into] == ([result] if result > 0 else [])
    return into[0] if into else result


def test_a_writer_waits_for_a_reader_and_no_longer_than_it_shall(backend, path, owner, soon):
    writer = owner()
    began = time.monotonic()
    assert backend.fifo_open(writer, path, True, soon(0.05)) == -ETIMEDOUT
    assert 0.05 <= time.monotonic() - began < 1
    assert backend.fifo_open(writer, path, True, 0) == -ETIMEDOUT
    assert backend.fifo_open(writer, path, True, FOREVER) == -EINTR  # it looks around
    assert backend.fifo_open(writer, path + b"x", True, FOREVER) == -ENOENT
    assert writer._number == -1
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert backend.fifo_open(writer, path, True, FOREVER) == 0
    assert fcntl(writer._number, F_GETFD) & FD_CLOEXEC
    assert fcntl(writer._number, F_GETFL) & os.O_NONBLOCK
    os.close(number)


def test_a_reader_waits_for_a_writer(backend, path, owner, soon):
    reader = owner()
    assert backend.fifo_open(reader, path, False, soon(0.02)) == -ETIMEDOUT
    assert backend.fifo_open(reader, path, False, 0) == -ETIMEDOUT
    assert reader._number == -1
    number = os.open(path, os.O_RDWR)
    os.write(number, b"x")
    assert backend.fifo_open(reader, path, False, FOREVER) == 0
    assert came(backend, reader, 10) == b"x"
    os.close(number)


def test_bytes_go_through_up_to_an_end(backend, owner):
    reader, writer = owner(), owner()
    reading, writing = os.pipe()
    assert backend.now_adopt(reader, reading) == backend.now_adopt(writer, writing) == 0
    assert came(backend, reader, 10) == -EAGAIN
    assert backend.now_fifo_write(writer, b"abc") == 3
    assert backend.now_fifo_write(writer, memoryview(bytearray(b"def"))) == 3
    assert came(backend, reader, 4) == b"abcd"
    assert came(backend, reader, 10) == b"ef"
    assert backend.now_fifo_write(writer, bytes(70_000)) > 60_000
    assert backend.now_fifo_write(writer, bytes(70_000)) == -EAGAIN
    assert 60_000 < len(came(backend, reader, 1 << 30)) <= 65536
    assert backend.now_fifo_is_unread(writer) == 0
    reader._close()
    assert backend.now_fifo_is_unread(writer) == 1
    assert backend.now_fifo_write(writer, b"abc") == -EPIPE
    writer._close()
    assert backend.now_fifo_write(writer, b"abc") == -EBADF
    assert came(backend, writer, 3) == -EBADF
    assert backend.now_fifo_is_unread(writer) == -EBADF


def test_the_end_is_no_bytes(backend, owner):
    reader = owner()
    reading, writing = os.pipe()
    os.close(writing)
    assert backend.now_adopt(reader, reading) == 0
    assert came(backend, reader, 10) == 0


def test_a_watch_tells_of_readers_that_close(backend, path, owner):
    watch = owner()
    assert backend.fifo_watch(watch, path + b"x") == -ENOENT
    assert watch._number == -1
    assert backend.fifo_watch(watch, path) == 0
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert came(backend, watch, 4096) == -EAGAIN
    os.close(number)
    assert backend.fd_wait(watch._number, backend.READABLE, 0) == 0
    assert len(came(backend, watch, 4096)) == 16
