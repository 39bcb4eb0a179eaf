"""How to reach an engine: streaming HTTP over its Unix socket. Knows neither torch nor how a job is stored."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2

from app.engine.address import address
from models.recipe import Recipe

CONNECT_SECONDS = 2.0
STATUS_SECONDS = 5.0
SILENCE_SECONDS = 60.0  # the engine sends a blank line every few seconds, however long a step takes
TERMINAL_EVENTS = frozenset({"image", "failed"})
NO_INPUTS: Mapping[str, bytes] = MappingProxyType({})


class EngineError(Exception):
    """Something that the engine could not do."""


class EngineUnavailable(EngineError):  # noqa: N818  (the word that callers read)
    """Nobody listens, or the stream broke before its terminal event: the job may be started again elsewhere."""


class EngineRefused(EngineError):  # noqa: N818
    """The engine answered that it will not run this recipe; asking again would give the same answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class EngineClient:
    """Talk to the engine that listens on `socket`. Holds no connection, so a restarted engine needs no new client.

    `path_of` says where the checkpoint of a recipe lies, and may take its time, in a thread; the engine, which need not
    know, is told with each recipe.
    """

    def __init__(self, socket: Path, path_of: Callable[[str], Path | None] = lambda name: None) -> None:  # noqa: ARG005
        self.socket = socket
        self._path_of = path_of

    async def status(self) -> dict[str, Any]:
        """Return `GET /status`: state, device, checkpoints, metrics. Raises `EngineUnavailable`."""
        async with self._connection(STATUS_SECONDS) as http:
            response = await http.get("/status")
            self._require_ok(response.status_code, response.content)
            status: dict[str, Any] = json.loads(response.content)
            return status

    async def generate(
        self, recipe: Recipe, inputs: Mapping[str, bytes] = NO_INPUTS, owner: str = ""
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of one picture, the last of them `image` or `failed`; closing the iterator cancels.

        `inputs` are the PNG files that the recipe names, by their SHA-256. Owners get equal shares of the device.

        Raises `EngineUnavailable` when the engine cannot be reached or goes away before the last event, and
        `EngineRefused` when it does not know the checkpoint (404) or the recipe or its pictures are invalid (422).
        """
        body = _body(recipe, owner, inputs, await asyncio.to_thread(self._path_of, recipe.checkpoint))
        headers = {"content-type": "application/json"}
        async with (
            self._connection(SILENCE_SECONDS) as http,
            http.stream("POST", "/generate", content=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                self._require_ok(response.status_code, await response.aread())
            async for line in response.aiter_lines():
                if not line:
                    continue
                event = json.loads(line)
                yield event
                if event["event"] in TERMINAL_EVENTS:
                    return
        raise EngineUnavailable("the engine ended the stream before the picture was finished")

    @asynccontextmanager
    async def _connection(self, read_seconds: float) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.AsyncHTTPTransport(uds=str(address(self.socket)), verify=False, trust_env=False)
        timeout = httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS)
        async with httpx2.AsyncClient(transport=transport, base_url="http://engine", timeout=timeout) as http:
            try:
                yield http
            except (httpx2.TransportError, json.JSONDecodeError) as error:
                raise EngineUnavailable(f"the engine at {self.socket} is gone: {error or repr(error)}") from error

    @staticmethod
    def _require_ok(status: int, body: bytes) -> None:
        if status == 200:
            return
        try:
            answer = json.loads(body)
            code, message = str(answer["code"]), str(answer["message"])
        except (ValueError, KeyError, TypeError):
            code, message = "internal", f"the engine answered {status}"
        if status >= 500:
            raise EngineUnavailable(message)
        raise EngineRefused(status, code, message)


def _body(recipe: Recipe, owner: str, inputs: Mapping[str, bytes], path: Path | None) -> bytes:
    """The request's JSON; `inputs` are left out where there are none, `path` where the engine must know it."""
    files = {sha256: base64.b64encode(png).decode() for sha256, png in inputs.items()}
    pictures = b',"inputs":' + json.dumps(files).encode() if files else b""
    place = b',"path":' + json.dumps(str(path.absolute())).encode() if path else b""
    whose = b',"owner":' + json.dumps(owner).encode() if owner else b""
    return b'{"recipe":' + recipe.to_json().encode() + whose + place + pictures + b"}"
