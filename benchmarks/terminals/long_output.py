"""Much output and what is waited for at its end, a few times: worker.py would take minutes for a slow one.

long_output.py MODULE ROW SECONDS
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter_ns as clock

sys.path.insert(0, str(Path(__file__).parents[1]))

from terminals.talk import LINE, SIZE

TIMES = 3


@contextmanager
def long_output():
    """The words of a program that writes it, in raw mode, so that no byte is added, and then waits."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(LINE * (20_000_000 // len(LINE)) + b"DONE-abc-123\n")
        file.flush()
        yield ["/bin/sh", "-c", f"stty raw -echo; cat {file.name}; exec sleep 100"]


def once(way, words):
    begun = clock()
    collect = way.Collect(words)
    size = collect.collect()
    collect.close()
    took = clock() - begun
    if size != SIZE:
        raise AssertionError(f"{size} bytes came, not {SIZE}")
    return took


def main(module, row, seconds):
    way = importlib.import_module(module)
    with long_output() as words:
        print(json.dumps({"": median([once(way, words) for _ in range(TIMES)])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
