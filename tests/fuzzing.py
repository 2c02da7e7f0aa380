"""What the fuzz tests share: hostile values, damage to valid files, and a watch over each input."""

import io
import json
import os
import random
import resource
import signal
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.draws import draws
from yofo_mlx import cli
from yofo_mlx.errors import YofoError
from yofo_mlx.system.text import printable

# Inputs by surface in a search; the gate takes a part. YOFO_FUZZ=10 takes ten times as many.
INPUTS = {
    "recipes": 3000,
    "rows": 3000,
    "events": 2000,
    "run folders": 1000,
    "adapters": 500,
    "prompt caches": 500,
}
TIMES = int(os.environ.get("YOFO_FUZZ", "1"))
SECONDS = 20  # for one input: far above noise, far below a hang
LONGEST = 4000  # characters of an error: a dozen mistakes, each with the keys there are
MOST_MEMORY = 600 * 10**6  # bytes by which the process may grow while it takes bad inputs

HOSTILE_TEXT = [
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "a\rb\x08c\x7f",
    "\u202egpj.exe\u2066",
    "[red]x[/red]",
    "[link=file:///etc/passwd]x[/link]",
    "[/]",
    "[bold",
    "\\[x]",
    "\ufeff",
    "\u2028\u2029\x85\x0b\x0c",
    "nul \x00 nul",
    "../../outside/x",
    "/outside/x",
    "~nobody-of-this-name/x",
    "x" * 5000,
    "%s{0}{x}{",
    "\ud800",
    "é" * 300,
    "",
]
HOSTILE_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    2**64,
    -(2**70),
    10**400,
    0.5,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
    [],
    {},
    [[]],
    [1, "a", None],
    {"": {"": ""}},
    {"kind": "step"},
    *HOSTILE_TEXT,
]

