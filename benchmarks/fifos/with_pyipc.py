from __future__ import annotations

import tempfile

from pyipc import fifos

RECORDS = [bytes([number]) * 64 for number in b"ab"]
LINES = [b"%060d\n" % number for number in range(100)]


def wrong():
    raise AssertionError("what came is not what was written")


def fifo_record():
    with (
        tempfile.TemporaryDirectory() as folder,
        fifos.Fifo.create(f"{folder}/fifo") as fifo,
        fifo.reader(keep_alive=True) as reader,
        fifo.writer() as writer,
    ):

        def block(n):
            write, read = writer.write_record, reader.read_record
            for number in range(n):
                record = RECORDS[number & 1]
                write(record)
                if read() != record:
                    wrong()

        yield block


def fifo_lines():
    text = b"".join(LINES)
    with (
        tempfile.TemporaryDirectory() as folder,
        fifos.Fifo.create(f"{folder}/fifo") as fifo,
        fifo.reader(keep_alive=True) as reader,
        fifo.writer() as writer,
    ):

        def block(n):
            for _ in range(n):
                writer.write(text)
                for line in LINES:
                    if reader.read_line() != line:
                        wrong()

        yield block
