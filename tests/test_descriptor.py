"""Handles that own a descriptor: what they take over, what they give away, and that they close it once."""

from __future__ import annotations

import copy
import gc
import mmap
import os
import pickle
import select
import socket
import subprocess
import sys

import pytest

import pyipc
from pyipc import fds
from pyipc._descriptor import Handle


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def file_of(number):
    facts = os.fstat(number)
    return facts.st_dev, facts.st_ino


@pytest.fixture
def pipe():
    """Two numbers; what is still open of them is closed in the end."""
    ends = os.pipe()
    files = list(map(file_of, ends))
    yield ends
    for number, file in zip(ends, files):
        if is_open(number) and file_of(number) == file:
            os.close(number)


def at_its_end(reading):
    """Whether the last copy of the other end is closed."""
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 1) == b""
    except BlockingIOError:
        return False


MAKERS = {
    "descriptor": lambda: Handle(os.dup(0)),
    "eventfd": lambda: fds.Eventfd.create(),
    "pidfd": lambda: fds.Pidfd.open(os.getpid()),
}


@pytest.fixture(
    params=[
        "descriptor",
        pytest.param("eventfd", marks=pytest.mark.needs("fds.eventfd")),
        "pidfd",
    ]
)
def made(request):
    """A handle of each kind."""
    with MAKERS[request.param]() as handle:
        assert handle.kind == request.param
        yield handle


def test_the_handle_of_the_chapter_is_this_one():
    assert fds.Handle is Handle
    assert issubclass(fds.Pidfd, Handle)
    assert issubclass(fds.Eventfd, Handle)


# ---- taking over ----


def test_a_handle_owns_the_number_that_it_is_given_and_makes_it_close_on_exec(pipe):
    os.set_inheritable(pipe[1], True)
    handle = Handle(pipe[1])
    assert handle.fileno() == pipe[1]
    assert not os.get_inheritable(pipe[1])
    assert not handle.closed
    handle.close()
    assert handle.closed
    assert at_its_end(pipe[0])


def test_a_program_that_is_started_does_not_have_it(made):
    number = made.fileno()
    look = f"import os; os.fstat({number})"
    quiet = subprocess.DEVNULL
    run = subprocess.run([sys.executable, "-c", look], close_fds=False, stderr=quiet, check=False)
    assert run.returncode == 1
    run = subprocess.run([sys.executable, "-c", look], pass_fds=[number], check=False)
    assert run.returncode == 0  # so the look can tell


@pytest.mark.parametrize("number", [-1, -2, 1 << 20, 2**31 - 1])
def test_a_number_that_is_not_open_is_a_closed_error_that_names_it(number):
    with pytest.raises(pyipc.ClosedError, match=f"descriptor {number}"):
        Handle(number)


def test_a_handle_takes_over_what_another_one_owned(pipe):
    first = Handle(pipe[1])
    second = Handle(first)
    assert (first.closed, second.fileno()) == (True, pipe[1])
    first.close()
    assert not at_its_end(pipe[0])
    with pytest.raises(pyipc.ClosedError):
        Handle(first)
    second.close()
    assert at_its_end(pipe[0])


def test_a_handle_of_one_kind_takes_over_from_one_of_another(made):
    number, kind = made.fileno(), type(made)
    with Handle(made) as plain:
        assert (made.closed, plain.fileno(), repr(plain)) == (True, number, f"<descriptor {number}>")
        with kind(plain) as again:
            assert (plain.closed, again.fileno(), again.kind) == (True, number, made.kind)
    assert not is_open(number)


# ---- closing ----


def test_closing_again_closes_nothing(made):
    number = made.fileno()
    made.close()
    other = os.open("/dev/zero", os.O_RDONLY)  # the lowest free number, which is that one
    if other != number:
        os.dup2(other, number)
    made.close()
    with made:
        pass
    assert is_open(number)
    os.close(number)
    if other != number:
        os.close(other)


def test_leaving_the_block_closes_whatever_happens(pipe):
    with pytest.raises(KeyError), Handle(pipe[1]) as handle:
        raise KeyError
    assert handle.closed
    assert at_its_end(pipe[0])


def test_what_somebody_else_has_closed_is_told_once_and_the_handle_is_closed(pipe):
    handle = Handle(pipe[1])
    os.close(pipe[1])
    with pytest.raises(pyipc.ClosedError, match="close a descriptor"):
        handle.close()
    assert handle.closed
    handle.close()


def test_a_closed_handle_says_what_it_was_whatever_is_asked(made):
    made.close()
    for ask in made.fileno, made.detach, made.dup, lambda: type(made)(made), lambda: pickle.dumps(made):
        with pytest.raises(pyipc.ClosedError, match=made.kind):
            ask()
    with pytest.raises(ValueError, match=made.kind):
        select.select([made], [], [], 0)
    assert repr(made) == f"<{made.kind} closed>"


def test_an_open_handle_says_its_kind_and_number(made):
    assert repr(made) == f"<{made.kind} {made.fileno()}>"


def test_a_handle_has_no_room_for_other_names(made):
    with pytest.raises(AttributeError):
        made.nonsense = 1


# ---- giving away ----


