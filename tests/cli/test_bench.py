"""`pyipc bench`: it measures, and it looks at what arrives."""

import json
import os

import pyipc
from pyipc.cli import bench
from pyipc.cli.ways import WAYS, _pipes


def test_every_way_has_its_figures(run):
    ran = run("bench", "--json", "--seconds", "0.01")
    results = json.loads(ran.stdout)
    assert ran.returncode == 0
    assert list(results) == list(WAYS)
    for name, one in results.items():
        if "missing" in one:
            assert pyipc.backend() != "native", (name, one)
            continue
        assert one["round_trip_us"] > 0
        assert one["small_per_s"] > 0
        assert one["large_mb_per_s"] > 0


def test_for_people_it_draws(run):
    ran = run("bench", "--seconds", "0.01")
    assert ran.returncode == 0
    assert "█" in ran.stdout
    assert "multiprocessing.Queue" in ran.stdout
    assert "\033" not in ran.stdout


def spoiled():
    pair = _pipes()
    send = pair.send_there
    pair.send_there = lambda data: send(data[:-1] + b"!" if len(data) > 60 else data)
    return pair


def test_a_wrong_payload_is_a_failure_and_no_figure():
    result = bench._measured(spoiled, 10**7)
    assert list(result) == ["failed"]
    assert "not what was sent" in result["failed"]


def test_seconds_that_make_no_sense(run):
    assert run("bench", "--seconds", "0").returncode == 2
    assert run("bench", "--seconds", "nan").returncode == 2


def dying():
    pair = _pipes()
    pair.receive_there = lambda: os._exit(0)
    return pair


def test_a_partner_that_dies_is_a_failure_and_no_wait_for_ever(monkeypatch):
    monkeypatch.setattr(bench, "_PATIENCE", 0.2)
    result = bench._measured(dying, 10**7)
    assert list(result) == ["failed"]
