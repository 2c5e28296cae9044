"""The same without what the core knows of CPython: by cffi alone, as on PyPy. What the binding costs."""

from __future__ import annotations

from channels.halves import batches, rows
from pyipc.channels import Channel


def one(size, senders):
    with Channel(slot_size=size) as channel:
        yield lambda: channel._py_send, lambda: channel._py_recv


def many(size, senders):
    with Channel(slot_size=size) as channel:
        yield lambda: channel._py_send_many, lambda: channel._py_recv_many


globals().update(**rows(one), **batches(many))
