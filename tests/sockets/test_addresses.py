"""Addresses as text, and what text is none."""

from __future__ import annotations

import os
import socket

import hypothesis
import pytest
from hypothesis import strategies

import pyipc
from pyipc import sockets
from pyipc.sockets.addresses import Address, text_of


def parts(text):
    address = Address(text)
    if address.kind in ("tcp", "udp"):
        return address.kind, address.host, address.port
    return address.kind, address.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tcp://localhost:80", ("tcp", "localhost", "80")),
        ("tcp://localhost:http", ("tcp", "localhost", "http")),
        ("tcp://127.0.0.1:0", ("tcp", "127.0.0.1", "0")),
        ("tcp://[::1]:65535", ("tcp", "::1", "65535")),
        ("tcp://[fe80::1%lo]:1", ("tcp", "fe80::1%lo", "1")),
        ("tcp://:8080", ("tcp", "", "8080")),
        ("tcp://*:8080", ("tcp", "", "8080")),
        ("udp://host:9", ("udp", "host", "9")),
        ("unix:/run/x", ("unix", "/run/x")),
        ("unix:x", ("unix", "x")),
        ("unix:@x", ("abstract", "x")),
        ("unix:@@x/y", ("abstract", "@x/y")),
        ("unix:./@x", ("unix", "./@x")),
        ("fd:", ("fd", "")),
        ("fd:3", ("fd", "3")),
        ("fd:web", ("fd", "web")),
    ],
)
def test_what_an_address_says(text, said):
    assert parts(text) == said


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost:80", "tcp:localhost:80", "http://localhost:80", "/run/x", "TCP://localhost:80"),
        *(
            "tcp://",
            "tcp://localhost",
            "tcp://localhost:",
            "tcp://localhost:80/",
            "tcp://::1:80",
            "tcp://[::1]",
        ),
        *("tcp://h:65536", "tcp://h:-1", "tcp://h:+80", "tcp://h: 80", "tcp://h:" + "9" * 9999, "tcp://h:٣"),
        *(
            "unix:",
            "unix:@",
            "unix:@" + "x" * 108,
            "unix:@" + "é" * 54,
            "unix:/a\0b",
            "tcp://h\0:1",
            "tcp://h:1\0",
        ),
    ],
)
def test_what_is_no_address_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"address|host|port|NUL|abstract"):
        Address(text)


@pytest.mark.parametrize("value", [None, 5, b"tcp://h:1", ("h", 1), ["tcp://h:1"]])
@pytest.mark.parametrize("call", [sockets.connect, sockets.listen])
def test_what_is_no_text_is_a_type_error(call, value):
    with pytest.raises(TypeError):
        call(value)


@pytest.mark.parametrize(
    ("call", "text"),
    [(sockets.connect, "fd:3"), (sockets.listen, "udp://127.0.0.1:0")],
)
def test_the_right_kind_of_address(call, text):
    with pytest.raises(ValueError, match="not an address of"):
        call(text)


@hypothesis.given(
    strategies.one_of(
        strategies.text(),
        strategies.builds(
            "{}{}:{}".format,
            strategies.sampled_from(["tcp://", "udp://"]),
            strategies.text(),
            strategies.text(),
        ),
        strategies.builds("unix:{}".format, strategies.text(min_size=1)),
    )
)
@hypothesis.settings(max_examples=300)
def test_garbage_is_an_address_or_a_value_error(text):
    try:
        address = Address(text)
    except ValueError:
        return
    assert address.kind in ("tcp", "udp", "unix", "abstract", "fd")


@pytest.mark.parametrize("host", ["é..b", "é" * 64, "\ud800"])
@pytest.mark.parametrize("call", [sockets.connect, sockets.listen])
def test_a_host_that_can_have_no_name_is_not_asked_for(call, host):
    with pytest.raises(pyipc.NotFoundError, match=r"no name of a host"):
        call(f"tcp://{host}:1", timeout=0)


@hypothesis.given(strategies.text(min_size=1, max_size=200))
def test_paths_of_garbage_are_refused_in_our_words(name):
    with pytest.raises((ValueError, pyipc.IPCError)):
        sockets.connect(f"unix:/proc/no such place/{name}", timeout=0)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "unix:@pyipc test {}", "unix:{}/sock"])
def test_an_address_is_what_connect_takes(address, tmp_path):
    where = tmp_path if address.startswith("unix:{") else os.getpid()
    with sockets.listen(address.format(where)) as listener:
        text = sockets.address_of(listener)
        assert text == listener.address
        assert not text.endswith(":0")
        with sockets.connect(text) as client:
            connection, _ = listener.accept()
            with connection:
                client.sendall(b"x")
                assert connection.recv(1) == b"x"
                assert sockets.address_of(connection) == text


@pytest.mark.parametrize(
    ("family", "kind", "where", "text"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, ("1.2.3.4", 5), "tcp://1.2.3.4:5"),
        (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 5, 0, 0), "tcp://[::1]:5"),
        (socket.AF_INET, socket.SOCK_DGRAM, ("1.2.3.4", 5), "udp://1.2.3.4:5"),
        (socket.AF_UNIX, socket.SOCK_STREAM, "", "unix:"),
        (socket.AF_UNIX, socket.SOCK_STREAM, "/x", "unix:/x"),
        (socket.AF_UNIX, socket.SOCK_STREAM, b"\0x", "unix:@x"),
        (socket.AF_NETLINK, socket.SOCK_RAW, (1, 2), "(1, 2)"),
    ],
)
def test_the_text_of_what_the_socket_module_has(family, kind, where, text):
    assert text_of(family, kind, where) == text
