"""What is passed, and how the rows are made of a way to send and a way to receive.

A way is a function that is given its end of a pair of sockets and how many descriptors go at once: one
that sends them, and one that receives them, looks whether the first is the file that was sent, and
closes them all.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager

ONE, MANY = 1, 64


def wrong():
    raise AssertionError("what came is not what was sent")


@contextmanager
def halves(sending, receiving, count):
    a, b = socket.socketpair()
    file = os.memfd_create("benchmark")
    inode = os.fstat(file).st_ino
    send, receive = sending(a, [file] * count), receiving(b, count, inode)

    def first(n):
        for _ in range(n):
            send()

    def second(n):
        for _ in range(n):
            receive()

    with a, b:
        yield first, second
    os.close(file)


def rows(sending, receiving):
    """The four generators of worker.py, by name."""

    def together(count):
        def row():
            with halves(sending, receiving, count) as (first, second):

                def block(n):
                    for _ in range(n):
                        first(1)
                        second(1)

                yield block

        return row

    def apart(count):
        def row():
            with halves(sending, receiving, count) as both:
                yield both

        return row

    return {
        "fd_one": together(ONE),
        "fd_many": together(MANY),
        "fd_one_across": apart(ONE),
        "fd_many_across": apart(MANY),
    }
