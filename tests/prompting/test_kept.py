"""Keys and values of named sets on disk: taken back, read on, refused with the reason."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from tests.prompting.test_cache_file import NoWork
from yofo_mlx.errors import RunError
from yofo_mlx.models import base
from yofo_mlx.models.base import Base, model_path
from yofo_mlx.prompting import cache_file, cache_header, kept, loading
from yofo_mlx.prompting.context import Context
from yofo_mlx.prompting.loading import Source, load
from yofo_mlx.prompting.parameters import Load, Pair, Prefill, Score
from yofo_mlx.prompting.prompter import Prompter
from yofo_mlx.recipe.schema import Template
from yofo_mlx.tasks.task import Example

ROWS = [
    Pair(input=f"{animal} {n}", output="Anna" if n % 2 else "Tom")
    for n in range(3)
    for animal in ("horse", "cow", "pig")
]
MORE = [Pair(input="goat", output="Tom"), Pair(input="dog", output="Anna")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(model_path("tiny"), folder)
    return str(folder)


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a session that begins anew take the weights that are in memory."""

    def load_base(name: str, **_: Any) -> Base:
        config = model_path(name) / "config.json"
        return once(name, config.read_bytes())

    monkeypatch.setattr(loading, "load_base", load_base)


@cache
def once(name: str, _config: bytes) -> Base:
    return base.load_base(name)


