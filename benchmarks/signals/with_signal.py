"""By the module `signal`, and sigqueue(3) by ctypes, which it lacks."""

from __future__ import annotations

import ctypes  # sigqueue(3) is nowhere else
import os
import signal

from .with_pyipc import wrong


def signal_scope():
    seen = []
    pid = os.getpid()

    def block(n):
        for _ in range(n):
            before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
            try:
                os.kill(pid, signal.SIGUSR1)
            finally:
                signal.signal(signal.SIGUSR1, before)
        if seen != [signal.SIGUSR1] * n:
            wrong()
        seen.clear()

    yield block


def signal_deadline():
    def late(number, frame):
        raise TimeoutError

    def block(n):
        signal.setitimer(signal.ITIMER_REAL, 1000)
        for _ in range(n):
            before = signal.signal(signal.SIGALRM, late)
            left, _ = signal.setitimer(signal.ITIMER_REAL, 100)
            try:
                pass
            finally:
                signal.setitimer(signal.ITIMER_REAL, left)
                signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, 0)

    yield block


def signal_queue():
    number = signal.SIGRTMIN + 1
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    pid = os.getpid()
    sigqueue = ctypes.CDLL(None).sigqueue
    sigqueue.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)

    def block(n):
        wait = signal.sigwaitinfo
        for value in range(n):
            if sigqueue(pid, number, value):
                wrong()
            info = wait({number})  # which does not give the value
            if info.si_signo != number or info.si_pid != pid:
                wrong()

    yield block
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
