"""What a terminal pastes when files are dropped on its window, and what is no such thing."""

import shlex
from pathlib import Path

import pytest

from tui.shared.dropped import file_in, files_in, path_in


@pytest.mark.parametrize("name", ["it's [my] file.csv", 'a "b".csv', "rows.jsonl"])
def test_a_dropped_file_is_known_however_a_terminal_quotes_it(
    empty_folder: Path, name: str
) -> None:
    path = empty_folder / name
    path.touch()
    escaped = "".join(f"\\{one}" if one in " '\"[]" else one for one in str(path))
    quoted = shlex.quote(str(path))
    for text in (str(path), quoted, f"{path}\r\n", f" {path} ", path.as_uri(), escaped):
        assert path_in(text) == file_in(text) == path
    assert files_in(f"{quoted} {escaped}") == [path, path]
    assert files_in(f"{quoted} /gone.csv") == [path]
    assert path_in(f"./{name}") == Path(f"./{name}")
    assert file_in(f"./{name}") is None  # where one writes, that is a text
    assert path_in(str(empty_folder)) == empty_folder and file_in(str(empty_folder)) is None


@pytest.mark.parametrize(
    "text",
    ["", "  ", "hello", "a\tb", "one/two\nthree", "\0/x", "~nobody/x", "it's", "/etc -> a place"],
)
def test_text_is_no_path(empty_folder: Path, text: str) -> None:
    (empty_folder / "hello").touch()
    assert path_in(text) is None and file_in(text) is None
