"""What the app remembers between openings: `$YOFO_HOME/app.toml`, which anyone may edit."""

import tomllib
from pathlib import Path
from threading import Lock
from typing import Any

from yofo_mlx.system import paths
from yofo_mlx.system.files import write_text


class Choices:
    """Sections of keys and values, such as `look.theme`; each change is written at once."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or paths.home() / "app.toml"
        self._writing = Lock()  # choices are kept by threads
        self.trouble = ""  # why the file could not be read; it is then left as it is
        self._sections = self._read()

    def get(self, section: str, key: str, default: Any = None) -> Any:
        """Return what was chosen; a value of another kind than the default's was not."""
        table = self._sections.get(section)
        value = table.get(key, default) if isinstance(table, dict) else default
        return value if default is None or isinstance(value, type(default)) else default

    def section(self, name: str) -> dict[str, Any]:
        """Return all that was chosen in a section."""
        table = self._sections.get(name)
        return dict(table) if isinstance(table, dict) else {}

    def keep(self, section: str, key: str, value: Any) -> None:
        """Remember a choice, beside what another window or a person wrote meanwhile."""
        if self.trouble:
            return
        import tomlkit

        with self._writing:
            text = self._path.read_text(encoding="utf-8") if self._path.is_file() else ""
            document = tomlkit.parse(text)
            if not isinstance(document.get(section), dict):
                document[section] = tomlkit.table()
            document[section][key] = value
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, tomlkit.dumps(document))
            self._sections = document.unwrap()

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.trouble = f"{self._path}: {error}"
            return {}
