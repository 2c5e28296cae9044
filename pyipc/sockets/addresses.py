"""Addresses as text: `tcp://host:port`, `udp://host:port`, `unix:/path`, `unix:@name`, `fd:name`."""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, SO_TYPE, SOCK_DGRAM, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_ABSTRACT = 107  # bytes of sun_path that a name may have after the NUL (unix(7))
_MOST_PORT = 65535
_FORMS = "tcp://host:port, udp://host:port, unix:/path, unix:@name or fd:name"


class Address:
    """What the text of an address says.

    Attributes:
        kind: "tcp", "udp", "unix", "abstract" or "fd".
        host: Of TCP and UDP; "" is any.
        port: Of TCP and UDP: a number, or the name of a service.
        name: Of the others: the path, the name without its "@", or what comes after "fd:".
    """

    __slots__ = ("host", "kind", "name", "port", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.host = self.port = self.name = ""
        if not isinstance(text, str):
            raise TypeError(f"an address is text ({_FORMS}), not {text!r:.100}")
        if "\0" in text:
            raise ValueError(f"a NUL byte in the address {text!r:.200}")
        scheme, _, rest = text.partition(":")
        if scheme in ("tcp", "udp") and rest.startswith("//"):
            self.kind = scheme
            self.host, self.port = _host_and_port(rest[2:], text)
        elif scheme == "unix" and rest.startswith("@"):
            self.kind, self.name = "abstract", rest[1:]
            if not 0 < len(os.fsencode(self.name)) <= _MOST_ABSTRACT:
                raise ValueError(f"an abstract name has 1 to {_MOST_ABSTRACT} bytes, not {text!r:.200}")
        elif scheme == "unix" and rest:
            self.kind, self.name = "unix", rest
        elif scheme == "fd":
            self.kind, self.name = "fd", rest
        else:
            raise ValueError(f"an address is {_FORMS}, not {text!r:.200}")

    def expect(self, *kinds: str) -> None:
        """Refuse other kinds than these."""
        if self.kind not in kinds:
            raise ValueError(f"not an address of {' or '.join(kinds)}: {self.text!r:.200}")


def _host_and_port(rest: str, text: str) -> tuple[str, str]:
    host, colon, port = rest.rpartition(":")
    if not colon or not port or "/" in rest:
        raise ValueError(f"no host:port in {text!r:.200}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets, not as in {text!r:.200}")
    # What begins with a sign or a space, getaddrinfo(3) takes for a number too, and cuts it to 16 bits.
    number = port.lstrip("+- \t\n\v\f\r")
    if number.isdecimal() and not (port.isascii() and port.isdecimal() and int(port[:6]) <= _MOST_PORT):
        raise ValueError(f"a port is 0..{_MOST_PORT}, not as in {text!r:.200}")
    return "" if host == "*" else host, port


def absolute(text: str) -> str:
    """The same address, for a process that is in another directory."""
    if text.startswith("unix:") and text[5:6] != "@":
        return "unix:" + os.path.abspath(text[5:])
    return text


def text_of(family: int, kind: int, where: Any) -> str:
    """The text of an address as the `socket` module has it, such as `getpeername()` gives."""
    if family == AF_UNIX:
        raw = os.fsencode(where)
        return "unix:" + os.fsdecode(b"@" + raw[1:] if raw[:1] == b"\0" else raw)
    if family not in (AF_INET, AF_INET6):
        return repr(where)
    host = f"[{where[0]}]" if family == AF_INET6 else where[0]
    return f"{'udp' if kind == SOCK_DGRAM else 'tcp'}://{host}:{where[1]}"


def printable(text: str) -> str:
    r"""The text of a peer's address for a log, no line of which it can forge: "\n" and the like escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def address_of(sock: Any) -> str:
    """Where a socket is bound, as `connect()` takes it; "unix:" of a Unix socket that is bound nowhere.

    Of a port that the kernel chose (`listen("tcp://127.0.0.1:0")`) it is the one. See getsockname(2).
    """
    listened: str | None = getattr(sock, "address", None)  # a long path is not what getsockname(2) says
    if listened is not None:
        return listened
    return text_of(sock.family, sock.getsockopt(SOL_SOCKET, SO_TYPE), sock.getsockname())
