"""What is found in output that comes in pieces; the oracle is Python's own search in the whole."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pyipc.terminals import EOF, TIMEOUT
from pyipc.terminals.patterns import WINDOW, Search

TEXT = some.binary(max_size=40).map(lambda text: bytes(97 + byte % 3 for byte in text))  # of a, b and c
WORDS = some.lists(TEXT.filter(bool), min_size=1, max_size=4)


def found_in_pieces(patterns, pieces, window=WINDOW):
    """The first match, and how much had come by then."""
    search, output = Search(patterns, window), bytearray()
    for piece in pieces:
        output += piece
        if match := search.look(output):
            return match
    return None


def cut(text, cuts):
    places = sorted({min(place, len(text)) for place in cuts} | {0, len(text)})
    return [text[a:b] for a, b in zip(places, places[1:])]


@given(TEXT, WORDS, some.sets(some.integers(0, 40)))
def test_of_literals_the_one_is_found_that_is_complete_first_however_they_come(text, words, cuts):
    ends = [
        (text.find(word) + len(word), text.find(word), at) for at, word in enumerate(words) if word in text
    ]
    match = found_in_pieces(words, cut(text, cuts))
    if not ends:
        assert match is None
        return
    end, start, index = min(ends)
    assert match.index == index
    assert match.match == match[0] == words[index] == text[start:end]
    assert match.before == text[:start]


@given(TEXT, some.sets(some.integers(0, 40)))
def test_a_regex_finds_what_it_finds_in_the_whole_if_it_does_not_look_at_the_end(text, cuts):
    regex = re.compile(rb"a(b)(?P<last>c)")
    match, oracle = found_in_pieces([regex], cut(text, cuts)), regex.search(text)
    assert (match is None) == (oracle is None)
    if oracle:
        assert match.match == oracle[0]
        assert match.before == text[: oracle.start()]
        assert match.groups == oracle.groups()
        assert match["last"] == match[2] == b"c"


def test_a_match_as_long_as_the_window_is_found_across_pieces_and_no_longer_one():
    long = b"<" + b"x" * (WINDOW - 2) + b">"
    for text, window, finds in (
        (long, WINDOW, True),
        (b"<" + b"x" * WINDOW + b">", WINDOW, False),
        (b"<" + b"x" * WINDOW + b">", None, True),
    ):
        match = found_in_pieces([re.compile(rb"<x+>")], [text[:-1], text[-1:]], window)
        assert (match is not None) == finds


def test_a_regex_sees_what_is_before_the_window():
    pieces = [b"a" * 10, b"b"]
    assert found_in_pieces([re.compile(rb"(?<=aaaaaaaaaa)b")], pieces, 1)
    assert found_in_pieces([re.compile(rb"\Ab")], pieces, 1) is None


def test_of_a_literal_and_a_regex_the_one_is_found_that_is_complete_first():
    assert found_in_pieces([re.compile(rb"\d+"), b"x1"], [b"x1"]).index == 1
    assert found_in_pieces([re.compile(rb"\d"), b"x12"], [b"x12"]).index == 0


def test_text_is_a_literal_too_and_looked_for_as_utf_8():
    assert found_in_pieces(["grüß.*"], ["grüß".encode(), b"xx"]) is None
    assert found_in_pieces(["ü"], [b"\xc3", b"\xbc"]).match == "ü".encode()


def test_groups_are_asked_for_by_number_and_name():
    match = found_in_pieces([re.compile(rb"(a)|(?P<b>b)")], [b"b"])
    assert match.groups == (None, b"b")
    assert match[1] is None
    for group in 3, -1:
        with pytest.raises(IndexError):
            match[group]
    with pytest.raises(KeyError):
        match["c"]
    with pytest.raises(KeyError):
        found_in_pieces([b"b"], [b"b"])["b"]


@pytest.mark.parametrize("wrong", [3, None, re.compile("text"), ["list"], object()])
def test_what_is_no_pattern_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        Search([wrong], WINDOW)


@pytest.mark.parametrize(("pattern", "window"), [(b"", 1), ("", 1), (b"x", 0), (b"x", -1)])
def test_what_can_find_nothing_is_a_value_error(pattern, window):
    with pytest.raises(ValueError, match=r"pattern|window"):
        Search([pattern], window)


def test_a_search_names_what_it_looks_for():
    assert str(Search(["x", re.compile(rb"y+"), EOF, TIMEOUT], None)) == "'x' or b'y+' or EOF or TIMEOUT"


def cost(patterns, size, piece, window=WINDOW):
    pieces = [b"ab" * (piece // 2)] * (size // piece)
    began = time.thread_time()
    assert found_in_pieces(patterns, pieces, window) is None
    return time.thread_time() - began


@pytest.mark.parametrize(
    "patterns", [[b"ba" * 20 + b"c", b"bc"], [re.compile(rb"b(a)c")]], ids=["literals", "regex"]
)
def test_the_cost_is_linear_in_the_output(patterns):
    """Sixteen times as much output; a search from its beginning each time would take 256 times as long."""
    best = min(cost(patterns, 4_000_000, 4096) / max(cost(patterns, 250_000, 4096), 1e-4) for _ in range(3))
    assert best < 64
