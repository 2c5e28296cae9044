"""What is done with locks and semaphores, whoever made them; the rows are made of a way to make each."""

from __future__ import annotations

import mmap

BYTES = 8


def wrong(what):
    raise AssertionError(what)


def uncontended(make):
    """A pair of calls, nobody else being there."""

    def row():
        lock = make()

        def block(n):
            acquire, release = lock.acquire, lock.release
            for _ in range(n):
                acquire()
                release()
            if not acquire():
                wrong("it is not free")
            release()

        yield block

    return row


def as_a_block(make):
    def row():
        lock = make()

        def block(n):
            for _ in range(n):
                with lock:
                    pass

        yield block

    return row


def increments(make):
    """Two processes add to one number; each keeps count of its own part."""

    def row():
        lock = make()
        with mmap.mmap(-1, 4096) as memory, memoryview(memory).cast("Q") as numbers:

            def half(mine):
                def add(n):
                    for _ in range(n):
                        with lock:
                            numbers[0] += 1
                    numbers[mine] += n

                return add

            yield half(1), half(2)
            if numbers[0] != numbers[1] + numbers[2]:
                wrong(f"{numbers[0]} is not {numbers[1]} + {numbers[2]}")

    return row


def there_and_back(make):
    """One wakes the other, who wakes it: two semaphores."""

    def row():
        there, back = make(), make()

        def first(n):
            for _ in range(n):
                there.release()
                back.acquire()

        def second(n):
            for _ in range(n):
                there.acquire()
                back.release()

        yield first, second

    return row
