"""Two plugins of pytest for `mutate.py`: one looks at the tests, one runs some of them."""

import json
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest


class Observer:
    """Notes the seconds of each test, and which lines of some modules it runs.

    What a fixture runs counts for all tests of its file, what an import runs for every test.
    """

    def __init__(self, names: dict[str, str], notes: Path) -> None:
        self._names, self._notes = names, notes
        self._seconds: dict[str, float] = defaultdict(float)
        # By test, by file, and "" for imports.
        self._run: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self._lines: set[tuple[str, int]] = set()

    def pytest_sessionstart(self) -> None:
        """Begin to listen, in all threads to come."""
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: Any, _event: str, _argument: Any) -> Any:
        if (name := self._names.get(frame.f_code.co_filename)) is None:
            return None
        self._lines.add((name, frame.f_lineno))
        return self._trace

    def _take(self, owner: str) -> None:
        self._run[owner] |= self._lines
        self._lines.clear()

    def pytest_collection_finish(self) -> None:
        """Give the lines so far to the imports."""
        self._take("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Give the lines of a phase to its test, or to its file."""
        self._take(report.nodeid if report.when == "call" else report.nodeid.split("::")[0])
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write down what is known."""
        sys.settrace(None)
        tests = {}
        for test, seconds in self._seconds.items():
            lines = self._run[test] | self._run[test.split("::")[0]] | self._run[""]
            tests[test] = {"seconds": seconds, "lines": sorted(lines)}
        self._notes.write_text(json.dumps(tests), encoding="utf-8")


class Chosen:
    """Runs the named tests and no others, in the order of their names."""

    def __init__(self, tests: list[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen ones, in order."""
        chosen = [item for item in items if item.nodeid in self._rank]
        items[:] = sorted(chosen, key=lambda item: self._rank[item.nodeid])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Nothing that runs the line is nothing that fails."""
        if not self._rank:
            session.exitstatus = pytest.ExitCode.OK
