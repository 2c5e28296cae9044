from __future__ import annotations

import os
import tempfile

from .with_pyipc import LINES, RECORDS, wrong


def fifo_record():
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = _opened(f"{folder}/fifo")

        def block(n):
            for number in range(n):
                record = RECORDS[number & 1]
                os.write(writing, record)
                if os.read(reading, 65536) != record:
                    wrong()

        yield block
        os.close(reading)
        os.close(writing)


def fifo_lines():
    text = b"".join(LINES)
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = _opened(f"{folder}/fifo")
        with os.fdopen(reading, "rb") as lines:

            def block(n):
                for _ in range(n):
                    os.write(writing, text)
                    for line in LINES:
                        if lines.readline() != line:
                            wrong()

            yield block
        os.close(writing)


def _opened(path):
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)
    os.set_blocking(reading, True)
    return reading, writing
