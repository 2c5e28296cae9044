"""The two programs of the tutorial, written to files and run as it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("channels")

TUTORIAL = Path(__file__).resolve().parents[2] / "docs/tutorial.md"


def test_two_programs_talk(tmp_path):
    programs = dict(re.findall(r"^```py\n# (\w+\.py)\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S))
    assert sorted(programs) == ["receiver.py", "sender.py"]
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    python = [sys.executable, "-X", "dev", "-W", "error"]
    with subprocess.Popen(
        [*python, "receiver.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as receiver:
        try:
            assert receiver.stdout.readline() == "waiting\n"
            for words in ["hello", "how are you"], ["stop"]:
                subprocess.run([*python, "sender.py", *words], cwd=tmp_path, check=True, timeout=20)
            assert receiver.communicate(timeout=20)[0] == "received: hello\nreceived: how are you\n"
        finally:
            receiver.kill()
    assert receiver.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["receiver.py", "sender.py"]
