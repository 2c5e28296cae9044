"""Lines of what a program writes: all of them, in order, whoever reads them in whatever way."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyipc import ClosedError, LimitError
from pyipc.processes import Command
from pyipc.processes._feed import MOST_LINE, Output


def numbered(count):
    return Command(sys.executable, "-c", f"for n in range({count}): print(f'line {{n}} ' + 'x' * (n % 90))")


def line(n):
    return b"line %d %s\n" % (n, b"x" * (n % 90))


steps = st.one_of(
    st.tuples(st.just("add"), st.text("ab\n\r\f", min_size=1, max_size=9).map(str.encode)),
    st.tuples(st.just("take"), st.integers(0, 12)),
    st.tuples(st.just("line"), st.none()),
    st.tuples(st.just("lines"), st.integers(0, 3)),
)


class Model:
    """The same, by one string of bytes."""

    def __init__(self):
        self.data, self.ended = b"", False

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def take_line(self):
        end = self.data.find(b"\n") + 1
        if not end and not self.ended:
            return None
        return self.take(end or len(self.data))


def lines_of(output, most):
    """What a loop over it gets that is broken off after so many."""
    got = []
    for _, text in zip(range(most), output.take_lines() or ()):
        got.append(text)
    return got


@given(st.lists(steps, max_size=40))
def test_what_was_written_comes_out_however_it_is_taken(moves):
    output, model = Output(), Model()
    for what, how in [*moves, ("end", None), *[("line", None)] * 400]:
        if what == "end":
            output.ended = model.ended = True
        elif what == "add":
            output.came.append(how)
            output.keep()
            model.data += how
        elif what == "take":
            assert output.take(how) == model.take(how)
        elif what == "line":
            assert output.take_line() == model.take_line()
        else:
            for text in lines_of(output, how):
                assert text == model.take_line()
        assert len(output) == len(model.data)
    assert len(output) == 0


def test_a_loop_that_is_broken_off_loses_none():
    count = 20000
    with numbered(count).reader() as reader:
        place = 0
        for step in (1, 2, 700, 5000):
            for text in reader:
                assert text == line(place)
                place += 1
                step -= 1
                if not step:
                    break
            assert reader.read_line() == line(place)
            start = line(place + 1)
            assert reader.read(3) == start[:3]
            assert reader.read_line() == start[3:]
            place += 2
        rest = reader.read_available()
        assert rest == b"".join(map(line, range(place, count)))[: len(rest)]
        rest += reader.read()
    assert rest == b"".join(map(line, range(place, count)))


def test_a_reader_that_is_closed_in_the_loop_gives_no_more():
    with numbered(3).reader() as reader:
        lines = iter(reader)
        assert next(lines) == line(0)
        reader.close()
        with pytest.raises(ClosedError):
            next(lines)


def test_the_last_line_needs_no_end():
    with Command("printf", "a\\n\\nb\\r\\fc").reader() as reader:
        assert list(reader) == [b"a\n", b"\n", b"b\r\fc"]
        assert reader.read_line() == b""
    with Command("sh", "-c", "printf 'a\\nb'; printf 'c\\nd' >&2").streams() as streams:
        said = sorted(streams.lines())
    assert said == [("err", b"c\n"), ("err", b"d"), ("out", b"a\n"), ("out", b"b")]


def test_a_line_without_end_is_refused_and_stays():
    with Command("head", "-c", str(MOST_LINE + 5), "/dev/zero").reader() as reader:
        with pytest.raises(LimitError, match="MOST_LINE"):
            next(iter(reader))
        assert len(reader.read()) == MOST_LINE + 5
