"""What a model has read of a named set, kept on disk: taken back, read on, written anew.

A file belongs to a model with an adapter and a template, by its name; to just these weights and
precision, by the fingerprint in it. What does not fit any more is told, and read and written again.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from yofo_mlx.errors import RunError
from yofo_mlx.prompting import cache_file
from yofo_mlx.prompting.fingerprint import fingerprint
from yofo_mlx.prompting.loading import LoadedModel
from yofo_mlx.prompting.prefix import Prefix, Reuse, common_prefix
from yofo_mlx.prompting.protocol import CACHE_SUFFIX
from yofo_mlx.recipe.schema import Template
from yofo_mlx.system.quantities import size
from yofo_mlx.tasks.task import Example


class DiskCache:
    """The file of one set for the model that is loaded; what there is to tell is in `notes`."""

    def __init__(self, folder: Path, loaded: LoadedModel, bits: int | None = None) -> None:
        """`bits` of a number on disk, None: as they are."""
        if bits:
            cache_file.check_rounding(loaded.base.model)
        source = loaded.source
        adapter = str(source.adapter) if source.adapter and loaded.uses_adapter else None
        self._owner = {"model": source.model, "adapter": adapter, "bits": bits}
        words = [source.model, source.revision, adapter, bits]
        if source.template != Template():  # such as that of a run, for its base model as well
            template = source.template.model_dump_json()
            words.append(template)
            self._owner["template"] = _mark_of(template)
        mark = _mark_of(json.dumps(words))
        self._path, self._bits = folder / f"{mark}{CACHE_SUFFIX}", bits
        self._fingerprint = fingerprint(loaded)
        self.notes: list[str] = []
        self.taken = 0  # tokens that need not be read, as their keys and values were on disk
        self._saved: cache_file.Saved | None = None
        if self._path.exists():
            try:
                self._saved = cache_file.look(self._path, self._fingerprint)
            except RunError as error:
                self._refuse(error)

    def before(
        self, offered: Sequence[Example], seed: int
    ) -> tuple[list[Example], frozenset[Example]]:
        """Return what was shown when it was written, and which of those offered were known then.

        That is nothing where another seed chose.
        """
        if self._saved is None or self._saved.more.get("seed") != str(seed):
            return [], frozenset()
        marks = set(self._saved.more.get("offered", "").split())
        known = frozenset(one for one in offered if _mark(one) in marks)
        return [one for one in self._saved.demonstrations if one in known], known

    @property
    def nbytes(self) -> int:
        """Return how large the file is, 0 where there is none."""
        return self._path.stat().st_size if self._path.exists() else 0

    def take(self, prefix: Prefix, reuse: Reuse) -> Reuse:
        """Fill a prefix with what is on disk of it, if that is more than its context has."""
        saved = self._saved
        if saved is None or common_prefix(saved.tokens, prefix.tokens) <= reuse.tokens:
            return reuse
        try:
            cache_file.take(self._path, saved, prefix.context)
        except RunError as error:
            self._refuse(error)
            return Reuse(0)
        reuse = prefix.reuse()
        self.taken = reuse.tokens
        if reuse.tokens and self._bits:
            self.notes.append(f"taken back in {self._bits} bits: {_told(saved.more.get('cost'))}")
        return reuse

    def write(self, prefix: Prefix, offered: Iterable[Example], seed: int) -> None:
        """Keep what is read, unless it is on disk; a disk that cannot hold it is no failure."""
        if not prefix.demonstrations or self._holds(prefix, offered):
            return
        folder, needed = self._path.parent, prefix.context.nbytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if 2 * needed > shutil.disk_usage(folder).free:
                raise RunError(f"they take {size(needed)}, more than half of what the disk has")
            more = {
                "owner": json.dumps(self._owner),
                "offered": " ".join(map(_mark, offered)),
                "seed": str(seed),
            }
            cost = cache_file.write(self._path, prefix, self._fingerprint, more, self._bits)
        except (RunError, OSError) as error:
            self.notes.append(f"keys and values are not kept on disk: {error}")
            return
        written = size(self.nbytes)
        rounded = f" in {self._bits} bits, {_told(cost)}" if self._bits else ""
        name = folder.name.partition(".")[0]
        frees = f"`yofo demos drop {name} --caches` frees it"
        self.notes.append(f"kept on disk for the next time: {written}{rounded}; {frees}")

    def _holds(self, prefix: Prefix, offered: Iterable[Example]) -> bool:
        """Tell whether the file holds all that is read, and nothing that is no longer offered."""
        saved = self._saved
        return (
            saved is not None
            and saved.tokens[: len(prefix.tokens)] == prefix.tokens
            and set(saved.demonstrations) <= set(offered)
        )

    def _refuse(self, error: RunError) -> None:
        self._saved = None
        self.notes.append(f"{error.message}: read again")


def _told(cost: object) -> str:
    return f"log-probabilities after it were off by {float(str(cost)):.2g} nats at most"


def _mark(example: Example) -> str:
    text = json.dumps([example.input, example.output])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _mark_of(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:12]
