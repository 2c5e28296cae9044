"""Programs on terminals, by pyipc."""

from __future__ import annotations

import sys

from pyipc import terminals
from terminals.talk import DONE, SECONDS, TRUE, rows


class Talk:
    def __init__(self):
        self.terminal = terminals.spawn("cat", echo=False)

    def ask(self, line):
        self.terminal.send_line(line)
        return self.terminal.expect(b"\r\n", SECONDS).before

    def close(self):
        self.terminal.close(0)


class Collect:
    def __init__(self, words):
        self.terminal = terminals.spawn(*words)

    def collect(self):
        self.match = self.terminal.expect(DONE, SECONDS)
        return len(self.match.before) + len(self.match.match)

    def close(self):
        self.terminal.kill(9)  # as the others do: `close` would look for whom it has left behind
        self.terminal.wait()
        self.terminal.close()


def spawn_and_wait():
    with terminals.spawn(TRUE) as terminal:
        return terminal.wait().code


globals().update(rows(sys.modules[__name__]))
