"""Answers that are kept: whole lines count, a torn one is asked again, two writers do not meet."""

from pathlib import Path

import pytest

from yofo_mlx.errors import RunError
from yofo_mlx.rehearsal.store import Store, is_held, key_of


def test_what_was_kept_is_there_again_whatever_its_text(tmp_path: Path) -> None:
    path, text = tmp_path / "answers.jsonl", "a\nb\x1b[2J\u2028\ud800é"
    with Store(path) as store:
        store.add("one", [text, True])
        store.add("two", False)
    with Store(path) as store:
        assert store["one"] == [text, True] and store["two"] is False and "three" not in store
    assert path.read_text("ascii").count("\n") == 2


def test_a_torn_last_line_is_cut_off_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Store(path) as store:
        store.add("one", 1)
        store.add("two", 2)
    path.write_bytes(path.read_bytes()[:-3])
    with Store(path) as store:
        assert "one" in store and "two" not in store
        store.add("two", 3)
    with Store(path) as store:
        assert (store["one"], store["two"]) == (1, 3)


def test_a_line_that_a_disk_has_spoilt_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'["one", 1]\n\xff\x00garbage\n[]\n7\n["two", 2]\n')
    with Store(path) as store:
        assert (store["one"], store["two"]) == (1, 2)


def test_two_rehearsals_do_not_write_to_one_folder(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Store(path), pytest.raises(RunError, match="another rehearsal"), Store(path):
        pass
    with Store(path):
        pass


def test_a_key_tells_apart_what_runs_together() -> None:
    assert key_of("a", [1, 2], 3) != key_of("a", [1], [2, 3])
    assert key_of("a", [1, 2]) == key_of("a", (1, 2))


def test_a_store_is_held_while_somebody_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    assert not is_held(path)
    with Store(path):
        assert is_held(path)
    assert not is_held(path)
