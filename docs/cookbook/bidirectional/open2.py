"""perlipc, "Bidirectional Communication": write to a program and read from it.

Faults of the original: it waits for an answer for ever, and most programs give none before they have a few KiB
of it, or the end of their input; who writes much before it reads hangs, when both pipes are full; nobody waits
for $pid, which stays a zombie; and a program that has ended is SIGPIPE. Here each answer has its time, what the
program writes is taken in while it is written to, and the end of the block waits for it.
"""

from pyipc import TimedOutError
from pyipc.processes import Command


def converse(seconds: float = 10) -> None:
    with Command("cat", "-u", "-n").duplex() as cat:
        for word in "stuff", "more stuff":
            cat.send_line(word)
            print("got", cat.read_line(seconds).decode().strip())


def meet_one_that_waits(seconds: float = 0.2) -> None:
    """Of those that keep their answers back, only the end of their input gets them out. (Or a terminal.)"""
    with Command("grep", "stuff").duplex() as grep:
        grep.send_line("stuff")
        try:
            print("got", grep.read_line(seconds).decode().strip())
        except TimedOutError:
            grep.close_input()
            print("got", grep.read_line().decode().strip(), "at the end")


if __name__ == "__main__":
    converse()
    meet_one_that_waits()
