"""What the app remembers."""

from pathlib import Path

from tui.shared.choices import Choices


def test_what_is_kept_is_there_in_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "home" / "app.toml"
    Choices(path).keep("look", "theme", "nord")
    Choices(path).keep("runs", "columns", ["valid", "left"])
    again = Choices(path)
    assert again.get("look", "theme") == "nord"
    assert again.get("runs", "columns", [""]) == ["valid", "left"]
    assert again.get("runs", "order", "newest") == "newest"


def test_comments_and_what_another_window_wrote_stay(tmp_path: Path) -> None:
    path = tmp_path / "app.toml"
    path.write_text("# mine\n[look]\ntheme = 'nord'  # calm\n")
    ours, theirs = Choices(path), Choices(path)
    theirs.keep("keys", "app.quit", "ctrl+q")
    ours.keep("look", "smooth", 5)
    text = path.read_text()
    assert "# mine" in text and "# calm" in text and "ctrl+q" in text and "smooth = 5" in text


def test_a_file_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "app.toml"
    path.write_text("[look\n")
    choices = Choices(path)
    assert str(path) in choices.trouble
    choices.keep("look", "theme", "nord")
    assert path.read_text() == "[look\n" and choices.get("look", "theme", "x") == "x"


def test_a_value_of_another_kind_is_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "app.toml"
    path.write_text("look = 3\n[runs]\norder = 4\n")
    choices = Choices(path)
    assert choices.get("look", "theme", "dark") == "dark"
    assert choices.get("runs", "order", "newest") == "newest"
