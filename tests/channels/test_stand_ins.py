"""What C stands in for says and does the same as the Python text that it stands in for."""

from __future__ import annotations

import queue as standard

import pytest

import pyipc
from pyipc import channels
from pyipc.channels import channel as module
from pyipc.channels.ends import Message, Reservation

pytestmark = pytest.mark.needs("channels")

CLASSES = (module.Sending, module.Receiving, Message, Reservation, channels.Queue)
LONG = bytes(range(256)) * 20


@pytest.fixture(params=["C", "Python"], autouse=True)
def way(request, monkeypatch):
    stood_in_for = 0
    for cls in CLASSES:
        for name, method in list(vars(cls).items()):
            if name.startswith("_py_"):
                stood_in_for += 1
                if request.param == "Python":
                    monkeypatch.setattr(cls, name[len("_py_") :], method)
    if request.param == "C" and not stood_in_for:
        pytest.skip("C stands in for nothing here")


@pytest.fixture
def channel():
    with channels.Channel(4, 64, 1 << 16) as made:
        yield made


@pytest.fixture
def queue():
    made = channels.Queue(4)
    yield made
    made.close()


# ---- bytes ----


@pytest.mark.parametrize(
    "data", [b"", b"short", b"x" * 64, b"x" * 65, LONG, bytearray(b"array"), bytearray(LONG)]
)
def test_what_is_sent_is_received(channel, data):
    assert channel.send(data) is None
    assert channel.send(data=data, timeout=0) is None
    first, second = channel.recv(), channel.recv(timeout=1.0, ack=False)
    assert (type(first), first) == (type(second), second) == (bytes, bytes(data))


@pytest.mark.parametrize(
    ("error", "arguments", "names"),
    [
        (TypeError, (), {}),
        (TypeError, ("text",), {}),
        (TypeError, (5,), {}),
        (TypeError, (b"x", 1.0, 2), {}),
        (TypeError, (b"x",), {"wait": 1}),
        (ValueError, (b"x", -1), {}),
        (ValueError, (b"x", float("nan")), {}),
        (pyipc.LimitError, (b"x" * (1 << 16) + b"x",), {}),
    ],
)
def test_what_cannot_be_sent(channel, error, arguments, names):
    with pytest.raises(error):
        channel.send(*arguments, **names)
    assert channel.statistics().depth == 0


@pytest.mark.parametrize("data", [b"short", LONG])
def test_no_room(channel, data):
    for _ in range(4):
        channel.send(data)
    for timeout, error in (
        (0, pyipc.WouldBlockError),
        (0.0, pyipc.WouldBlockError),
        (0.01, pyipc.TimedOutError),
    ):
        with pytest.raises(error):
            channel.send(data, timeout)
    assert channel.statistics().depth == 4
    reservation = channel.reserve(8)
    reservation.buf[:] = b"reserved"
    with pytest.raises(pyipc.WouldBlockError):
        reservation.commit(timeout=0)
    assert channel.recv() == data
    with reservation:
        pass
    assert [channel.recv() for _ in range(4)] == [data] * 3 + [b"reserved"]


def test_no_message(channel):
    for call in channel.recv, channel.peek, channel._recv_data:
        for timeout, error in (0, pyipc.WouldBlockError), (0.01, pyipc.TimedOutError):
            with pytest.raises(error):
                call(timeout)
        with pytest.raises(ValueError, match=r"timeout"):
            call(-1)
    with pytest.raises(pyipc.WouldBlockError):
        channel.recv(0, ack=True)


@pytest.mark.parametrize("data", [b"short", LONG])
def test_how_it_cannot_be_received(channel, data):
    channel.send(data)
    for names in {"wait": 1}, {"timeout": "long"}:
        with pytest.raises(TypeError):
            channel.recv(**names)
    with pytest.raises(TypeError):
        channel.recv(1.0, True)
    assert channel.recv() == data


@pytest.mark.parametrize("data", [b"short", LONG])
def test_the_end(channel, data):
    reader, writer = channel.split()
    writer.send(data)
    reservation = writer.reserve(5)
    with reader, writer:
        writer.close()
        assert reader.recv() == data
        for call in reader.recv, reader.peek, lambda: reader._recv_data(None):
            with pytest.raises(pyipc.PeerGoneError):
                call()
        with pytest.raises(pyipc.ClosedError):
            reservation.commit()


def test_a_closed_handle(channel):
    message = (channel.send(b"kept"), channel.peek())[1]
    channel.close()
    for call in (lambda: channel.send(LONG), channel.recv, channel.peek, lambda: channel.reserve(1)):
        with pytest.raises(pyipc.ClosedError):
            call()
    assert bytes(message) == b"kept"
    message.ack()


# ---- memory that is lent ----


