"""Programs, by the shell: os.popen."""

from __future__ import annotations

import os

from processes.checked import counted, lines, pipeline


def _pipeline(path):
    with os.popen(f"cat {path} | cat | cksum") as pipe:
        return pipe.read()


def _lines(path, each=None):
    with os.popen(f"cat {path}") as pipe:
        count, last = counted(pipe, each and (lambda line: each(line.encode())))
        return count, last.encode()


pipeline = pipeline(_pipeline)
lines = lines(_lines)
