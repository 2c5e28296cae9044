"""`pyipc bench`: how fast two processes of this machine talk, by each of the ways that there are."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from signal import SIGKILL
from statistics import median
from time import perf_counter_ns
from zlib import crc32

from ..signals import deadline
from .table import BOLD, DIM, GREEN, paint
from .ways import WAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from .ways import Pair

_SMALL, _LARGE = 64, 64 << 10
_BLOCK = 64  # messages between two looks at the clock
_BAR = 40
_PATIENCE = 20  # seconds for one way beside what it measures, or the other process has died


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = (
        "Measure round trips and throughput between two processes; every payload is compared. Figures hold "
        "for this machine at this hour: compare them with one another. The claims of the project are "
        "measured by `./dev bench`, beside more peers and with more care."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure (default 0.3)")


def run(arguments: Namespace) -> int:
    """Measure, and draw."""
    if not 0 < arguments.seconds <= 60:
        print("pyipc bench: --seconds is more than 0, and at most 60", file=sys.stderr)
        return 2
    results: dict[str, dict[str, Any]] = {}
    for name, make in WAYS.items():
        if not arguments.json and sys.stdout.isatty():
            print(paint(f"\r{name:24}", DIM), end="", flush=True)
        results[name] = _measured(make, int(arguments.seconds * 1e9))
    if arguments.json:
        print(json.dumps(results, indent=1))
        return int(any("failed" in one for one in results.values()))
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    _draw("Round trip, 64 bytes (µs; less is better)", "round_trip_us", results, best=min)
    _draw(
        "One way, 64 bytes (thousands a second; more is better)",
        "small_per_s",
        results,
        best=max,
        divide=1000,
    )
    _draw("One way, 64 KiB (MB a second; more is better)", "large_mb_per_s", results, best=max)
    for name, one in results.items():
        if "failed" in one or "missing" in one:
            print(f"{name}: {one.get('failed') or one.get('missing')}")
    return int(any("failed" in one for one in results.values()))


def _measured(make: Any, nanoseconds: int) -> dict[str, Any]:
    try:
        pair = make()
    except (OSError, ImportError) as problem:
        return {"missing": str(problem)}
    try:
        return _with_other(pair, nanoseconds)
    except Exception as problem:  # of that way; the others go on
        return {"failed": f"{type(problem).__name__}: {problem}"}
    finally:
        pair.close()


def _with_other(pair: Pair, nanoseconds: int) -> dict[str, Any]:
    """Measure against a second process, which is forked and has the other ends."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            _be_other(pair)
        finally:
            os._exit(0)
    with deadline(_PATIENCE + 10 * nanoseconds / 1e9), closing(_Other(pid)):
        return {
            "round_trip_us": _round_trip(pair, nanoseconds) / 1000,
            "small_per_s": _one_way(pair, _SMALL, nanoseconds),
            "large_mb_per_s": _one_way(pair, min(_LARGE, pair.largest), nanoseconds)
            * min(_LARGE, pair.largest)
            / 1e6,
        }


class _Other:
    """The second process, and its end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def close(self) -> None:
        """Kill and reap it: some of the ways would let it wait for ever."""
        os.kill(self._pid, SIGKILL)
        os.waitpid(self._pid, 0)


# What the first byte asks of the other: to answer, to take without a word, to say what has come.
_ANSWER, _TAKE, _SUM = b"a", b"t", b"s"


def _be_other(pair: Pair) -> None:
    sum = 0
    while True:
        message = pair.receive_there()
        asked = message[:1]
        if asked == _ANSWER:
            pair.send_back(message)
        elif asked == _TAKE:
            sum = crc32(message, sum)
        elif asked == _SUM:
            pair.send_back(b"%08x" % sum)
            sum = 0
        else:
            return


def _round_trip(pair: Pair, nanoseconds: int) -> float:
    payloads = [_ANSWER + bytes([n % 256]) * (_SMALL - 1) for n in range(_BLOCK)]
    times: list[float] = []
    stop = perf_counter_ns() + nanoseconds
    while perf_counter_ns() < stop or len(times) < 3:
        start = perf_counter_ns()
        for payload in payloads:
            pair.send_there(payload)
            if pair.receive_back() != payload:
                raise ValueError("what came back is not what was sent")
        times.append((perf_counter_ns() - start) / _BLOCK)
    return median(times)


def _one_way(pair: Pair, size: int, nanoseconds: int) -> float:
    payloads = [_TAKE + bytes([n % 256]) * (size - 1) for n in range(8)]
    sum = count = 0
    start = perf_counter_ns()
    while perf_counter_ns() - start < nanoseconds:
        for _ in range(_BLOCK // len(payloads)):
            for payload in payloads:
                pair.send_there(payload)
        count += _BLOCK
    pair.send_there(_SUM)
    said = pair.receive_back()
    took = perf_counter_ns() - start
    for _ in range(count // len(payloads)):
        for payload in payloads:
            sum = crc32(payload, sum)
    if said != b"%08x" % sum:
        raise ValueError("what has come is not what was sent")
    return count / took * 1e9


def _draw(title: str, figure: str, results: dict[str, dict[str, Any]], best: Any, divide: float = 1) -> None:
    figures = {name: one[figure] / divide for name, one in results.items() if figure in one}
    if not figures:
        return
    print(paint(title, BOLD))
    most, first = max(figures.values()), best(figures.values())
    for name, value in figures.items():
        bar = "█" * max(1, round(_BAR * value / most))
        colour = GREEN if value == first else ""
        print(f"  {name:24}{value:10.1f} {paint(bar, colour)}")
    print()
