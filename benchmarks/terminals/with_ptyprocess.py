"""Programs on terminals, by ptyprocess, which reads and writes, and searches nothing."""

from __future__ import annotations

import sys

import ptyprocess

from terminals.talk import DONE, TRUE, end, rows


def started(words, **options):
    program = ptyprocess.PtyProcess.spawn(words, **options)
    program.delayafterclose = 0
    return program


class Talk:
    def __init__(self):
        self.program = started(["cat"], echo=False)

    def ask(self, line):
        self.program.write(line + b"\n")
        answer = self.program.read(4096)
        while not answer.endswith(b"\n"):
            answer += self.program.read(4096)
        return answer[:-2]

    def close(self):
        end(self.program.pid)
        self.program.terminated = True
        self.program.close()


class Collect(Talk):
    def __init__(self, words):
        self.program = started(words)

    def collect(self):
        pieces, tail = [], b""
        while True:
            piece = self.program.read(65536)
            pieces.append(piece)
            if DONE.search(tail + piece):
                return len(b"".join(pieces))
            tail = (tail + piece)[-64:]


def spawn_and_wait():
    program = started([TRUE])
    status = program.wait()
    program.close()
    return status


globals().update(rows(sys.modules[__name__]))
