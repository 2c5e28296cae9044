"""The names of fifos: whose they are, what mode they have, and what else may be there."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import warnings

import pytest

import pyipc
from pyipc import fifos
from pyipc.fifos import fifo as module

NOBODY = 65534


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# ---- making ----


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o622, 0o666, 0o777, 0o444, 0])
def test_the_mode_is_what_was_asked_for_whatever_the_umask(path, umask, mask, mode):
    umask(mask)
    with fifos.Fifo.create(path, mode=mode) as fifo:
        assert os.umask(mask) == mask
        assert mode_of(path) == mode == fifo.mode
        assert stat.S_ISFIFO(os.lstat(path).st_mode)


def watch_modes(say, hear, path):
    """Whatever is seen in the folder at any step of making a fifo, as another process sees it."""
    import os
    import sys

    from pyipc import fifos
    from pyipc.fifos import fifo as module

    folder, seen = os.path.dirname(path), set()

    def look(frame, event, argument):
        for name in os.listdir(folder):
            mode = os.lstat(os.path.join(folder, name)).st_mode & 0o777
            seen.add((os.path.join(folder, name) == path, mode))
        return look

    def enter(frame, event, argument):
        return look if frame.f_code.co_filename == module.__file__ else None

    os.umask(0o027)
    sys.settrace(enter)
    fifo = fifos.Fifo.create(path, mode=0o662)
    sys.settrace(None)
    fifo.close()
    say(sorted(seen))


def test_nobody_finds_it_before_it_has_its_mode_nor_with_a_wider_one(path, child):
    seen = child(watch_modes, path).hear()
    assert {mode for is_it, mode in seen if is_it} == {0o662}
    assert {mode for is_it, mode in seen if not is_it} == {0o640, 0o662}  # less the umask, then as asked


def test_a_name_that_is_taken_is_an_error_and_stays(path):
    with open(path, "w") as file:
        file.write("mine")
    with pytest.raises(pyipc.AlreadyExistsError, match=path):
        fifos.Fifo.create(path)
    with open(path) as file:
        assert file.read() == "mine"
    os.unlink(path)


def test_close_takes_away_what_it_made_and_leaves_what_is_there_instead(path):
    with fifos.Fifo.create(path) as fifo:
        assert fifo.owner
    assert not os.path.lexists(path)
    with fifos.Fifo.create(path):
        os.unlink(path)
        os.mkfifo(path)  # a stranger's, of the same kind
    assert stat.S_ISFIFO(os.lstat(path).st_mode)
    os.unlink(path)
    with fifos.Fifo.create(path):
        os.unlink(path)  # and nothing instead
    fifo.close()


def test_what_was_kept_or_found_stays(path):
    with fifos.Fifo.create(path, persist=True) as fifo:
        assert not fifo.owner
    with fifos.Fifo.open(path) as found:
        assert (found.path, found.name) == (path, path)
    with fifos.Fifo.open_or_create(path, mode=0o666) as found:
        assert found.mode == 0o600
        found.remove()
        assert not os.path.lexists(path)
        with pytest.raises(pyipc.NotFoundError):
            found.remove()
    with fifos.Fifo.open_or_create(path, mode=0o640) as made:
        assert (made.mode, made.owner) == (0o640, False)
    os.unlink(path)


def test_the_right_one_is_removed_after_a_change_of_directory(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fifo = fifos.Fifo.create("fifo")
    monkeypatch.chdir("/")
    assert fifo.path == path
    fifo.close()
    assert not os.path.lexists(path)


def test_a_forked_child_removes_nothing(path, fork):
    def leave(self, fifo):
        fifo.close()
        self.say(fifo.closed)

    with fifos.Fifo.create(path) as fifo:
        child = fork(leave, fifo)
        assert child.hear() is True
        assert child.end() == 0
        assert os.path.lexists(path)


def forget(say, hear, path):
    from pyipc import fifos

    keep = globals()
    keep["fifo"] = fifos.Fifo.create(path)
    say("made")
    hear()


def test_one_that_is_left_open_is_removed_at_exit(path, child):
    other = child(forget, path)
    assert other.hear() == "made"
    assert os.path.lexists(path)
    other.say()
    assert other.end() == 0
    assert not os.path.lexists(path)


def test_one_that_is_dropped_is_removed_and_complained_of(path):
    fifo = fifos.Fifo.create(path)
    with pytest.warns(ResourceWarning, match=path):
        del fifo
    assert not os.path.lexists(path)


def test_handlers_that_raise_at_any_step_leave_no_name_and_no_descriptor(path, tmp_path):
    """An exception before every line of the module, in turn."""

    class Late(Exception):  # noqa: N818 (it is no error)
        pass

    def stepping(wanted):
        done = 0

        def local(frame, event, argument):
            nonlocal done
            if event == "line":
                done += 1
                if done == wanted:
                    raise Late
            return local

        return lambda frame, event, argument: local if frame.f_code.co_filename == module.__file__ else None

    warnings.simplefilter("ignore", ResourceWarning)  # what was just made may be dropped
    before = len(os.listdir("/proc/self/fd"))
    tracing, step, interrupted = sys.gettrace(), 0, True
    while interrupted:
        step += 1
        sys.settrace(stepping(step))
        try:
            fifo = fifos.Fifo.create(path, mode=0o666)
            interrupted = False
        except Late:
            pass
        finally:
            sys.settrace(tracing)
        if interrupted:
            assert os.listdir(tmp_path) == [], step
            assert len(os.listdir("/proc/self/fd")) == before, step
    fifo.close()
    assert step > 20


@pytest.mark.parametrize("wrong", ["", "/", "a/", ".", "x/..", "a\0b"])
def test_what_is_no_path_is_a_value_error(wrong):
    for make in fifos.Fifo.create, fifos.Fifo.open, fifos.Fifo.open_or_create:
        with pytest.raises(ValueError, match="path"):
            make(wrong)


def test_arguments_that_make_no_sense(path):
    for wrong in -1, 0o1000, 0o4600:
        with pytest.raises(ValueError, match="mode"):
            fifos.Fifo.create(path, mode=wrong)
        with pytest.raises(ValueError, match="mode"):
            fifos.Fifo.open_or_create(path, mode=wrong)
    with pytest.raises(TypeError):
        fifos.Fifo.create(7)
    with pytest.raises(TypeError):
        fifos.Fifo()
    with pytest.raises(pyipc.NotFoundError):
        fifos.Fifo.open(path)
    with pytest.raises(pyipc.NotFoundError):
        fifos.Fifo.create(path + "/below")


def test_a_working_directory_that_is_gone_matters_to_relative_paths_alone(path, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with fifos.Fifo.create(path), fifos.Fifo.open(path):
        pass
    with pytest.raises(pyipc.NotFoundError, match="fifo"):
        fifos.Fifo.create("fifo")


def test_bytes_and_path_objects_are_paths(tmp_path):
    with fifos.Fifo.create(tmp_path / "fifo") as fifo, fifos.Fifo.open(os.fsencode(fifo.path)) as same:
        assert same.path == fifo.path


def test_a_closed_one_says_so(fifo):
    fifo.close()
    for call in fifo.reader, fifo.writer, lambda: fifo.mode, lambda: fifo.serve(bytes), fifo.remove:
        with pytest.raises(pyipc.ClosedError):
            call()
    assert "closed" in repr(fifo)


# ---- impostors ----


def test_a_symbolic_link_is_refused_even_to_a_fifo(path, tmp_path, keep):
    with fifos.Fifo.create(tmp_path / "real"):
        os.symlink("real", path)
        for find in fifos.Fifo.open, fifos.Fifo.open_or_create:
            with pytest.raises(pyipc.IPCError, match="symbolic link"):
                find(path)
        with pytest.raises(pyipc.AlreadyExistsError):
            fifos.Fifo.create(path)
        os.unlink(path)
        os.symlink("nowhere", path)
        with pytest.raises(pyipc.IPCError, match="symbolic link"):
            fifos.Fifo.open_or_create(path)
        assert not os.path.exists(tmp_path / "nowhere")
        os.unlink(path)


@pytest.mark.parametrize("make", [lambda path: open(path, "w").close(), os.mkdir], ids=["file", "directory"])
def test_what_is_no_fifo_is_refused(path, make):
    make(path)
    for find in fifos.Fifo.open, fifos.Fifo.open_or_create:
        with pytest.raises(pyipc.AlreadyExistsError, match="no fifo"):
            find(path)
    with contextlib.suppress(IsADirectoryError, PermissionError):
        os.unlink(path)
    if os.path.lexists(path):
        os.rmdir(path)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@needs_root
def test_somebody_elses_fifo_in_a_directory_for_everybody_is_refused(path, tmp_path):
    os.mkfifo(path)
    os.chmod(path, 0o666)
    os.chown(path, NOBODY, NOBODY)
    with fifos.Fifo.open(path):
        pass  # whoever may write to this directory is trusted
    os.chmod(tmp_path, 0o1777)
    try:
        for find in fifos.Fifo.open, fifos.Fifo.open_or_create:
            with pytest.raises(pyipc.AccessError, match=f"user {NOBODY}"):
                find(path)
        with fifos.Fifo.open(path, owner=NOBODY):
            pass
        with pytest.raises(pyipc.AccessError, match=f"user {NOBODY}"):
            fifos.Fifo.open(path, owner=NOBODY - 1)
        os.chown(tmp_path, NOBODY, NOBODY)
        with fifos.Fifo.open(path):
            pass  # the directory's owner can do there what he likes
    finally:
        os.chown(tmp_path, 0, 0)
        os.chmod(tmp_path, 0o700)
    os.unlink(path)


def try_as_nobody(say, hear, path, shut):
    from pyipc import fifos

    answers = []
    for attempt in (
        lambda: fifos.Fifo.create(shut).close(),
        lambda: fifos.Fifo.open(path).reader(0),
        lambda: fifos.Fifo.open(path).writer(0),
        lambda: fifos.Fifo.open(path).reader(keep_alive=True),
    ):
        try:
            attempt()
            answers.append("fine")
        except OSError as problem:
            answers.append(type(problem).__name__)
    say(answers)
    import gc
    import warnings

    warnings.simplefilter("ignore", ResourceWarning)
    gc.collect()


def test_modes_and_directories_forbid_a_plain_user_by_name(tmp_path, path, nobody):
    with fifos.Fifo.create(path, mode=0o604):
        answers = nobody(try_as_nobody, path, str(tmp_path / "shut")).hear()
        assert answers == ["AccessError", "WouldBlockError", "AccessError", "AccessError"]


# ---- made by one of many ----


def race(say, hear, path):
    import os

    from pyipc import fifos

    say("ready")
    hear()
    fifo = fifos.Fifo.open_or_create(path, mode=0o646)
    found = os.lstat(path)
    say((found.st_ino, fifo.mode))
    fifo.close()


def test_of_many_that_make_it_at_once_all_find_the_same(path, child):
    others = [child(race, path) for _ in range(4)]
    for other in others:
        assert other.hear() == "ready"
    for other in others:
        other.say()
    answers = {other.hear() for other in others}
    assert len(answers) == 1
    assert answers.pop()[1] == 0o646
    os.unlink(path)


def make_and_remove(say, hear, path):
    from pyipc import fifos

    say("on")
    while True:
        try:
            fifos.Fifo.create(path, mode=0o666).close()
        except FileExistsError:
            say("taken")


def test_sigkill_at_any_moment_leaves_at_most_a_name_that_is_whole(path, tmp_path, child, until):
    for _ in range(5):
        other = child(make_and_remove, path)
        assert other.hear() == "on"
        other.kill()
        assert other.end() == -signal.SIGKILL
        for name in os.listdir(tmp_path):
            assert name == "fifo" or name.startswith(".pyipc-")
            if name == "fifo":
                assert mode_of(path) == 0o666
            os.unlink(tmp_path / name)