hostile_text = st.sampled_from(HOSTILE_TEXT) | st.text(max_size=12)
hostile_values = st.sampled_from(HOSTILE_VALUES) | st.recursive(
    st.integers() | st.floats() | hostile_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=4,
)
_SPICE = [
    *(b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[31m", b"\x1a", b"\xed\xa0\x80"),
    *(b"\xe2\x80\xae", b"\n", b"\r", b'"', b"\\", b"\\ud800", b"{", b"}", b"'''", b"#", b"=", b"-"),
    *(b"[" * 3000, b'{"a":' * 2000, b"9" * 5000, b"," * 50, b"x" * 20000),
    *(b"NaN", b"-Infinity", b"1e999", b"null", b"true"),
]


class Hang(BaseException):
    """An input that takes too long; no `Exception`, so that nothing below catches or repeats it."""


def inputs(surface: str, share: float = 1.0) -> settings:
    """Return settings that run a test with this share of a surface's inputs."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return draws(round(INPUTS[surface] * share * TIMES), suppress_health_check=checks)


@st.composite
def damaged(draw: Callable[..., Any], valid: bytes) -> bytes:
    """Draw a valid file with a few bits flipped, spans gone, doubled or strange, or its end cut."""
    data = bytearray(valid)
    dice = random.Random(draw(st.integers(0, 2**32 - 1)))
    for what in draw(
        st.lists(st.sampled_from("flip drop double spice swap cut".split()), max_size=4)
    ):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + int(dice.paretovariate(0.7)))
        if what == "flip" and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif what == "drop":
            del data[at:end]
        elif what == "double":
            data[at:at] = data[at:end] * dice.choice((1, 2, 50))
        elif what == "spice":
            data[at:at] = dice.choice(_SPICE)
        elif what == "swap":
            data[at:end] = bytes(dice.randrange(256) for _ in range(end - at))
        elif what == "cut":
            del data[at:]
    return bytes(data[:200_000])


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything inside nested dicts and lists."""
    if not isinstance(value, dict | list):
        return [place]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [place] * bool(place) + [p for key, item in inner for p in places(item, (*place, key))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return nested dicts and lists with something else, or something new, at a place."""
    copied = value.copy()
    copied[place[0]] = put(value[place[0]], place[1:], new) if place[1:] else new
    return copied


def refused(act: Callable[[], Any]) -> YofoError | None:
    """Do something; return its refusal, which must be fit to be read, or None if it went well."""
    try:
        act()
    except YofoError as error:
        check_readable(error)
        return error
    return None


def check_readable(error: YofoError) -> None:
    """Insist on an error of two lines that a terminal shows as they are, not too long to read."""
    assert error.message.strip()
    assert int(error.exit_code) in (1, 2, 3, 4, 130)
    for line in (error.message, error.hint):
        assert len(line) <= LONGEST, f"{len(line)} characters: {line[:300]}"
        check_harmless(printable(line))


def check_harmless(text: str, keep: str = "") -> None:
    """Insist that a terminal would obey no character of a text."""
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in keep]
    bad += [c for c in text if unicodedata.bidirectional(c) in _BIDI]
    assert not bad, f"{bad[:5]} in {text[:200]!r}"


_BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def write_json(path: Path, value: Any) -> None:
    """Write what Python takes for JSON: NaN, huge numbers and lone surrogates too."""
    path.write_text(json.dumps(value), encoding="utf-8")


def peak_memory() -> int:
    """Return the most bytes this process has had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def snapshot(folder: Path) -> dict[str, Any]:
    """Return names, sizes, times and contents of everything in a folder."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (state.st_mode, state.st_size, state.st_mtime_ns, content)
    return found


class _Watch:
    """Notes what this process writes, starts or connects to outside one folder."""

    def __init__(self) -> None:
        self.inside: str | None = None
        self.noted: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if event in _STARTS:
            self.noted.append(event)
        elif event in _CHANGES or (event == "open" and args[2] & _WRITING):
            for name in args[: _CHANGES.get(event, 1)]:
                if isinstance(name, int):  # an open file
                    continue
                path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100 - a link is not followed
                allowed = path.startswith(self.inside) or "__pycache__" in path
                if not allowed and path != os.devnull:
                    self.noted.append(f"{event} {path}")


_STARTS = frozenset(
    "subprocess.Popen os.posix_spawn os.fork os.system os.exec socket.connect".split()
)
_CHANGES = {
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.symlink": 2, "os.link": 2,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1, "shutil.rmtree": 1,
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_watch: list[_Watch] = []


@contextmanager
def watched(inside: Path, *beside: Path) -> Iterator[None]:
    """Let an input change one folder only, in bounded time and memory; `beside` stays as it is."""
    watch = _watch[0] if _watch else _watch.append(_Watch()) or _watch[0]  # a hook is for ever
    before, peak = [snapshot(folder) for folder in beside], peak_memory()
    former, began = signal.signal(signal.SIGALRM, _hang), time.monotonic()
    test_has, _ = signal.setitimer(signal.ITIMER_REAL, SECONDS)  # the test's own limit
    watch.inside, watch.noted = str(inside), []
    try:
        yield
    finally:
        watch.inside = None
        left = max(test_has - (time.monotonic() - began), 0.1) if test_has else 0
        signal.signal(signal.SIGALRM, former)
        signal.setitimer(signal.ITIMER_REAL, left)
    assert not watch.noted, watch.noted
    assert [snapshot(folder) for folder in beside] == before, "something beside it changed"
    assert peak_memory() - peak < MOST_MEMORY


def _hang(_number: int, _frame: Any) -> None:
    raise Hang(f"an input takes more than {SECONDS} s")


def spoken(act: Callable[[], Any]) -> tuple[str, str]:
    """Do something; return what it printed on stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        act()
    return out.getvalue(), err.getvalue()


def command_line(*arguments: str) -> tuple[int, str, str]:
    """Run `yofo` in this process; return its exit code and what it printed."""
    code = 0

    def run() -> None:
        nonlocal code
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)

    before, sys.argv = sys.argv, ["yofo", *arguments]
    try:
        out, err = spoken(run)
    finally:
        sys.argv = before
    assert code in (0, 1, 2, 3, 4, 130), err
    check_harmless(err, keep="\n")
    assert "Traceback" not in err
    return code, out, err
