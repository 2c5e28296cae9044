"""`pyipc top`, on a terminal, by keys."""

import os
import sys

import pytest

from pyipc import sysv, terminals
from pyipc.cli.objects.found import IDLE, IN_USE, ORPHAN, Found
from pyipc.cli.top import _COLUMNS, View, _layout, graph

QUIT = "\033[?1049l"
PATIENCE = 10


@pytest.fixture
def top():
    with terminals.spawn(
        *(sys.executable, "-m", "pyipc", "top", "--interval", "0.1"), env={**os.environ, "TERM": "xterm"}
    ) as terminal:
        terminal.size = 40, 150
        terminal.expect("q quit", timeout=PATIENCE)
        yield terminal
        if terminal.is_alive():
            terminal.send("q")
        terminal.expect(terminals.EOF, timeout=PATIENCE)
        assert terminal.wait(PATIENCE).code == 0


def test_what_is_made_appears_and_what_is_removed_goes(top, key):
    with sysv.SharedMemory.create(4321, key=key):
        top.expect("4.2K", timeout=PATIENCE)
    top.send("/sysv shm\n")
    top.expect("filter 'sysv shm'", timeout=PATIENCE)


def test_the_terminal_is_left_as_it_was(top):
    top.send("q")
    assert QUIT in top.expect(terminals.EOF, timeout=PATIENCE).before.decode()
    assert top.wait(PATIENCE).code == 0


def test_keys_sort_filter_and_choose_orphans(top):
    top.send("s")
    top.expect("by size", timeout=PATIENCE)
    top.send("r")
    top.expect("by size reversed", timeout=PATIENCE)
    top.send("o")
    top.expect("orphans only", timeout=PATIENCE)
    top.send("/nothing is called so\n")
    top.expect(" 0 objects", timeout=PATIENCE)
    top.send("/\033")
    top.send("p")
    top.expect("paused", timeout=PATIENCE)


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("n", False)])
def test_an_idle_object_is_removed_once_it_is_agreed(top, key, answer, goes, until):
    queue = sysv.MessageQueue.create(key=key, persist=True)
    try:
        top.send("/sysv msg\n")
        top.expect("1 object of", timeout=PATIENCE)
        top.send("d")
        top.expect(f"remove sysv msg {queue.id}", timeout=PATIENCE)
        top.send(answer)
        if goes:
            top.expect(f"removed sysv msg {queue.id}", timeout=PATIENCE)
        else:
            top.expect("filter", timeout=PATIENCE)
        assert (queue.id in {one.id for one in sysv.message_queues()}) is not goes
    finally:
        if not goes:
            queue.remove()
        queue.close()


def test_what_is_in_use_is_not_removed(top, key):
    with sysv.SharedMemory.create(1, key=key) as segment:
        top.send("/sysv shm\n")
        top.expect("1 object of", timeout=PATIENCE)
        top.send("d")
        top.expect("it is in use", timeout=PATIENCE)
        assert segment.id in {one.id for one in sysv.segments()}


def test_without_a_terminal_it_says_what_to_use(run):
    ran = run("top")
    assert ran.returncode == 2
    assert "pyipc ls" in ran.stderr


@pytest.mark.parametrize("interval", ["0", "nan", "1e9"])
def test_intervals_that_make_no_sense(run, interval):
    ran = run("top", "--interval", interval)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


# ---- what it shows ----


def found(kind, id, verdict=IDLE, moved=None, **facts):
    one = Found(kind, id, verdict, **facts)
    one.moved = moved
    return one


def shown(view, column):
    """What stands in a column of the first row."""
    return view.cells(view.rows[0])[[name for name, _, _ in _COLUMNS].index(column)]


def test_rates_are_of_what_went_between_two_looks():
    view = View()
    view.look([found("channel", "a", moved=100, count=1)], 10.0)
    assert shown(view, "SENT/s") == ""
    view.look([found("channel", "a", moved=150, count=3)], 10.5)
    assert shown(view, "SENT/s") == "100"
    view.look([found("channel", "a", moved=350, count=3)], 11.5)
    assert (shown(view, "DEPTH"), shown(view, "TRAFFIC")) == ("▃██", "▄█")


def test_a_number_that_is_another_objects_by_now_has_no_rate_below_nothing():
    view = View()
    view.look([found("channel", "a", moved=100)], 1.0)
    view.look([found("channel", "a", moved=5)], 2.0)
    assert shown(view, "SENT/s") == "0"


def test_what_has_gone_is_forgotten():
    view = View()
    for n in range(100):
        view.look([found("sysv msg", n, count=1)], float(n))
    assert len(view._depths) == 1


def test_the_greatest_first_and_what_has_no_size_last():
    view = View()
    view.sort = "size"
    view.look([found("a", 1, size=1), found("b", 2), found("c", 3, size=9)], 1.0)
    assert [one.id for one in view.rows] == [3, 1, 2]
    view.reverse = True
    view.arrange()
    assert [one.id for one in view.rows] == [2, 1, 3]


def test_a_filter_looks_at_kind_id_owner_and_state():
    view = View()
    view.look([found("fifo", "/tmp/x", IN_USE, uid=0), found("memfd", "m", ORPHAN)], 1.0)
    for text, ids in (("FIFO", ["/tmp/x"]), ("root", ["/tmp/x"]), ("orph", ["m"]), ("zzz", [])):
        view.filter = text
        view.arrange()
        assert [one.id for one in view.rows] == ids


def test_the_number_of_a_sets_semaphores_is_no_depth():
    view = View()
    view.look([found("sysv sem", 1, count=3)], 1.0)
    assert (shown(view, "COUNT"), shown(view, "DEPTH")) == ("3", "")


@pytest.mark.parametrize("columns", [40, 80, 100, 120, 200])
def test_a_narrow_terminal_has_fewer_columns_and_keeps_what_matters(columns):
    kept, widths = _layout(columns)
    assert sum(widths[place] + 1 for place in kept) - 1 == columns
    names = {_COLUMNS[place][0] for place in kept}
    assert {"KIND", "ID", "STATE"} <= names
    assert columns < 80 or {"DEPTH", "SENT/s", "TRAFFIC"} <= names
    assert (len(names) == len(_COLUMNS)) is (columns >= 120)


def test_a_terminal_without_a_cursor(run):
    with terminals.spawn(
        sys.executable, "-m", "pyipc", "top", env={**os.environ, "TERM": "dumb"}
    ) as terminal:
        assert b"pyipc ls" in terminal.expect(terminals.EOF, timeout=PATIENCE).before
        assert terminal.wait(PATIENCE).code == 2


def test_a_graph_is_as_high_as_its_highest():
    assert graph([]) == ""
    assert graph([0, 0]) == ""
    assert graph([0, 1, 4, 8]) == " ▁▄█"
