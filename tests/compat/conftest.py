"""The incumbents' source distributions, fetched once and kept in a folder that git ignores; not vendored."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
FETCHING = 60  # seconds


def _fetch(name, version, keep):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", keep]
    try:
        subprocess.run(
            [*command, f"{name}=={version}"], check=True, capture_output=True, text=True, timeout=FETCHING
        )
    except subprocess.CalledProcessError as problem:
        last = (problem.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"the source distribution of {name} {version} cannot be fetched: {last}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"the source distribution of {name} {version} cannot be fetched in {FETCHING} s")


def _sources(name, version, tmp_path_factory):
    keep = TOP / ".dev" / "sources"
    package = f"{name}-{version}"
    if not os.access(TOP, os.W_OK):
        keep = tmp_path_factory.mktemp("sources")
    keep.mkdir(parents=True, exist_ok=True)
    archive = keep / f"{package}.tar.gz"
    if not archive.exists():
        _fetch(name, version, keep)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        # Files and folders inside it, and nothing else.
        plain = [one for one in tar if (one.isfile() or one.isdir()) and ".." not in one.name.split("/")]
        # Which is what newer Pythons want to be told; the oldest do not know it.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(unpacked, [one for one in plain if not one.name.startswith("/")], **safely)
    return unpacked / package


@pytest.fixture(scope="session")
def sysv_ipc_sources(tmp_path_factory):
    """The folder with all that sysv_ipc 1.2.0 comes with."""
    return _sources("sysv_ipc", "1.2.0", tmp_path_factory)


@pytest.fixture(scope="session")
def posix_ipc_sources(tmp_path_factory):
    """The folder with all that posix_ipc 1.3.2 comes with."""
    return _sources("posix_ipc", "1.3.2", tmp_path_factory)
