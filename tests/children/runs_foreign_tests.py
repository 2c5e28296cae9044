"""Runs the unit tests of a package that pyipc stands in for, on our module; says what came of each.

Arguments: the package's name, and the folder its source distribution was unpacked to.
"""

from __future__ import annotations

import importlib
import os
import sys
import unittest

import handshake


class Result(unittest.TestResult):
    said: list

    def addSuccess(self, test):  # noqa: N802
        self.said.append((test.id(), "passed", ""))

    def addSkip(self, test, reason):  # noqa: N802
        self.said.append((test.id(), "skipped", reason))

    def addError(self, test, problem):  # noqa: N802
        self.said.append((test.id(), "failed", self._exc_info_to_string(problem, test)))

    addFailure = addError  # noqa: N815


def main() -> None:
    handshake.begin()
    name, folder = sys.argv[1:]
    sys.modules[name] = importlib.import_module(f"pyipc.compat.{name}")
    os.chdir(folder)
    result = Result()
    result.said = []
    unittest.defaultTestLoader.discover("tests", top_level_dir=".").run(result)
    handshake.say(result.said)


if __name__ == "__main__":
    main()
