"""Sleepers in futexes."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def sleeps(until):
    """Wait until that process, or thread of it, is asleep in a futex."""

    def look(pid, thread=None):
        path = f"/proc/{pid}/task/{thread or pid}/syscall"
        futex = {"x86_64": "202", "aarch64": "98"}[os.uname().machine]

        def is_asleep():
            with open(path) as text:
                return text.read().split()[0] == futex

        until(is_asleep)

    return look