def test_what_was_detached_is_the_callers(pipe):
    handle = Handle(pipe[1])
    assert handle.detach() == pipe[1]
    assert handle.closed
    handle.close()
    with pytest.raises(pyipc.ClosedError, match="descriptor"):
        handle.detach()
    del handle  # a warning would be an error here
    gc.collect()
    assert not at_its_end(pipe[0])
    os.close(pipe[1])
    assert at_its_end(pipe[0])


def test_a_duplicate_is_a_descriptor_of_its_own_on_the_same_file(made):
    with made.dup() as twin:
        assert type(twin) is type(made)
        assert twin.fileno() != made.fileno()
        assert file_of(twin.fileno()) == file_of(made.fileno())
        assert not os.get_inheritable(twin.fileno())
        made.close()
        assert is_open(twin.fileno())


def test_a_table_that_is_full_names_the_limit(child):
    def duplicate(say, hear):
        import os
        import resource

        import pyipc
        from pyipc import fds

        with fds.Handle(os.dup(0)) as handle:
            resource.setrlimit(resource.RLIMIT_NOFILE, (handle.fileno() + 1,) * 2)
            taken = []
            try:
                while True:
                    taken.append(os.dup(0))
            except OSError:
                pass
            try:
                handle.dup()
            except pyipc.LimitError as problem:
                say(
                    (problem.limit, problem.value == handle.fileno() + 1, str(problem).count("RLIMIT_NOFILE"))
                )

    other = child(duplicate)
    assert other.hear() == ("RLIMIT_NOFILE", True, 1)
    assert other.end() == 0


# ---- used by others ----


def test_files_sockets_maps_and_selectors_take_it(pipe, tmp_path):
    with open(Handle(pipe[1]).detach(), "wb", 0) as file:
        file.write(b"through a file")
    with Handle(pipe[0]) as handle:
        assert select.select([handle], [], [], 0)[0] == [handle]
        assert os.fstat(handle.fileno()).st_ino
        assert os.read(handle.fileno(), 100) == b"through a file"
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        assert poll.poll(0)[0][0] == pipe[0]
    ours, theirs = socket.socketpair()
    with ours, socket.socket(fileno=Handle(theirs.detach()).detach()) as again:
        ours.send(b"through a socket")
        assert again.recv(100) == b"through a socket"
    path = tmp_path / "file"
    path.write_bytes(b"through a map")
    handle = Handle(os.open(path, os.O_RDONLY))
    with handle, mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ) as memory:
        handle.close()
        assert memory[:] == b"through a map"


# ---- dropped ----


def test_a_handle_dropped_open_complains_and_closes(made):
    twin = made.dup()
    number, kept = twin.fileno(), [twin]
    del twin
    with pytest.warns(ResourceWarning, match=rf"^<{made.kind} {number}> was dropped without close\(\)$"):
        kept.clear()
    assert not is_open(number)


def test_a_handle_among_garbage_complains_and_closes(pipe):
    class Round(Handle):
        __slots__ = ("itself",)

    handle = Round(pipe[1])
    handle.itself = handle
    del handle
    with pytest.warns(ResourceWarning, match="was dropped"):
        gc.collect()
    gc.collect()  # the record of the warning had kept it
    assert at_its_end(pipe[0])


def test_a_handle_that_never_owned_anything_is_dropped_in_silence():
    with pytest.raises(pyipc.ClosedError):
        Handle(1 << 20)
    handle = Handle.__new__(Handle)
    assert handle.closed
    del handle  # a warning would be an error here


def test_what_is_open_when_the_interpreter_ends_makes_no_noise_and_no_trouble():
    program = (
        "import os, sys; from pyipc import fds\n"
        "sys.kept = [fds.Handle(os.dup(0)), fds.Pidfd.open(os.getpid())]\n"
        "kept = fds.Handle(os.dup(0))\n"
    )
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")


# ---- copies and pickles ----


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_copying_is_refused_with_the_reason(made, copying):
    with pytest.raises(TypeError, match=r"dup\(\)|multiprocessing"):
        copying(made)
    assert is_open(made.fileno())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_is_refused_with_the_reason(made, protocol):
    with pytest.raises(TypeError, match="multiprocessing"):
        pickle.dumps(made, protocol)
    assert is_open(made.fileno())


def copy_with_and_without(say, hear, load):
    import copy
    import os
    import pickle
    import sys

    from pyipc import fds

    say("multiprocessing" in sys.modules)
    if load:
        import multiprocessing.reduction  # noqa: F401
    with fds.Handle(os.dup(0)) as handle:
        for attempt in copy.copy, copy.deepcopy, pickle.dumps, lambda it: pickle.dumps([it, {"deep": it}]):
            try:
                attempt(handle)
                say("copied")
            except TypeError as problem:
                say(str(problem))
    say("multiprocessing" in sys.modules)


@pytest.mark.parametrize("load", [False, True], ids=["without multiprocessing", "with multiprocessing"])
def test_copies_are_refused_whether_multiprocessing_is_loaded_or_not(child, load):
    other = child(copy_with_and_without, load, measured=False)
    assert other.hear() is False  # pyipc does not bring it along
    for _ in range(4):
        assert "multiprocessing" in other.hear() or load
    assert other.hear() is load
    assert other.end() == 0


def test_a_handle_that_owns_one_takes_no_second():
    own = os.dup(0)
    with Handle(os.dup(0)) as handle, pytest.raises(ValueError, match="already"):
        handle.__init__(own)
    os.close(own)
