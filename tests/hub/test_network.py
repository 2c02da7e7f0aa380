"""The network between here and the hub: silence, stalls, refusals, and downloads that go on."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import close_session, constants

from tests.hub_server import HubServer, files_of, hub_fixture  # noqa: F401
from yofo_mlx.commands.train import _LeaveReading
from yofo_mlx.errors import Cancelled, DataError, YofoError
from yofo_mlx.hub import client as hubclient
from yofo_mlx.hub import download, searching
from yofo_mlx.hub.errors import Repo
from yofo_mlx.hub.snapshot import snapshot
from yofo_mlx.models.base import load_base, model_path
from yofo_mlx.prompting.client import SessionClient
from yofo_mlx.runs.events import EventWriter, last_event
from yofo_mlx.runs.folder import Run
from yofo_mlx.system import child, progress
from yofo_mlx.tasks.reading.hub import list_files
from yofo_mlx.training.stop import StopRequest
from yofo_mlx.training.telling import tell_reading

TINY = model_path("tiny")
FILE = bytes(range(256)) * 400
ROWS = b'{"input": "a", "output": "b"}\n' * 40


class Heard(list[tuple[str, int, int]]):
    """What was told about downloads."""

    def tell(self, what: str, done: int, total: int) -> None:
        self.append((what, done, total))

    def end(self) -> None:
        """Nothing to clear."""

    @property
    def words(self) -> str:
        return "\n".join(what for what, _, _ in self)


@pytest.fixture
def heard() -> Iterator[Heard]:
    listener = Heard()
    with progress.listening(listener):
        yield listener


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.4)
    monkeypatch.setattr(hubclient, "TOLD_AFTER_S", 0.1)
    monkeypatch.setattr(download, "WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(download, "MEASURED_S", 0.0)
    monkeypatch.setattr(progress, "EVERY_S", 0.0)


@pytest.fixture(params=["model", "dataset"])
def repo(request: pytest.FixtureRequest, hub: HubServer) -> Repo:
    """Return a repository with a file."""
    hub.add(request.param, "owner/name", {"README.md": b"", "file.bin": FILE})
    return Repo(request.param, "owner/name")


def fetched(repo: Repo) -> bytes:
    return (snapshot(repo, ["*.bin"]) / "file.bin").read_bytes()


def refusal(repo: Repo) -> str:
    with pytest.raises(YofoError) as caught:
        snapshot(repo, ["*.bin"])
    assert caught.value.hint and "\n" not in caught.value.message + caught.value.hint
    return f"{caught.value.message}\n{caught.value.hint}"


def asked(hub: HubServer, words: str = "") -> list[str]:
    return [line for line in hub.log if words in line]


# ---------------------------------------------------------------------- silence


def test_a_silent_hub_is_told_then_given_up_and_not_asked_again_for_a_while(
    hub: HubServer, repo: Repo, heard: Heard
) -> None:
    hub.ailment = "silent"
    began = time.monotonic()
    words = refusal(repo)
    assert "127.0.0.1 did not answer for 0.4 s" in words and "HF_HUB_DOWNLOAD_TIMEOUT" in words
    assert "no answer from 127.0.0.1 for 0.1 s; given up after 0.4 s" in heard.words
    middle = time.monotonic()
    refusal(repo)
    assert middle - began < 5 and time.monotonic() - middle < 0.3


def test_what_is_cached_is_taken_from_a_silent_hub_with_a_word(
    hub: HubServer, repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetched(repo) == FILE
    hub.ailment = "silent"
    assert fetched(repo) == fetched(repo) == FILE
    told = capsys.readouterr().err
    assert told.count("did not answer for 0.4 s: taking the copy of") == 1


@pytest.mark.parametrize("ailment", ["500", "429", "403"])
def test_what_is_cached_is_taken_from_a_failing_hub_with_a_word(
    hub: HubServer, repo: Repo, capsys: pytest.CaptureFixture[str], ailment: str
) -> None:
    fetched(repo)
    hub.ailment = ailment
    assert fetched(repo) == FILE
    assert f"HTTP {ailment}: taking the copy of" in capsys.readouterr().err


def test_a_cached_revision_named_by_its_commit_asks_nobody(hub: HubServer, repo: Repo) -> None:
    folder = snapshot(repo, ["*.bin"])
    hub.log.clear()
    assert snapshot(Repo(repo.kind, repo.id, folder.name), ["*.bin"]) == folder
    assert not hub.log


def test_a_cached_model_named_by_its_commit_is_loaded_without_asking(hub: HubServer) -> None:
    hub.add("model", "owner/tiny", files_of(TINY))
    base = load_base("owner/tiny")
    hub.log.clear()
    load_base("owner/tiny", revision=base.revision)
    assert not hub.log


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("ailment", "what", "remedy"),
    [
        ("401", "not on the hub, or private", "hf auth login"),
        ("403", r"the hub forbids it (HTTP 403: Not \x1b[31mnow", "rights of your token"),
        ("404", "not on the hub, or private", "check the spelling"),
        ("407", "HTTP 407", "browser"),
        ("418", r"HTTP 418: Not \x1b[31mnow", "browser"),
        ("429", "too many requests from here (HTTP 429)", "in some minutes"),
        ("500", "a fault of its own (HTTP 500)", "try again later"),
        ("503", "a fault of its own (HTTP 503)", "try again later"),
        ("html", "does not answer as a hub does (a login page", "browser"),
        ("shape", "does not answer as a hub does", "browser"),
        ("loop", "127.0.0.1 redirects without end", "browser"),
    ],
)
def test_each_failure_has_words_of_its_own(
    hub: HubServer, repo: Repo, ailment: str, what: str, remedy: str
) -> None:
    hub.ailment = ailment
    said, hint = refusal(repo).split("\n")
    assert what in said and remedy in hint and "\x1b" not in said
    assert str(repo) in said


def test_too_many_requests_are_not_waited_for_but_the_time_is_told(
    hub: HubServer, repo: Repo
) -> None:
    hub.ailment, hub.headers = "429", {"Retry-After": "3600"}
    assert "try again in 1 h 0 min" in refusal(repo)


def test_a_token_that_is_refused_is_named(
    hub: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "right"
    monkeypatch.setenv("HF_TOKEN", "wrong")
    words = refusal(repo)
    assert "does not accept your token (HTTP 401)" in words and "HF_TOKEN" in words
    monkeypatch.setenv("HF_TOKEN", "right")
    assert fetched(repo) == FILE


def test_terms_are_accepted_at_a_page_that_is_named(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("dataset", "owner/gated", {"file.bin": FILE}, gated="closed")
    gated = Repo("dataset", "owner/gated")
    words = refusal(gated)
    assert "terms must be accepted" in words and f"{hub.endpoint}/datasets/owner/gated" in words
    assert "hf auth login" in words
    monkeypatch.setenv("HF_TOKEN", "mine")
    words = refusal(gated)
    assert "terms must be accepted" in words and "hf auth whoami" in words


def test_what_is_not_there_is_named(hub: HubServer, repo: Repo) -> None:
    assert "not on the hub, or private" in refusal(Repo(repo.kind, "owner/nothing"))
    assert "no revision 'v9'" in refusal(Repo(repo.kind, repo.id, "v9"))
    assert "owner/name" in refusal(Repo(repo.kind, "no id of any"))


@pytest.mark.parametrize(
    ("endpoint", "variables", "what", "remedy"),
    [
        ("http://nowhere.invalid", {}, "nowhere.invalid cannot be resolved", "connection"),
        ("http://127.0.0.1:9", {}, "127.0.0.1 refuses connections", "connection"),
        ("https://{hub}", {}, "no secure connection to 127.0.0.1", "SSL_CERT_FILE"),
        ("https://a.invalid", {"HTTPS_PROXY": "http://{hub}"}, "the proxy refuses", "HTTPS_PROXY"),
        ("{hub}", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"),
    ],
)
def test_a_way_to_the_hub_that_is_barred_is_told_as_that(
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    variables: dict[str, str],
    what: str,
    remedy: str,
) -> None:
    place = hub.endpoint.removeprefix("http://")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(hub=place))
    monkeypatch.setattr(constants, "ENDPOINT", endpoint.format(hub=place))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", "HF_HUB_OFFLINE" in variables)
    close_session()  # the next one asks for the proxy anew
    said, hint = refusal(Repo("dataset", "owner/name")).split("\n")
    assert what in said and remedy in hint


# ---------------------------------------------------------------------- downloads


@pytest.mark.parametrize("ailment", ["cut", "stall", "reset", "busy"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_goes_on_from_there(
    hub: HubServer, heard: Heard, monkeypatch: pytest.MonkeyPatch, ailment: str, ranges: bool
) -> None:
    hub.add("dataset", "owner/name", {"README.md": b"", "file.bin": FILE})
    repo = Repo("dataset", "owner/name")
    hub.knows_ranges = ranges
    commit = snapshot(repo, ["*.md"]).name
    hub.ailment, hub.times = ailment, 2
    assert fetched(Repo("dataset", "owner/name", commit)) == FILE
    assert "try 1 of 3" in heard.words
    if ailment != "busy":
        assert asked(hub, f"bytes={len(FILE) // 2}-")
        if ranges:
            assert asked(hub, f"bytes={len(FILE) * 3 // 4}-")
    if ailment == "stall":
        assert "no data from 127.0.0.1 for 0.1 s; given up after 0.4 s" in heard.words


def test_a_download_without_any_new_byte_is_given_up_and_the_next_command_goes_on(
    hub: HubServer, repo: Repo
) -> None:
    hub.knows_ranges = False  # every try begins anew, and ends where the last one did
    hub.ailment = "cut"
    words = refusal(repo)
    assert "broke off after" in words and "goes on from there" in words
    assert len(asked(hub, "file.bin")) == 1 + len(download.WAITS_S)
    hub.ailment, hub.knows_ranges = "", True
    hub.log.clear()
    assert fetched(repo) == FILE
    assert asked(hub, f"bytes={len(FILE) // 2}-")


def test_a_card_that_stalls_is_told_and_tried_again_as_any_file_is(
    hub: HubServer, heard: Heard
) -> None:
    hub.add("dataset", "owner/name", {"README.md": b"A card.\n" * 99, "train.jsonl": ROWS})
    hub.ailment, hub.times = "stall", 1
    assert list_files("owner/name").splits == {"train": ["train.jsonl"]}
    assert "no data from 127.0.0.1 for 0.1 s; given up after 0.4 s" in heard.words
    assert "try 1 of 3" in heard.words


def test_a_slow_download_is_never_given_up(hub: HubServer, heard: Heard) -> None:
    hub.add("dataset", "owner/slow", {"file.bin": b"slow" * 8})
    hub.ailment = "slow"
    assert (snapshot(Repo("dataset", "owner/slow"), ["*"]) / "file.bin").exists()
    assert "try 1" not in heard.words  # on a slow machine it may be told that one waits


def test_size_and_rate_of_all_files_together_are_told(hub: HubServer, heard: Heard) -> None:
    hub.add("model", "owner/two", {"a.bin": FILE, "b.bin": FILE[1:], "c.txt": b"left"})
    snapshot(Repo("model", "owner/two"), ["*.bin"])
    counts = [(done, total) for _, done, total in heard if isinstance(total, progress.Bytes)]
    assert counts[-1] == (2 * len(FILE) - 1,) * 2 and counts == sorted(counts)
    assert "/s, 0 s left: model owner/two" in heard[-1][0]


def test_a_file_of_other_content_is_refused_and_not_kept(hub: HubServer, repo: Repo) -> None:
    hub.ailment = "other"
    assert "other content than the hub lists" in refusal(repo)
    hub.ailment = ""
    assert fetched(repo) == FILE


def test_the_names_a_hub_gives_lead_nowhere_else(
    hub: HubServer, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hub_server._blob", lambda data: "../../../elsewhere")
    hub.ailment = "cut"
    assert "does not answer as a hub does" in refusal(repo)
    assert not list(tmp_path.rglob("elsewhere*"))


def test_a_disk_too_small_is_told_before_the_download(
    hub: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=50_000))
    words = refusal(repo)
    assert "0.1 MB are to be downloaded" in words and "has 0.1 MB free" in words
    assert not asked(hub, "file.bin")


def test_a_disk_that_fills_up_is_told_as_that(
    hub: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download._Count, "add", full)
    assert "is full" in refusal(repo)


def test_large_files_are_named_and_checked_as_the_hub_does(hub: HubServer, heard: Heard) -> None:
    hub.large = True  # kept in LFS and Xet
    hub.add("model", "owner/large", {"file.bin": FILE})
    repo = Repo("model", "owner/large")
    hub.ailment, hub.times = "cut", 1
    assert fetched(repo) == FILE
    assert asked(hub, f"bytes={len(FILE) // 2}-")
    assert not asked(hub, "xet")


@pytest.mark.long
def test_what_was_interrupted_goes_on_with_the_same_command(hub: HubServer, tmp_path: Path) -> None:
    hub.add("dataset", "owner/name", {"train.jsonl": ROWS})
    hub.ailment = "slow"
    environment = {**child.environment(), **hub.environment(tmp_path)}
    command = child.command("yofo_mlx.cli", "data", "check", "owner/name")
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not asked(hub, "train.jsonl"):
        assert running.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    told = running.communicate(timeout=20)[1]
    assert running.returncode == 130
    assert "the same command goes on from there" in told and "Traceback" not in told
    hub.ailment = ""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert asked(hub, "train.jsonl bytes=")


@pytest.mark.long
def test_two_at_once_download_a_file_once(hub: HubServer, tmp_path: Path) -> None:
    hub.add("dataset", "owner/name", {"train.jsonl": ROWS[:90]})
    hub.ailment = "slow"
    environment = {**child.environment(), **hub.environment(tmp_path)}
    command = child.command("yofo_mlx.cli", "data", "check", "owner/name")
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in "ab"]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    assert len(asked(hub, "GET /datasets/owner/name/resolve")) == 1


@pytest.mark.long
def test_a_silent_hub_ends_a_verb_in_two_lines(hub: HubServer, tmp_path: Path) -> None:
    hub.ailment = "silent"
    environment = {**child.environment(), **hub.environment(tmp_path)}
    environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
    running = [
        subprocess.Popen(
            child.command("yofo_mlx.cli", verb, "tiny", "--set", "model=owner/name"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for verb in ("plan", "train")
    ]
    for one in running:
        out, told = one.communicate(timeout=60)
        assert one.returncode == 1 and out == ""
        assert "127.0.0.1 did not answer for 1 s" in told
    assert len(asked(hub)) <= len(running)


def test_an_answer_that_comes_in_drops_is_given_up(
    hub: HubServer, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubclient, "WHOLE_ANSWER", 2)
    hub.ailment = "drip"
    assert "did not come to the end of an answer in 0.8 s" in refusal(repo)


def test_a_limit_that_is_no_number_is_told(yofo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "ten")
    code, _, told = yofo("runs")
    assert code == 2 and "HF_HUB_DOWNLOAD_TIMEOUT is 'ten'" in told


def test_a_download_is_progress_in_the_events_of_a_run(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    tell_reading(writer, "3.0 MB/s, 1s left: model a/b", progress.Bytes(6e6), progress.Bytes(9e6))
    writer.close()
    event = last_event(tmp_path / "events.jsonl")
    assert event is not None
    assert (event["done"], event["total"], event["phase"][:12]) == (6, 9, "MB, 3.0 MB/s")


def test_a_session_tells_its_download_and_can_be_stopped_meanwhile(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("model", "owner/slow", files_of(TINY))
    hub.ailment = "slow"
    for name, value in hub.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    notes = []

    def note(method: str, params: dict[str, Any]) -> None:
        notes.append((method, params["words"]))
        client.cancel()

    with SessionClient() as client, pytest.raises(Cancelled):
        client.call("load", {"model": "owner/slow"}, note)
    assert notes[0][0] == "stage" and notes[0][1].endswith("MB, model owner/slow")


def test_what_is_told_without_a_count_is_handed_on_at_once_and_once() -> None:
    said: list[str] = []
    seldom = progress.Seldom(lambda what, done, total: said.append(what))
    for _ in range(3):
        seldom.tell("no answer", 0, 0)
        seldom.tell("reading", 3, 0)
    assert said == ["no answer"]


def test_bytes_are_told_as_such() -> None:
    told = progress.words("at 2.0 MB/s", progress.Bytes(1_200_000), progress.Bytes(5_000_000_000))
    assert told == "1.2 MB of 5.0 GB, at 2.0 MB/s"


def test_data_sets_and_models_are_told_in_the_same_words(hub: HubServer) -> None:
    hub.ailment = "500"
    with pytest.raises(DataError) as data:
        list_files("owner/name")
    with pytest.raises(YofoError) as model:
        model_path("owner/name")
    assert data.value.message == model.value.message.removeprefix("model ")
    assert data.value.hint == model.value.hint
    assert os.environ.get("HF_TOKEN") is None


def test_a_run_that_is_asked_to_stop_leaves_its_download(tmp_path: Path) -> None:
    run = Run(tmp_path)
    stop = StopRequest()
    stop.of(run)
    listener = _LeaveReading(stop)
    listener.tell("model a/b", 1, 2)
    run.stop_path.touch()
    with pytest.raises(KeyboardInterrupt):
        listener.tell("model a/b", 1, 2)


def test_the_hub_is_searched_and_a_hub_that_does_not_answer_is_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bank/intents", "other/reviews", "mine/Bank77"):
        hub.add("dataset", name, {"train.jsonl": ROWS})
    first, second = searching.data_sets("bank", 9)
    assert (first.id, first.downloads, first.rows) == ("bank/intents", 1234567, "1K<n<10K")
    assert second.id == "mine/Bank77" and not searching.data_sets("nothing", 9)
    for ailment, said in (("html", "does not answer as a hub does"), ("429", "too many requests")):
        hub.ailment = ailment
        with pytest.raises(DataError, match=f"the hub cannot be searched: .*{said}"):
            searching.data_sets("bank", 9)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="cannot be searched: HF_HUB_OFFLINE is set") as told:
        searching.data_sets("bank", 9)
    assert told.value.hint.startswith("unset HF_HUB_OFFLINE")