def test_a_message_that_is_acknowledged_once(channel):
    channel.send(LONG)
    message = channel.recv(ack=True)
    assert (bytes(message), message.redelivered, len(message)) == (LONG, False, len(LONG))
    assert message.ack() is None
    for call in message.ack, message.reject, lambda: message.buf:
        with pytest.raises(ValueError, match="acknowledged or returned"):
            call()
    with pytest.raises(TypeError):
        message.ack(1)
    with message:
        pass
    assert channel.statistics().depth == 0


@pytest.mark.parametrize("how", ["dropped", "rejected", "an exception"])
def test_a_message_that_comes_again(channel, how):
    channel.send(b"again")
    message = channel.peek()
    if how == "dropped":
        del message
    elif how == "rejected":
        message.reject()
    else:
        with pytest.raises(ZeroDivisionError), message:
            raise ZeroDivisionError
    with channel.peek(timeout=5) as message:
        assert (bytes(message.buf), message.redelivered, message.buf.readonly) == (b"again", True, True)
    with pytest.raises(pyipc.WouldBlockError):
        channel.recv(0)


def test_a_view_outlives_its_message(channel):
    channel.send(LONG)
    with channel.peek() as message:
        view = message.buf
    del message
    channel.send(LONG[::-1])
    assert view == LONG


def test_a_reservation(channel):
    with channel.reserve(10) as reservation:
        assert (reservation.size, len(reservation.buf), reservation.buf.readonly) == (10, 10, False)
        reservation.buf[:] = b"0123456789"
    for call in reservation.commit, lambda: reservation.buf:
        with pytest.raises(ValueError, match="committed or cancelled"):
            call()
    with reservation:
        pass
    with channel.reserve(size=10, timeout=1.0) as reservation:
        reservation.buf[:] = b"9876543210"
        for wrong in (-1, 11):
            with pytest.raises(ValueError, match="bytes of the 10"):
                reservation.commit(wrong)
        with pytest.raises(TypeError):
            reservation.commit("all")
        assert reservation.commit(4) is None
    assert (channel.recv(), channel.recv()) == (b"0123456789", b"9876")


def test_a_reservation_that_is_not_sent(channel):
    with pytest.raises(ZeroDivisionError), channel.reserve(1 << 16):
        raise ZeroDivisionError
    with channel.reserve(1 << 16) as reservation:
        with pytest.raises(pyipc.WouldBlockError):
            channel.reserve(1, 0)
        with pytest.raises(pyipc.TimedOutError):
            channel.reserve(1, timeout=0.01)
        reservation.cancel()
    channel.reserve(1 << 16).cancel()
    assert channel.statistics().depth == 0


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (ValueError, -1),
        (TypeError, "all"),
        (TypeError, None),
        (pyipc.LimitError, 1 << 17),
        (pyipc.LimitError, 1 << 70),
    ],
)
def test_what_cannot_be_reserved(channel, error, size):
    with pytest.raises(error):
        channel.reserve(size)


# ---- objects ----


@pytest.mark.parametrize(
    "obj",
    [None, {"a": [1, 2.5, "x"]}, list(range(5000)), bytearray(20000)],
    ids=["none", "dict", "list", "buffer"],
)
def test_an_object(queue, obj):
    import pickle

    what = pickle.PickleBuffer(obj) if isinstance(obj, bytearray) else obj
    assert queue.put(what) is None
    queue.put(obj=what, block=False)
    queue.put(what, True, 1.0)
    got = [queue.get(), queue.get(False), queue.get(block=True, timeout=1.0)]
    assert got == [obj] * 3


def test_a_full_and_an_empty_queue(queue):
    for args in (False,), (True, 0.01), (True, -1):
        with pytest.raises(standard.Empty):
            queue.get(*args)
    for _ in range(4):
        queue.put("x")
    for args in (False,), (True, 0.01), (True, -1):
        with pytest.raises(standard.Full):
            queue.put("x", *args)
    with pytest.raises(TypeError):
        queue.put()


def test_a_closed_queue(queue):
    queue.close()
    for call in queue.get, lambda: queue.put(1):
        with pytest.raises(ValueError, match="closed"):
            call()


class Raises:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


@pytest.mark.parametrize("error", [ZeroDivisionError, pyipc.TimedOutError])
def test_an_object_that_cannot_be_made(queue, error):
    queue.put(Raises(error("as told")))
    queue.put("the next")
    with pytest.raises(error):
        queue.get()
    assert queue.get() == "the next"


def test_an_object_that_has_no_pickle(queue):
    with pytest.raises((TypeError, AttributeError)):
        queue.put(lambda: None)
    assert queue.empty()


def test_an_object_is_pickled_once(queue):
    pickled = []

    class Counted:
        def __reduce__(self):
            pickled.append(self)
            return str, ()

    for _ in range(4):
        queue.put(Counted(), False)
    with pytest.raises(standard.Full):
        queue.put(Counted(), False)
    assert len(pickled) == 5
