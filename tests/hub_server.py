"""A stand-in for the hub on the loopback interface, for the real client to talk to.

    from hub_server import HubServer, hub_fixture  # noqa: F401

    def test_something(hub: HubServer) -> None:
        hub.add("dataset", "owner/name", {"train.jsonl": b"..."})
        hub.add("model", "owner/model", files_of(folder))

The fixture points this process at it; `hub.environment(folder)` does so for a child process.
"""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from yofo_mlx.system.text import printable

Files = dict[str, bytes]


@dataclass
class Repo:
    """Files by revision; a commit is named by a hash over them."""

    revisions: dict[str, Files] = field(default_factory=dict)
    gated: bool | str = False  # "closed": also to who has a token

    def files(self, revision: str) -> tuple[str, Files] | None:
        """Return commit and files of a branch, a tag or a commit."""
        for name, files in self.revisions.items():
            commit = commit_of(files)
            if revision in (name, commit):
                return commit, files
        return None


class HubServer:
    """The repositories, the server, and a log of what was asked for."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.log: list[str] = []
        self.ailment = ""
        """How the hub fails: a status such as `500`, `html` (a captive portal), `shape` (JSON of
        another kind), `loop` (of redirects), `silent` (it never answers),
        `drip` (its answers come byte after byte); or only the files that it
        sends: `busy` (503), `cut` (broken off), `stall` (half, then nothing), `reset` (half, then
        the connection is reset), `other` (another content), `slow` (byte after byte)."""
        self.times: int | None = None
        """How often it fails so before it is well; None: always."""
        self.knows_ranges = True
        self.headers: dict[str, str] = {}
        """What it adds to every refusal."""
        self.large = False
        """Whether it keeps its files as large ones, in LFS and Xet."""
        self.token = ""
        """The token it accepts; others it refuses."""
        self.created: dict[str, str] = {}
        """Repositories that were made here, with who may see them."""
        self.stored: dict[str, bytes] = {}
        """Large files that were uploaded, by their hash."""
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def add(
        self, kind: str, id: str, files: Files, revision: str = "main", gated: bool | str = False
    ) -> None:
        """Publish files under a repository of kind `dataset` or `model`."""
        repo = self.repos.setdefault(f"{kind}s/{id}", Repo())
        repo.revisions[revision] = files
        repo.gated = repo.gated or gated

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that point a child process at this hub."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "HF_TOKEN_PATH": str(home / "token"),
        }

    def fails(self, *ailments: str) -> bool:
        """Tell whether the hub has one of these ailments, and count that it showed."""
        if self.ailment not in ailments or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def close(self) -> None:
        """Stop answering, also to a client that kept its connection."""
        from huggingface_hub import close_session

        close_session()
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._write()

    def do_PUT(self) -> None:
        self._write()

    def do_CONNECT(self) -> None:
        self._refuse(407, "", "Proxy Authentication Required")

    def log_message(self, format: str, *args: Any) -> None:
        part = self.headers.get("range") if hasattr(self, "headers") else None
        self.server_hub.log.append(" ".join(filter(None, (self.command, self.path, part))))

    def _answer(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        hub = self.server_hub
        if hub.ailment.isdigit() and hub.fails(hub.ailment):
            self._refuse(int(hub.ailment), "", "Not \x1b[31mnow")
        elif hub.token and self.headers.get("authorization", hub.token).split()[-1] != hub.token:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif hub.fails("silent"):
            hub.closing.wait(60)
        elif hub.fails("drip"):
            self.send_response(200)
            self.send_header("Content-Length", "500")
            self.end_headers()
            self._drip(b"x" * 500)
        elif hub.fails("html"):
            self._send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        elif hub.fails("shape"):
            self._send_json([{"id": 1}])
        elif hub.fails("loop"):
            self._send(307, b"", {"Location": self.path})
        elif parts[0] == "api":
            self._answer_api(parts[1:])
        else:
            kind = parts.pop(0) if parts[0] == "datasets" else "models"
            self._answer_file(f"{kind}/{'/'.join(parts[:2])}", parts[2:])

    def _write(self) -> None:
        """Take what is uploaded: LFS for what is not text, then one commit that names it."""
        hub, path = self.server_hub, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.command == "PUT":
            hub.stored[hashlib.sha256(body).hexdigest()] = body
            self._send(200, b"", {})
        elif hub.token and self.headers.get("authorization", "").split()[-1:] != [hub.token]:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif hub.ailment == "no upload":
            self._refuse(403, "", "You don't have the rights to create a model")
        elif path == "/api/repos/create":
            asked = json.loads(body)
            id = f"{asked['organization']}/{asked['name']}"
            hub.created[id] = asked.get("visibility", "public")
            hub.repos.setdefault(f"models/{id}", Repo()).revisions.setdefault("main", {})
            self._send_json({"url": f"{hub.endpoint}/{id}"})
        elif path == "/api/validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [one["path"] for one in json.loads(body)["files"]]
            modes = {True: "lfs", False: "regular"}
            kinds = [(one, modes[one.endswith((".safetensors", ".gguf"))]) for one in files]
            self._send_json(
                {"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in kinds]}
            )
        elif path.endswith("/info/lfs/objects/batch"):
            place = {"upload": {"href": f"{hub.endpoint}/lfs"}}
            objects = [one | {"actions": place} for one in json.loads(body)["objects"]]
            self._send_json({"transfer": "basic", "objects": objects})
        else:
            self._commit("/".join(path.strip("/").split("/")[1:4]), body)

    def _commit(self, key: str, body: bytes) -> None:
        hub = self.server_hub
        files = hub.repos[key].revisions["main"]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.stored[value["oid"]]
        page = f"{hub.endpoint}/{key.removeprefix('models/')}/commit/{commit_of(files)}"
        self._send_json({"commitUrl": page, "commitOid": commit_of(files)})

    def _answer_api(self, parts: list[str]) -> None:
        if parts[0] == "whoami-v2":
            return self._send_json({"type": "user", "name": "owner", "orgs": []})
        if parts == ["datasets"]:
            return self._send_json(self._listed())
        id = "/".join(parts[1:3])
        repo = self.server_hub.repos.get("/".join(parts[:3]))
        verb, revision = parts[3:5] if len(parts) > 4 else ("revision", "main")
        if repo is None:
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif (found := repo.files(revision)) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif verb == "tree":
            large = self.server_hub.large
            self._send_json([_entry(name, data, large) for name, data in found[1].items()])
        else:
            siblings = [{"rfilename": name} for name in found[1]]
            self._send_json({"id": id, "sha": found[0], "private": False, "siblings": siblings})

    def _listed(self) -> list[dict[str, Any]]:
        """Return the data sets whose ids hold what is looked for, as many as are asked for."""
        asked = parse_qs(urlsplit(self.path).query)
        words, most = asked.get("search", [""])[0], int(asked.get("limit", ["99"])[0])
        repos = self.server_hub.repos
        ids = [name.partition("/")[2] for name in repos if name.startswith("datasets/")]
        return [
            {"id": id, "downloads": 1234567, "tags": ["size_categories:1K<n<10K"]}
            for id in ids
            if words.casefold() in id.casefold()
        ][:most]

    def _answer_file(self, key: str, parts: list[str]) -> None:
        repo = self.server_hub.repos.get(key)
        if repo is None or len(parts) < 3 or parts[0] != "resolve":
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif repo.gated and "authorization" not in self.headers:
            self._refuse(401, "GatedRepo", "Access to this repository is restricted")
        elif repo.gated == "closed":
            self._refuse(403, "GatedRepo", "You are not in the authorized list")
        elif (found := repo.files(parts[1])) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {parts[1]}")
        elif (data := found[1].get("/".join(parts[2:]))) is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif self.command == "GET" and self.server_hub.fails("busy"):
            self._refuse(503, "", "Busy")
        else:
            self._send_file(data, found[0])

    def _send_file(self, data: bytes, commit: str) -> None:
        head = {"ETag": f'"{_blob(data)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.server_hub.large:
            name = hashlib.sha256(data).hexdigest()
            head |= {"X-Linked-Etag": f'"{name}"', "X-Linked-Size": str(len(data))}
            route = f'<{self.server_hub.endpoint}/xet>; rel="xet-auth"'
            head |= {"X-Xet-Hash": name, "Link": route}
        if not (asked := self.headers.get("range")) or not self.server_hub.knows_ranges:
            self._send(200, data, head)
            return
        # Without an end, it is a download that goes on where it broke off.
        start, end = asked.removeprefix("bytes=").split("-")
        last = min(int(end or len(data)), len(data) - 1)
        head["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
        self._send(206, data[int(start) : last + 1], head)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str) -> None:
        head = {"X-Error-Code": code, "X-Error-Message": printable(message)}
        body = json.dumps({"error": message}).encode()
        self._send(status, body, head | self.server_hub.headers)

    def _send(self, status: int, body: bytes, head: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if "X-Repo-Commit" not in head:
            self.wfile.write(body)
        else:
            self._send_body(body)

    def _drip(self, body: bytes) -> None:
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            self.server_hub.closing.wait(0.02)

    def _send_body(self, body: bytes) -> None:
        hub, half = self.server_hub, len(body) // 2
        if hub.fails("slow"):
            self._drip(body)
        elif hub.fails("other"):
            self.wfile.write(b"!" * len(body))
        elif hub.ailment in ("cut", "stall", "reset") and hub.fails(hub.ailment):
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.close_connection = True
            if hub.ailment == "stall":
                hub.closing.wait(60)
            elif hub.ailment == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
        else:
            self.wfile.write(body)


def commit_of(files: Files) -> str:
    """Return the commit that holds these files."""
    digest = hashlib.sha1()
    for name, data in sorted(files.items()):
        digest.update(f"{name} {_blob(data)}\n".encode())
    return digest.hexdigest()


def files_of(folder: Path) -> Files:
    """Return the files below a folder, such as a model's."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _entry(name: str, data: bytes, large: bool) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(data), "oid": _blob(data)}
    digest = hashlib.sha256(data).hexdigest()
    lfs = {"oid": digest, "size": len(data), "pointerSize": 134}
    return entry | ({"lfs": lfs, "xetHash": digest} if large else {})


@pytest.fixture(name="hub")
def hub_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Run a hub and point the client in this process at it, with an empty cache."""
    from huggingface_hub import constants

    server = HubServer()
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    yield server
    server.close()
