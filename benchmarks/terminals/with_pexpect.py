"""Programs on terminals, by pexpect, each row with the settings that are best for it."""

from __future__ import annotations

import sys

import pexpect

from terminals.talk import DONE, SECONDS, TRUE, end, rows


def started(words, **options):
    program = pexpect.spawn(words[0], words[1:], timeout=SECONDS, **options)
    program.delaybeforesend = None
    program.delayafterclose = program.ptyproc.delayafterclose = 0
    return program


class Talk:
    def __init__(self):
        self.program = started(["cat"], echo=False)

    def ask(self, line):
        self.program.sendline(line)
        self.program.expect_exact(b"\r\n")
        return self.program.before

    def close(self):
        end(self.program.pid)
        self.program.ptyproc.terminated = True
        self.program.close()


class Collect(Talk):
    def __init__(self, words):
        self.program = started(words, maxread=65536)

    def collect(self):
        self.program.expect(DONE)
        return len(self.program.before) + len(self.program.after)


def spawn_and_wait():
    program = started([TRUE])
    status = program.wait()
    program.close()
    return status


globals().update(rows(sys.modules[__name__]))
