"""Reading an event stream over a real connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

TIMEOUT = httpx2.Timeout(20.0)


@dataclass(frozen=True)
class Message:
    """One server-sent event; `event` is "" where it has no name."""

    id: str
    event: str
    data: str

    @property
    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.data)
        return body


@contextmanager
def browser(address: str) -> Iterator[httpx2.Client]:
    """A client with cookies of its own, and without certificates, which take long to read."""
    with httpx2.Client(base_url=address, timeout=TIMEOUT, trust_env=False, verify=False) as client:
        client.get("/api/images")  # for the cookie
        yield client


@contextmanager
def stream(client: httpx2.Client, url: str, **headers: str) -> Iterator[Iterator[Message]]:
    """Open the stream at `url` and give its messages as they come."""
    with client.stream(
        "GET", url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _messages(answer.iter_lines())


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        elif "data" in fields:
            yield Message(fields.get("id", ""), fields.get("event", ""), fields["data"])
            fields = {}
        else:
            fields = {}


def until(messages: Iterator[Message], event: str) -> list[Message]:
    """Read up to and including the first message of this name."""
    read: list[Message] = []
    for message in messages:
        read.append(message)
        if message.event == event:
            return read
    raise AssertionError(f"the stream ended without {event}: {[message.event for message in read]}")
