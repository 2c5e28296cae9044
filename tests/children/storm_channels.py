"""Four send, four receive, and every few milliseconds one of them is killed and replaced; says what came.

Arguments: a seed, how many seconds, and how they receive: "recv", "recv_many", or "ack".

Who sends says in memory that all share what it is about to send, and then that it has; who receives counts
each message there. So of each message it is known whether it was sent, may have been, or was not.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback

import handshake

import pyipc
from pyipc import channels

MESSAGE = struct.Struct("<II")  # who sent it, and which of theirs it is
MOST_SENDERS = 4096
MOST_MESSAGES = 16384  # of one
BATCH = 5
ENOUGH = 20  # of each role are killed at least
PATIENCE = 10.0  # for one call: it must never take that long


class Board:
    """What all know: memory that is shared by forking."""

    def __init__(self):
        self._words = mmap.mmap(-1, 16 * (MOST_SENDERS + 1))
        words = memoryview(self._words).cast("Q")
        self.about_to, self.sent = words[:MOST_SENDERS], words[MOST_SENDERS : 2 * MOST_SENDERS]
        self.flags = words[2 * MOST_SENDERS :]  # whether senders, and receivers, are to stop
        self.came = mmap.mmap(-1, MOST_SENDERS * MOST_MESSAGES)

    def count(self, data, again):
        sender, number = MESSAGE.unpack_from(data)
        at = sender * MOST_MESSAGES + number
        assert data[MESSAGE.size :] == bytes([number % 251]) * (len(data) - MESSAGE.size), "a spoilt message"
        if self.came[at] and again:
            return
        self.came[at] += 1


def message_of(sender, number):
    size = (0, 3, 56, 57, 400)[number % 5]
    return MESSAGE.pack(sender, number) + bytes([number % 251]) * size


def send(board, channel, sender):
    number = 0
    while not board.flags[0] and number < MOST_MESSAGES - BATCH:
        how = random.random()
        count = random.randint(1, BATCH) if how < 0.3 else 1
        messages = [message_of(sender, number + i) for i in range(count)]
        board.about_to[sender] = number + count
        if how < 0.3:
            count = channel.send_many(messages, PATIENCE)
        elif how < 0.4:
            with channel.reserve(len(messages[0]), PATIENCE) as reserved:
                reserved.buf[:] = messages[0]
                reserved.commit(timeout=PATIENCE)
        else:
            channel.send(messages[0], PATIENCE)
        number += count
        board.sent[sender] = number


def receive(board, channel, how):
    while not (board.flags[1] and channel.statistics().depth == 0):
        try:
            if how == "ack":
                with channel.recv(0.1, ack=True) as message:
                    board.count(bytes(message), message.redelivered)
            elif how == "recv_many":
                for data in channel.recv_many(BATCH, 0.1):
                    board.count(data, False)
            else:
                board.count(channel.recv(0.1), False)
        except pyipc.TimedOutError:
            pass


def started(function, *arguments):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        random.seed()
        function(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class Storm:
    def __init__(self, how):
        self.board = Board()
        self.channel = channels.Channel(16, 64, 1 << 20)
        self.how = how
        self.senders = 0
        self.kills = {"send": 0, "receive": 0}
        self.failed = 0
        self.running = {}
        for _ in range(4):
            self.start("send")
            self.start("receive")

    def start(self, role):
        if role == "send":
            pid = started(send, self.board, self.channel, self.senders)
            self.senders += 1
        else:
            pid = started(receive, self.board, self.channel, self.how)
        self.running[pid] = role

    def kill_one(self):
        pid = random.choice(list(self.running))
        role = self.running.pop(pid)
        os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.kills[role] += status == -signal.SIGKILL
        self.failed += status > 0
        self.start(role)

    def stop(self, role):
        self.board.flags[role == "receive"] = 1
        for pid in [pid for pid, its in self.running.items() if its == role]:
            self.failed += os.waitpid(pid, 0)[1] != 0
            del self.running[pid]

    def drain(self):
        """What is left, and what comes back from the dead: a second after the last of them at the most."""
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            try:
                with self.channel.recv(0.1, ack=True) as message:
                    self.board.count(bytes(message), message.redelivered)
            except pyipc.TimedOutError:
                pass

    def facts(self):
        came, missing, twice, unsent = 0, 0, 0, 0
        for sender in range(self.senders):
            begin = sender * MOST_MESSAGES
            sent, about_to = self.board.sent[sender], self.board.about_to[sender]
            counts = self.board.came[begin : begin + MOST_MESSAGES]
            came += sum(counts)
            missing += counts[:sent].count(0)
            twice += sum(count > 1 for count in counts)
            unsent += sum(counts[about_to:])
        return {"came": came, "missing": missing, "twice": twice, "unsent": unsent}


def main() -> None:
    handshake.begin()
    seed, seconds, how = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    random.seed(seed)
    storm = Storm(how)
    end = time.monotonic() + seconds
    # On a busy machine, for as long as it takes.
    while (time.monotonic() < end or min(storm.kills.values()) <= ENOUGH) and storm.senders < MOST_SENDERS:
        time.sleep(random.random() * 0.006)  # a moment of their lives
        storm.kill_one()
    storm.stop("send")
    storm.stop("receive")
    storm.drain()
    # Whatever the dead had taken is free again.
    storm.channel.reserve(1 << 20, PATIENCE).cancel()
    handshake.say({**storm.facts(), "kills": storm.kills, "failed": storm.failed})
    storm.channel.close()


if __name__ == "__main__":
    main()
