"""The card of a data set: which files make up which configuration, and how labels are named."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yofo_mlx.system.files import read_object
from yofo_mlx.tasks.reading.parquet import ClassNames, names_of

INFOS = "dataset_infos.json"
NAMES = ("README.md", INFOS)
"""Files that say something about a data set."""

Patterns = dict[str, list[str]]


@dataclass
class Card:
    """What the head of a README.md says about files and labels."""

    configs: dict[str, Patterns] = field(default_factory=dict)
    default: str | None = None
    features: dict[str, ClassNames] = field(default_factory=dict)

    def class_names(self, config: str | None) -> ClassNames:
        """Return the label names of a configuration, by column."""
        wanted = config or self.default or "default"
        if wanted in self.features:
            return self.features[wanted]
        return next(iter(self.features.values())) if len(self.features) == 1 else {}


def read(folder: Path) -> Card:
    """Read the card of a data set; what is missing or malformed counts as left out."""
    card = _card(_head(folder / "README.md"))
    for config, info in read_object(folder / INFOS).items():
        if isinstance(info, dict):
            card.features.setdefault(config, names_of(info.get("features")))
    return card


def _head(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            if not stream.read(8).removeprefix(b"\xef\xbb\xbf").startswith(b"---"):
                return {}
        from huggingface_hub import metadata_load

        return metadata_load(path) or {}
    except Exception:  # a stranger's text: missing, not UTF-8, not YAML
        return {}


def _card(head: dict[str, Any]) -> Card:
    card = Card()
    for entry in _dicts(head.get("configs")):
        patterns = _patterns(entry.get("data_files"), str(entry.get("data_dir") or ""))
        if patterns:
            name = str(entry.get("config_name", "default"))
            card.configs[name] = patterns
            if entry.get("default") is True or name == "default":
                card.default = name
    for entry in _dicts(head.get("dataset_info")):
        columns = _dicts(entry.get("features"))
        named = {str(column.get("name")): names for column in columns if (names := _names(column))}
        card.features[str(entry.get("config_name", "default"))] = named
    return card


def _patterns(files: Any, folder: str) -> Patterns:
    """Return file patterns by split; the split of files without one is ""."""
    if not files:
        return {"": _paths("**", folder)} if folder else {}
    if isinstance(files, (str, list)) and not _dicts(files):
        return {"": _paths(files, folder)}
    if isinstance(files, dict):
        return {str(split): _paths(paths, folder) for split, paths in files.items()}
    return {str(part.get("split")): _paths(part.get("path"), folder) for part in _dicts(files)}


def _paths(paths: Any, folder: str) -> list[str]:
    listed = paths if isinstance(paths, list) else [paths]
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    return [prefix + path.removeprefix("./") for path in listed if isinstance(path, str)]


def _names(feature: Any) -> tuple[str, ...]:
    if not isinstance(feature, dict):
        return ()
    label = feature.get("class_label")
    if isinstance(label, dict):
        names = label.get("names")
        return tuple(map(str, names.values() if isinstance(names, dict) else names or ()))
    inner = (_names(feature.get(key)) for key in ("dtype", "sequence", "list"))
    return next((names for names in inner if names), ())


def _dicts(value: Any) -> list[dict[str, Any]]:
    several = value if isinstance(value, list) else [value]
    return [entry for entry in several if isinstance(entry, dict)]
