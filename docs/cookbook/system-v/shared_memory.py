"""perlipc, "SysV IPC": a small example of shared memory.

Faults of the original: the segment is open to every user (0777); if the program dies before its last line, it stays
for ever; what is read has fifty NULs behind the ten bytes that were written; and both copy, so that no variable is
shared, as it says itself. Here the segment is ours alone and goes with the last process that has it, even if that
is killed, and the child writes where the parent reads.
"""

import os

from pyipc import sysv


def main() -> None:
    with sysv.SharedMemory.create(2000) as memory:
        memory.write(b"Message #1", pad_to=60)  # shmwrite
        print(memory.read(60).rstrip(b"\0").decode())  # shmread
        if not os.fork():
            memory.buf[60] = 7
            os._exit(0)
        os.wait()
        print("the child counted to", memory.buf[60])
        print("deleting", memory.id)


if __name__ == "__main__":
    main()
