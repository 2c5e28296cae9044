"""The programs at the stop of processes, and the part that another process plays there."""

from __future__ import annotations

import signal
import sys

from pyipc.processes import Command

from .second import tell

# Each number on a line: so many, or for ever.
COUNT = """
import itertools, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
for number in itertools.count() if sys.argv[1] == "for ever" else range(int(sys.argv[1])):
    print(number)
"""

# To each number its square; "late", all of them at the end of its input.
SQUARE = """
import signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
for line in sys.stdin:
    print(int(line) ** 2, flush="late" not in sys.argv)
"""

FIRST = """
import sys
for _, line in zip(range(int(sys.argv[1])), sys.stdin):
    print(line, end="")
"""

# It reads all, and then has nothing to say but this.
FAIL = """
import sys
sys.stdin.read()
sys.exit(int(sys.argv[1]))
"""

ECHO_AND_COMPLAIN = """
import os
while data := os.read(0, 65536):
    while data:
        data = data[os.write(1, data):]
    os.write(2, b"!" * 2048)
"""

HAVE_A_CHILD = """
import os, signal
child = os.fork()
if not child:
    signal.pause()
print(child, flush=True)
while True:
    os.write(1, b"a line\\n")
"""

WAIT = "import signal; signal.pause()"


def start_a_mortal() -> None:
    """Start a program that dies with us, and wait."""
    with Command(sys.executable, "-I", "-S", "-c", WAIT, die_with_parent=True).duplex() as mortal:
        tell(mortal.children[0].pid)
        signal.pause()