class Asked:
    """What a new session makes of a set whose keys and values are kept in a folder."""

    def __init__(self, model: str, folder: Path | None, rows: list[Pair], **more: Any) -> None:
        prompter = Prompter()
        prompter.load(Load(model=model), NoWork())
        place = str(folder) if folder else None
        wanted = Prefill(demonstrations=rows, kept=place, **more)
        result = prompter.prefill(wanted, NoWork())
        self.shown = [rows[place].input for place in result["chosen"]]
        self.tokens, self.reused = result["tokens"], result["reused_tokens"]
        self.note: str = result["note"]
        self.from_disk: int = result.get("disk_tokens", 0)
        asked = Score(input="cow", labels=["Anna", "Tom"])
        self.scores = prompter.score(asked, NoWork())["scores"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tickets.caches"


def file_in(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def test_what_is_read_once_is_taken_back_exactly_by_the_next_session(
    model: str, folder: Path
) -> None:
    plain = Asked(model, None, ROWS)
    first, again = Asked(model, folder, ROWS), Asked(model, folder, ROWS)
    assert (first.reused, again.reused) == (0, again.tokens)
    assert (first.from_disk, again.from_disk) == (0, again.tokens)
    assert first.scores == again.scores == plain.scores
    assert first.note.startswith("kept on disk for the next time: ")
    assert first.note.endswith("`yofo demos drop tickets --caches` frees it")
    assert again.note == ""


def test_rows_that_are_added_stand_behind_and_alone_are_read(model: str, folder: Path) -> None:
    first, longer = Asked(model, folder, ROWS), Asked(model, folder, [*MORE, *ROWS])
    assert longer.shown[: len(ROWS)] == first.shown
    assert longer.reused == first.tokens < longer.tokens
    again = Asked(model, folder, [*MORE, *ROWS])
    assert (again.reused, again.scores) == (longer.tokens, longer.scores)


def test_rows_that_are_taken_out_leave_what_stood_before_them(model: str, folder: Path) -> None:
    first = Asked(model, folder, ROWS)
    rest = [row for row in ROWS if row.input != first.shown[-1]]
    shorter = Asked(model, folder, rest)
    assert shorter.shown == first.shown[:-1]
    assert shorter.reused == shorter.tokens
    assert first.shown[-1] not in json.dumps(
        cache_header.demonstrations_in(file_in(folder))[0], default=str
    )
    without_first = Asked(model, folder, [row for row in rest if row.input != first.shown[0]])
    assert without_first.shown == first.shown[1:-1]
    assert 0 < without_first.reused < without_first.tokens


def test_fewer_shots_use_the_file_and_leave_it(model: str, folder: Path) -> None:
    Asked(model, folder, ROWS)
    before = file_in(folder).read_bytes()
    few = Asked(model, folder, ROWS, shots=2)
    assert (few.reused, len(few.shown)) == (few.tokens, 2)
    assert file_in(folder).read_bytes() == before


def test_another_seed_chooses_anew(model: str, folder: Path) -> None:
    Asked(model, folder, ROWS)
    other = Asked(model, folder, [*ROWS, *MORE], seed=7)
    assert other.shown == Asked(model, None, [*ROWS, *MORE], seed=7).shown


def test_each_model_and_precision_has_its_own_file(
    model: str, folder: Path, tmp_path: Path
) -> None:
    Asked(model, folder, ROWS)
    Asked("tiny", folder, ROWS)
    Asked(model, folder, ROWS, kv_bits=8)
    files = {(one.model, one.bits): one for one in cache_header.kept_files(folder)}
    assert files.keys() == {(model, None), ("tiny", None), (model, 8)}
    assert {(one.shots, one.adapter, one.problem) for one in files.values()} == {(9, None, "")}
    assert files[model, 8].bytes < files[model, None].bytes / 2


def test_each_template_has_its_own_file_so_that_two_in_turn_read_once(
    model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, found = Asked(model, folder, ROWS), loading.find_source

    def with_template(*named: Any) -> Source:
        return replace(found(*named), template=Template(input="Q: {input}\nA:"))

    for _ in range(2):
        monkeypatch.setattr(loading, "find_source", with_template)
        other = Asked(model, folder, ROWS)
        monkeypatch.setattr(loading, "find_source", found)
        again = Asked(model, folder, ROWS)
        assert (again.reused, again.scores, again.note) == (usual.tokens, usual.scores, "")
    assert other.reused == other.tokens != usual.tokens
    first, second = cache_header.kept_files(folder)
    assert {bool(first.template), bool(second.template)} == {True, False}


@pytest.mark.parametrize(("bits", "nats"), [(8, 0.1), (4, 2.0)])
def test_rounded_numbers_are_told_what_they_cost(
    model: str, folder: Path, bits: int, nats: float
) -> None:
    exact, first = Asked(model, None, ROWS), Asked(model, folder, ROWS, kv_bits=bits)
    again = Asked(model, folder, ROWS, kv_bits=bits)
    assert first.scores == exact.scores  # it has read them itself
    assert again.reused == again.tokens
    told = "log-probabilities after it were off by "
    assert f"in {bits} bits, {told}" in first.note
    assert again.note.startswith(f"taken back in {bits} bits: {told}")
    assert 0 < float(again.note.removesuffix(" nats at most").rpartition(" ")[2]) < nats
    for one, other in zip(again.scores, exact.scores, strict=True):
        assert one["logprob"] == pytest.approx(other["logprob"], abs=3 * nats)


def damage_metadata(path: Path, key: str, value: str) -> None:
    contents: Any = mx.load(str(path), return_metadata=True)
    arrays, metadata = contents
    assert key in metadata
    mx.save_safetensors(str(path), dict(arrays), metadata | {key: value})


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "is not a prompt cache"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:50]),
            "is not a prompt cache",
            marks=pytest.mark.long,
        ),
        pytest.param(
            lambda path: path.write_bytes(b""), "is not a prompt cache", marks=pytest.mark.long
        ),
        (tamper, "is damaged: it does not hold what was written"),
        (lambda path: damage_metadata(path, "0.tokens", "[1, 2]"), ""),
        (lambda path: damage_metadata(path, "0.probe", "{}"), "answers differently"),
        (lambda path: damage_metadata(path, "0.fingerprint", "{}"), "belongs to another model"),
        pytest.param(
            lambda path: damage_metadata(path, "1.0", "os"), "is damaged", marks=pytest.mark.long
        ),
        pytest.param(
            lambda path: mx.save_safetensors(str(path), {"x": mx.zeros(3)}, {}),
            "was not saved by",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_reason_and_written_anew(
    model: str, folder: Path, damage: Any, why: str
) -> None:
    first = Asked(model, folder, ROWS)
    damage(file_in(folder))
    again = Asked(model, folder, ROWS)
    assert why in again.note
    assert again.reused == 0
    assert again.scores == first.scores
    assert Asked(model, folder, ROWS).reused == first.tokens


def test_a_model_that_was_replaced_is_told_and_reads_again(
    model: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "tiny")
    Asked(str(tmp_path / "tiny"), folder, ROWS)
    config = tmp_path / "tiny" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rope_theta": 1e4}))
    again = Asked(str(tmp_path / "tiny"), folder, ROWS)
    assert "belongs to another model: read again; kept on disk" in again.note
    assert again.reused == 0
    assert len(list(folder.iterdir())) == 1


def test_what_the_disk_cannot_hold_is_told_and_answers_all_the_same(
    model: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = shutil.disk_usage(folder.parent)._replace(free=1000)
    monkeypatch.setattr(kept.shutil, "disk_usage", lambda _: room)
    asked = Asked(model, folder, ROWS)
    assert "are not kept on disk: they take 1." in asked.note
    assert asked.scores
    monkeypatch.undo()

    def full(*_: Any) -> None:
        raise RuntimeError("[save_safetensors] no space left on device")

    monkeypatch.setattr(cache_file, "save_prompt_cache", full)
    assert "no space left on device" in Asked(model, folder, ROWS).note
    assert not list(folder.iterdir())


def test_a_model_whose_cache_rotates_is_not_rounded(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(Source(model), use_adapter=False)
    from mlx_lm.models.cache import RotatingKVCache

    monkeypatch.setattr(cache_file, "make_prompt_cache", lambda _: [RotatingKVCache(8)])
    with pytest.raises(RunError, match=r"cannot be rounded \(RotatingKVCache\)"):
        kept.DiskCache(Path("x"), loaded, 8)


def test_a_cut_file_is_listed_with_what_is_wrong(model: str, folder: Path) -> None:
    Asked(model, folder, ROWS)
    path = file_in(folder)
    examples, instruction = cache_header.demonstrations_in(path)
    assert {*examples} == {Example(row.input, row.output) for row in ROWS}
    assert instruction == ""
    path.write_bytes(path.read_bytes()[:-1])
    assert [one.problem for one in cache_header.kept_files(folder)] == ["it is cut off"]
    for nothing in (b"", b"abc", b"\xff" * 20, b"\x02" + bytes(7) + b"[]"):
        path.write_bytes(nothing)
        [one] = cache_header.kept_files(folder)
        assert one.problem and one.bytes == len(nothing)


def test_a_context_is_left_empty_where_a_file_is_refused(model: str, folder: Path) -> None:
    Asked(model, folder, ROWS)
    loaded = load(Source(model), use_adapter=False)
    context = Context(loaded.base.model)
    found = kept.DiskCache(folder, loaded)
    tamper(file_in(folder))
    assert found._saved is not None
    with pytest.raises(RunError):
        cache_file.take(file_in(folder), found._saved, context)
    assert context.tokens == []
