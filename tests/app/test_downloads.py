"""A server whose default checkpoint comes from the hub, which it fetches while it serves others."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.places import default_place
from app.services import downloads, hub
from app.services.catalogue import Catalogue
from app.services.entries import Download
from app.services.errors import ServiceError
from app.services.hub import fetch
from app.services.request import JobRequest
from models.checkpoint.facts import WEIGHTS
from tests.app.small_hub import SmallHub
from tests.app.storing import settings


class Server:
    """A catalogue whose default comes from the small hub."""

    def __init__(self, served: SmallHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = functools.partial(fetch, endpoint=served.url, cache=folder / "cache")
        monkeypatch.setattr(hub, "fetch", real)
        monkeypatch.setattr(downloads, "PAUSES", (0.01,))
        self.settings = settings(folder / "data", checkpoint="some/one")
        self.settings.data.mkdir(exist_ok=True)
        self.catalogue = Catalogue(self.settings)

    def wait(self, state: str | None) -> None:
        for _ in range(2000):
            if [download.state for download in self.catalogue.downloads] == ([state] if state else []):
                return
            threading.Event().wait(0.01)
        raise AssertionError(self.catalogue.downloads)


@pytest.fixture
def server(served: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(served, tmp_path, monkeypatch)
    with structlog.testing.capture_logs():
        yield server
        server.catalogue.close()


def test_the_default_is_fetched_while_the_others_are_served(server: Server, served: SmallHub) -> None:
    may_go_on, is_there = threading.Event(), threading.Event()

    def pause(name: str) -> None:
        if name == WEIGHTS[0]:
            is_there.set()
            may_go_on.wait(20)

    served.pause = pause
    server.catalogue.start()
    assert is_there.wait(20)
    (download,) = server.catalogue.downloads
    assert (download.name, download.state) == ("some/one", "running")
    assert 0 < download.done < download.total
    assert [facts.name for facts in server.catalogue.checkpoints()] == ["embedded"]
    with pytest.raises(ServiceError, match="is being downloaded") as refusal:
        JobRequest(prompt="sunset").recipes(server.catalogue)
    assert refusal.value.status == 503
    may_go_on.set()
    server.wait(None)
    (made,) = JobRequest(prompt="sunset").recipes(server.catalogue)
    assert made.checkpoint == f"some/one@{served.commit}"
    assert server.catalogue.get("some/one").name == made.checkpoint
    assert server.catalogue.get(None).title == "Small landscapes"


def test_the_next_start_needs_no_hub(server: Server, served: SmallHub) -> None:
    server.catalogue.start()
    server.wait(None)
    served.asked.clear()
    again = Catalogue(server.settings)
    assert again.default.name == f"some/one@{served.commit}"
    assert served.asked == []
    place = default_place(server.settings)
    assert place is not None
    assert place[1] == again.path_of(again.default.name)


def test_what_another_program_removed_from_the_cache_is_fetched_again(server: Server, served: SmallHub) -> None:
    server.catalogue.fetch()
    for remove in (Path.unlink, lambda link: link.resolve().unlink()):
        place = default_place(server.settings)
        assert place is not None
        remove(place[1] / WEIGHTS[0])
        assert default_place(server.settings) is None
        served.asked.clear()
        again = Catalogue(server.settings)
        again.fetch()
        assert again.default.name == f"some/one@{served.commit}"
        assert {*served.fetched()} <= {WEIGHTS[0]}


def test_a_hub_that_is_away_is_asked_again(server: Server, served: SmallHub) -> None:
    served.status = 503
    server.catalogue.start()
    server.wait("waiting")
    (download,) = server.catalogue.downloads
    assert "cannot be reached" in str(download.error)
    served.status = 200
    server.wait(None)
    assert server.catalogue.default.name == f"some/one@{served.commit}"


def test_waiting_for_the_hub_is_not_called_downloading(server: Server) -> None:
    server.catalogue._downloader._report = Download("some/one", "waiting", error="The hub cannot be reached")
    with pytest.raises(ServiceError, match=r"is not here yet: The hub cannot be reached; it is tried again by itself"):
        _ = server.catalogue.default


def test_a_checkpoint_that_cannot_be_used_is_explained(server: Server, served: SmallHub) -> None:
    served.files["unet/config.json"] = b"{"
    server.catalogue.start()
    server.wait("failed")
    (download,) = server.catalogue.downloads
    assert "unet/config.json" in str(download.error)
    with pytest.raises(ServiceError, match="cannot be used"):
        _ = server.catalogue.default


def test_a_command_fetches_at_once(server: Server, served: SmallHub) -> None:
    server.catalogue.fetch()
    assert server.catalogue.default.name == f"some/one@{served.commit}"
    served.status = 500
    other = Catalogue(server.settings.model_copy(update={"checkpoint": "some/one@v1"}))
    served.files.clear()
    with pytest.raises(ServiceError, match="cannot be reached"):
        other.fetch()
