"""An installed pyipc works here: python smoke.py native|fallback."""

import contextlib
import importlib
import os
import pkgutil
import sys

import pyipc
from pyipc import channels, fds, posix, sync, sysv
from pyipc.memory import Memory

assert pyipc.backend() == sys.argv[1], pyipc.backend()

other = {"native": "fallback", "fallback": "native"}[sys.argv[1]]
for _, module, _ in pkgutil.walk_packages(pyipc.__path__, "pyipc."):
    if other not in module and not module.endswith(("__main__", "_core")):
        importlib.import_module(module)

with contextlib.closing(sysv.Semaphore.create(1)) as semaphore:
    semaphore.acquire(timeout=1)
    semaphore.release()

with sysv.SharedMemory.create(64) as memory:
    memory.write(b"smoke")
    assert memory.read(5) == b"smoke"

here, there = fds.socketpair()
with here, there, Memory(64) as memory:
    memory.write(b"smoke")
    fds.send(here, b"memory", [memory])
    with fds.receive(there, timeout=1) as message, Memory.from_fd(message.fds[0]) as same:
        assert same.read(5) == b"smoke"

with posix.SharedMemory.create(None, 64) as memory, posix.SharedMemory.open(memory.name) as same:
    memory.write(b"smoke")
    assert same.read(5) == b"smoke"

if pyipc.capabilities()["posix.semaphores"]:
    with contextlib.closing(posix.Semaphore.create(None, 0)) as semaphore:
        try:
            semaphore.acquire(timeout=0.01)
            sys.exit("a semaphore without permits was acquired")
        except TimeoutError:
            semaphore.release()
        semaphore.acquire(timeout=1)

if pyipc.capabilities()["channels"]:
    reader, writer = channels.Channel(slots=4).split()
    lock = sync.Lock()
    child = os.fork()
    if child == 0:
        writer.send_many([b"smoke"] * 100)
        lock.acquire()
        os._exit(0)  # and never releases it
    writer.close()
    with reader:
        assert sum(1 for data in reader if data == b"smoke") == 100
    os.waitpid(child, 0)
    assert lock.acquire(timeout=5)
    assert lock.recovered

print("ok:", sys.implementation.name, sys.version.split()[0], pyipc.__version__, pyipc.backend())
