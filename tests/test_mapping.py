"""Mapped by itself, over memory that the test makes up: ranges, padding, laziness."""

from __future__ import annotations

import pytest

import pyipc
from pyipc import _mapping, sysv


class Block(_mapping.Mapped):
    """Memory that is mapped on first use, which the test can count."""

    def __init__(self, size, *, read_only=False):
        self.size = size
        self.read_only = read_only
        self._memory = None
        self.maps = 0

    def _map(self):
        self.maps += 1
        self._memory = memoryview(bytearray(self.size))
        return self._memory

    def __repr__(self):
        return "<block>"


def test_memory_is_mapped_on_first_use_and_once():
    block = Block(10)
    assert block.maps == 0
    assert block.read(3) == bytes(3)
    block.write(b"abc")
    assert block.read() == b"abc" + bytes(7)
    assert block.maps == 1


def test_what_is_refused_maps_nothing():
    block = Block(10)
    with pytest.raises(ValueError, match="<block>"):
        block.read(11)
    with pytest.raises(ValueError, match="<block>"):
        block.write(bytes(11))
    assert block.maps == 0


def test_read_only_memory_is_not_written():
    block = Block(10, read_only=True)
    with pytest.raises(pyipc.AccessError, match="<block>"):
        block.write(b"x")
    assert block.read() == bytes(10)


@pytest.mark.parametrize(
    ("data", "pad_to", "expected"), [(b"ab", 4, b"ab\0\0"), (b"", 3, bytes(3)), (b"ab", 2, b"ab")]
)
def test_padding_writes_nuls_behind(data, pad_to, expected):
    block = Block(6)
    block.write(b"xxxxxx")
    block.write(data, 1, pad_to=pad_to)
    assert block.read() == (b"x" + expected).ljust(6, b"x")


def test_a_negative_padding_is_a_value_error():
    with pytest.raises(ValueError, match="pad_to=-1"):
        Block(6).write(b"", pad_to=-1)


def test_offsets_and_sizes_that_are_no_numbers_are_type_errors():
    with sysv.SharedMemory.create(10) as segment:
        for use in (
            lambda: segment.read("1"),
            lambda: segment.read(1, "1"),
            lambda: segment.read(1.5),
            lambda: segment.write(b"x", "1"),
            lambda: segment.write(b"x", None),
            lambda: segment.write(b"x", pad_to="2"),
        ):
            with pytest.raises(TypeError):
                use()


@pytest.mark.needs("sysv.segment_views")
def test_an_array_needs_a_whole_number_of_items_and_the_rest_is_left_out():
    with sysv.SharedMemory.create(10) as segment:
        assert segment.array("u4").shape == (2,)
        assert segment.array("u4", offset=8).shape == (0,)
        assert segment.array([("a", "u2"), ("b", "u1")]).shape == (3,)


@pytest.mark.needs("sysv.segment_views")
def test_an_array_of_items_without_size_is_a_value_error():
    with sysv.SharedMemory.create(10) as segment:
        for dtype in ("S", "V", "U0"):
            with pytest.raises(ValueError, match=r"\w"):
                segment.array(dtype)


@pytest.mark.needs("sysv.segment_views")
@pytest.mark.parametrize("shape", [(2, -5), (-1, -10), 2**70, (2**40, 2**40)])
def test_an_array_of_an_impossible_shape_is_a_value_error(shape):
    with sysv.SharedMemory.create(10) as segment, pytest.raises((ValueError, OverflowError)):
        segment.array("u1", shape)


@pytest.mark.parametrize("data", [memoryview(b"abcdef")[::2], memoryview(b""), memoryview(b"abcd").cast("H")])
def test_any_bytes_like_object_can_be_written(data):
    with sysv.SharedMemory.create(10) as segment:
        segment.write(data)
        assert segment.read(data.nbytes) == data.tobytes()
