"""What a figure holds for: the machine, the kernel, the versions, the day."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import time

_DISTRIBUTIONS = (
    *("pyipc-linux", "cffi", "sysv-ipc", "sysvipc-python", "posix-ipc", "faster-fifo", "kickmsg"),
    *("cloudtoid-interprocess", "iceoryx2", "pyzmq", "pynng", "numpy"),
)
_PROGRAMS = {"perl": ["perl", "-e", "print $]"], "cc": ["cc", "-dumpfullversion"]}


def describe() -> dict[str, str]:
    import pyipc

    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "CPU": f"{_cpu()}, {len(os.sched_getaffinity(0))} usable",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "backend": pyipc.backend(),
        "versions": ", ".join(f"{name} {version}" for name, version in _versions()),
        "load": f"{os.getloadavg()[0]:.2f} at the start",
    }


def _cpu() -> str:
    with open("/proc/cpuinfo") as text:
        found = re.search(r"^model name\s*:\s*(.+)$", text.read(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    for name, command in _PROGRAMS.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        found.append((name, done.stdout.strip()))
    return found
