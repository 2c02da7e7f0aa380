"""Downloads from the hub: told, tried again, and gone on with where they broke off.

Files go into the client's cache under the names that it gives them; it makes the links.
"""

import fcntl
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from yofo_mlx.errors import YofoError
from yofo_mlx.hub.client import waiting_for_data
from yofo_mlx.hub.errors import Repo, explain, http, is_passing, reason_of, wait_asked_for
from yofo_mlx.system import progress
from yofo_mlx.system.quantities import duration, size
from yofo_mlx.system.talk import say
from yofo_mlx.system.text import shorten

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

PARTIAL = ".incomplete"
WAITS_S = (1.0, 2.0, 4.0, 8.0, 8.0)  # before the next try, while no new byte comes
MEASURED_S = 2.0  # before there is a rate worth telling
LONGEST_WAIT_S = 60.0  # that a hub may ask for
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def files(repo: Repo, folder: Path, wanted: Sequence["RepoFile"]) -> None:
    """Download files of a snapshot into the cache; `folder` is the snapshot's."""
    blobs = folder.parent.parent / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    here = Repo(repo.kind, repo.id, folder.name)
    each = {blobs / _name(file): file for file in wanted}
    missing = {blob: file for blob, file in each.items() if not blob.exists()}
    count = _Count(repo, sum(map(_kept, missing)), sum(map(_size, missing.values())))
    _check_room(repo, blobs, count.total - count.done)
    try:
        for blob, file in missing.items():
            _fetch(here, file, blob, count)
    except KeyboardInterrupt:
        say(f"\n{repo}: {count} are kept; the same command goes on from there")
        raise
    except Exception as error:
        if isinstance(error, YofoError) or not count.done or not is_passing(error):
            raise
        told = explain(error, repo)
        assert told is not None  # what is passing is an error of the client's
        words = f"{repo}: the download broke off after {count}: {reason_of(error)}"
        raise type(told)(words, f"the same command goes on from there; {told.hint}") from error


def _name(file: "RepoFile") -> str:
    """Return the digest by which the hub names a file's content, and the cache the file."""
    name = file.blob_id if file.lfs is None else file.lfs.sha256
    if not _DIGEST.fullmatch(name):  # it becomes a path
        raise ValueError("a digest of another form")
    return name


def _size(file: "RepoFile") -> int:
    return file.size if file.lfs is None else file.lfs.size


def _partial(blob: Path) -> Path:
    return blob.with_name(blob.name + PARTIAL)


def _kept(blob: Path) -> int:
    with suppress(FileNotFoundError):
        return _partial(blob).stat().st_size
    return 0


def _check_room(repo: Repo, blobs: Path, needed: int) -> None:
    free = shutil.disk_usage(blobs).free
    if needed > free:
        raise YofoError(
            f"{repo}: {size(needed)} are to be downloaded, and the disk of"
            f" {shorten(str(blobs.parent.parent), 200)} has {size(free)} free",
            "make room, or set HF_HOME to a folder on another disk",
        )


class _Count:
    """How much of all files is here, and how fast more of it comes."""

    def __init__(self, repo: Repo, kept: int, total: int) -> None:
        self.done, self.total = kept, total
        self._repo, self._kept = repo, kept
        self._began = self._told = time.monotonic()

    def __str__(self) -> str:
        return f"{size(self.done)} of {size(self.total)}"

    def add(self, count: int) -> None:
        """Count bytes that came; of those that had to be taken back, a negative number."""
        now = time.monotonic()
        self.done += count
        if now - self._told >= progress.EVERY_S:
            self._told = now
            progress.tell(self._words(now), progress.Bytes(self.done), progress.Bytes(self.total))

    def _words(self, now: float) -> str:
        passed = now - self._began
        rate = (self.done - self._kept) / max(passed, 1e-9)
        if rate <= 0 or passed < MEASURED_S:
            return str(self._repo)
        left = duration((self.total - self.done) / rate)
        return f"{size(rate)}/s, {left} left: {self._repo}"


# ---------------------------------------------------------------------- one file


def _fetch(repo: Repo, file: "RepoFile", blob: Path, count: _Count) -> None:
    """Download a file, or what is missing of it; it gets its name when its content is right."""
    with _partial(blob).open("ab") as stream:
        _lock(stream, file.path)
        if blob.exists():  # by whoever held the lock
            count.done += _size(file)
            return
        if stream.tell() > _size(file):
            count.add(-stream.tell())
            stream.truncate(0)
        _receive(repo, file, stream, count)
        stream.flush()
        if _digest(_partial(blob), file) != _name(file):
            stream.truncate(0)
            raise YofoError(
                f"{repo}: {shorten(file.path, 200)} came with other content than the hub lists",
                "run the same command again; if it stays so, a proxy on the way changes files",
            )
        _partial(blob).rename(blob)


def _lock(stream: BinaryIO, name: str) -> None:
    """Let one process at a time write a file."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.tell(f"waiting for another process that downloads {shorten(name, 200)}")
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0, 2)
    except OSError:  # a file system without locks
        return


def _receive(repo: Repo, file: "RepoFile", stream: BinaryIO, count: _Count) -> None:
    """Receive a file to its end; what fails is tried again while new bytes come."""
    furthest, failures = stream.tell(), 0
    while stream.tell() < _size(file):
        try:
            with _answer(repo, file, stream.tell()) as (chunks, whole):
                if whole:  # the server does not go on in the middle of a file
                    count.add(-stream.tell())
                    stream.seek(0)
                    stream.truncate()
                for chunk in chunks:
                    stream.write(chunk)
                    count.add(len(chunk))
                    if stream.tell() > furthest:
                        furthest, failures = stream.tell(), 0
                    if stream.tell() > _size(file):  # its digest will be wrong
                        return
            if stream.tell() < _size(file):
                raise http().RemoteProtocolError("the answer ended early")
        except Exception as error:
            wait = wait_asked_for(error)
            if not is_passing(error) or failures == len(WAITS_S) or (wait or 0) > LONGEST_WAIT_S:
                raise
            wait = WAITS_S[failures] if wait is None else wait
            failures += 1
            progress.tell(f"{reason_of(error)}; try {failures} of {len(WAITS_S)} in {wait:g} s")
            time.sleep(wait)


@contextmanager
def _answer(repo: Repo, file: "RepoFile", start: int) -> Iterator[tuple[Iterator[bytes], bool]]:
    """Ask for a file from a place on; yield its bytes, and whether it is the whole file."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    url = hf_hub_url(repo.id, file.path, repo_type=repo.kind, revision=repo.revision)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream("GET", url, headers=headers) as response:
        hf_raise_for_status(response)
        with waiting_for_data(response.request.url.host) as alive:
            yield _alive(response.iter_bytes(), alive), start > 0 and response.status_code == 200


def _alive(chunks: Iterator[bytes], alive: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        alive()
        yield chunk


def _digest(path: Path, file: "RepoFile") -> str:
    """Return the digest of what came, made as the hub makes its own."""
    hashed: Any = hashlib.sha256()
    if file.lfs is None:  # git's name for a blob
        hashed = hashlib.sha1(b"blob %d\0" % _size(file), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            hashed.update(block)
    return str(hashed.hexdigest())
