"""perlipc, "Named Pipes": a .signature that is new each time it is read.

Faults of the original: whoever reads within two seconds of another waits for the rest of them, and who takes longer
than two seconds to read gets a second signature; a file of yours that is called .signature is deleted, the first
time; a reader that leaves early kills the server (SIGPIPE); if the fifo is removed while the server waits, it waits
for ever; a write that fails is not noticed; and nothing removes the fifo in the end.
"""

import random
import shutil
import signal
import sys
from pathlib import Path

from pyipc import fifos
from pyipc.processes import Command

SAYINGS = [b"Pipes have no memory.\n", b"Who reads first reads best.\n", b"The end is where the writers stop.\n"]


def signature() -> bytes:
    """Called when a reader is there."""
    fortune = shutil.which("fortune", path="/usr/bin:/usr/games:/usr/local/games")
    saying = Command(fortune, "-s").read_bytes() if fortune else random.choice(SAYINGS)
    return b"John Smith (smith@host.org)\n" + saying


def main(path: Path) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with fifos.Fifo.create(path, mode=0o644) as fifo:
        print(f"serving {path}", flush=True)
        fifo.serve(signature)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.home() / ".signature")
