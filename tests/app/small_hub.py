"""A server on this machine that answers as the Hugging Face hub does: one repository, files from a dictionary."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

MISSING = {
    "repository": {"X-Error-Code": "RepoNotFound"},
    "revision": {"X-Error-Code": "RevisionNotFound"},
    "entry": {"X-Error-Code": "EntryNotFound"},
    "gated": {"X-Error-Code": "GatedRepo"},
}
PIECE = 4096


@dataclass
class SmallHub:
    """Serve `files` as `repository` at `commit`, which `revisions` name, while the `with` block runs.

    `asked` lists `METHOD path`s, with the byte that a range began at. `cut_at` ends the first answer for a path after
    so many bytes; `status` is what every request is answered instead; `pause` is called before each piece of a file.
    """

    files: dict[str, bytes]
    repository: str = "some/one"
    commit: str = "c0ffee" + "0" * 34
    revisions: tuple[str, ...] = ("main", "v1")
    asked: list[str] = field(default_factory=list)
    cut_at: dict[str, int] = field(default_factory=dict)
    status: int = 200
    is_gated: bool = False
    pause: Callable[[str], object] = lambda path: None  # noqa: ARG005
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> SmallHub:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, with_body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def log_message(self, *_words: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def fetched(self) -> list[str]:
        """The files whose content was asked for."""
        marker = f"/resolve/{self.commit}/"
        return [line.split(marker)[1].split(" ")[0] for line in self.asked if line.startswith("GET") and marker in line]

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        path = urlsplit(request.path).path
        begin = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.asked.append(f"{request.command} {path}" + (f" from {begin}" if begin else ""))
        if self.status != 200:
            self._send(request, self.status, {}, b"")
        elif self.is_gated:
            self._send(request, 403, MISSING["gated"], b"")
        elif path.startswith(f"/api/models/{self.repository}/"):
            self._about(request, path.removeprefix(f"/api/models/{self.repository}/"))
        elif path.startswith(f"/{self.repository}/resolve/"):
            self._file(request, path.removeprefix(f"/{self.repository}/resolve/"), begin, with_body=with_body)
        else:
            self._send(request, 404, MISSING["repository"], b"")

    def _about(self, request: BaseHTTPRequestHandler, what: str) -> None:
        kind, _, revision = what.partition("/")
        if revision.split("?")[0] not in (*self.revisions, self.commit):
            self._send(request, 404, MISSING["revision"], b"")
            return
        names = [{"rfilename": name} for name in self.files]
        tree = [
            {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
            for name, content in self.files.items()
        ]
        about = {"_id": "0", "id": self.repository, "sha": self.commit, "siblings": names}
        answer: Any = tree if kind == "tree" else about
        self._send(request, 200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _file(self, request: BaseHTTPRequestHandler, what: str, begin: int, *, with_body: bool) -> None:
        revision, _, name = what.partition("/")
        content = self.files.get(name)
        if revision != self.commit or content is None:
            self._send(request, 404, MISSING["entry"], b"")
            return
        headers = {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.commit, "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        body = content[begin:]
        self._start(request, 206 if begin else 200, headers, len(body))
        if not with_body:
            return
        end = self.cut_at.pop(name, len(body))
        for at in range(0, min(end, len(body)), PIECE):
            self.pause(name)
            request.wfile.write(body[at : min(at + PIECE, end)])

    def _send(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        self._start(request, status, headers, len(body))
        request.wfile.write(body)

    @staticmethod
    def _start(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], length: int) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            request.send_header(name, value)
        request.end_headers()


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
