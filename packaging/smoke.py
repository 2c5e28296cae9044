"""An installed pyipc works here: python smoke.py native|fallback."""

import contextlib
import sys

import pyipc
from pyipc import sysv

assert pyipc.backend() == sys.argv[1], pyipc.backend()

with contextlib.closing(sysv.Semaphore.create(1)) as semaphore:
    semaphore.acquire(timeout=1)
    semaphore.release()

with sysv.SharedMemory.create(64) as memory:
    memory.write(b"smoke")
    assert memory.read(5) == b"smoke"

print("ok:", sys.implementation.name, sys.version.split()[0], pyipc.__version__, pyipc.backend())
