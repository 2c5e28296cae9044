"""Programs on terminals, which end with the test."""

from __future__ import annotations

import pytest

from pyipc import terminals


@pytest.fixture
def on_terminal():
    """`terminals.spawn`, for the length of the test."""
    running = []

    def start(*argv, **options):
        running.append(terminals.spawn(*argv, **options))
        return running[-1]

    yield start
    for terminal in running:
        terminal.close(patience=0)


@pytest.fixture
def shell(on_terminal):
    """Run a script of sh(1)."""
    return lambda script, **options: on_terminal("sh", "-c", script, **options)
