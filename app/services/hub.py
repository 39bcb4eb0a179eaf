"""Checkpoints of the Hugging Face hub, through the cache that other programs on this machine share.

Only what the networks need is fetched: JSON, vocabularies and safetensors by their known names, never a pickle and
never code. huggingface_hub is imported when the first one is asked for, since that takes a second; it obeys its own
variables (`HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_TOKEN`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Any

from app.places import HubName

INDEX = "model_index.json"
NETWORKS = ("unet", "vae", "text_encoder")
SMALL = re.compile(
    r"(model_index|mezzotint)\.json"
    r"|(unet|vae|text_encoder)/config\.json"
    r"|scheduler/scheduler_config\.json"
    r"|tokenizer/(vocab|tokenizer|tokenizer_config|special_tokens_map|vocab_ids)\.json"
    r"|tokenizer/merges\.txt"
)
MAX_SMALL = 32 * 2**20  # bytes
WEIGHTS = re.compile(
    r"(?P<network>unet|vae|text_encoder)/(diffusion_pytorch_model|model)"
    r"(\.fp16)?(-\d{5}-of-\d{5})?(\.fp16)?\.safetensors(\.index(\.fp16)?\.json)?"
)
SINGLE = re.compile(r"[\w.\-]+\.safetensors")
ABANDONED_SECONDS = 3600.0
ANSWER_SECONDS = 15.0

Note = Callable[[int, int], None]  # bytes done, bytes in all


class HubError(Exception):
    """A checkpoint of the hub cannot be had. The message says why and what helps; `is_passing`: it may later."""

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checkpoint that is here, whole; its name ends with its commit, 40 hexadecimal digits."""

    name: str
    path: Path
    files: list[Path]  # all that was fetched for it


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at a commit: sizes in bytes by the names of the files; `path` is its folder here."""

    path: Path
    sizes: Mapping[str, int]

    @property
    def commit(self) -> str:
        return self.path.name


def fetch(
    wanted: HubName,
    note: Note,
    *,
    prefers_half: bool = False,
    endpoint: str | None = None,
    cache: Path | None = None,
) -> Fetched:
    """Return a checkpoint of the hub, after downloading what the cache lacks of it.

    `note` hears how far that is, and may raise to stop it; whole files are not fetched again the next time.
    With `prefers_half` weights of 16 bits are taken where there are both. Raises `HubError`.
    """
    import huggingface_hub

    with _explained(wanted):
        listing = _listing(wanted, endpoint, cache)
        files = choose(wanted, listing.sizes, prefers_half=prefers_half)
        meter = _Meter(note, sum(listing.sizes[file] for file in files))
        _sweep(listing.path.parent.parent / "blobs")
        for file in files:
            huggingface_hub.hf_hub_download(
                wanted.repository,
                file,
                revision=listing.commit,
                endpoint=endpoint,
                cache_dir=cache,
                etag_timeout=ANSWER_SECONDS,
                tqdm_class=meter.bar(),
            )
            meter.end(listing.sizes[file])
    path = listing.path if INDEX in files else listing.path / files[0]
    return Fetched(f"{wanted.repository}@{listing.commit}", path, [listing.path / file for file in files])


def choose(wanted: HubName, sizes: Mapping[str, int], *, prefers_half: bool) -> list[str]:
    """Name the files that the networks need, the small ones first. Raises `HubError` if some cannot be had."""
    if INDEX not in sizes:
        return _single(wanted, sizes)
    small = sorted(file for file, size in sizes.items() if SMALL.fullmatch(file) and size <= MAX_SMALL)
    large = [file for network in NETWORKS for file in _weights(wanted, network, sizes, prefers_half=prefers_half)]
    return [*small, *large]


def _weights(wanted: HubName, network: str, sizes: Mapping[str, int], *, prefers_half: bool) -> list[str]:
    """The files of one network's weights: of one number format, whole or in shards with their index."""
    found = [file for file in sorted(sizes) if (match := WEIGHTS.fullmatch(file)) and match["network"] == network]
    half = [file for file in found if ".fp16." in file or ".fp16-" in file]
    full = [file for file in found if file not in half]
    chosen = (half or full) if prefers_half else (full or half)
    whole = [file for file in chosen if "-of-" not in file and file.endswith(".safetensors")]
    if not chosen:
        raise HubError(
            f"{wanted.repository} has no safetensors weights in {network}/, and pickles are never opened; "
            "name a repository or a revision that has them"
        )
    return whole[:1] or chosen


def _single(wanted: HubName, sizes: Mapping[str, int]) -> list[str]:
    files = [file for file in sorted(sizes) if SINGLE.fullmatch(file)]
    if len(files) == 1:
        sidecar = files[0].removesuffix(".safetensors") + ".yaml"
        return [*files, *([sidecar] if sizes.get(sidecar, MAX_SMALL) < MAX_SMALL else [])]
    what = (
        f"has {len(files)} files of weights ({', '.join(files[:3])} ...)" if files else "has no weights that we can use"
    )
    raise HubError(
        f"{wanted.repository} has no {INDEX} and {what}; download the file that you want yourself and put it into a "
        "folder of --checkpoints"
    )


def _listing(wanted: HubName, endpoint: str | None, cache: Path | None) -> Listing:
    """Find out which commit is meant and what is in it, from the hub, or without it from the cache."""
    import huggingface_hub
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    path = Path(
        huggingface_hub.snapshot_download(
            wanted.repository,
            revision=wanted.revision,
            allow_patterns=[INDEX],
            endpoint=endpoint,
            cache_dir=cache,
            etag_timeout=ANSWER_SECONDS,
            tqdm_class=_Meter(lambda done, total: None, 0).bar(),  # noqa: ARG005
        )
    )
    try:
        tree = huggingface_hub.get_cached_repo_tree(wanted.repository, revision=path.name, cache_dir=cache)
        return Listing(path, {entry.path: entry.size for entry in tree})
    except CachedRepoTreeNotFoundError:  # another program fetched it, and the hub cannot be asked
        files = [file for file in path.rglob("*") if file.is_file()]
        return Listing(path, {file.relative_to(path).as_posix(): file.stat().st_size for file in files})


def _sweep(blobs: Path) -> None:
    """Remove parts of files that a killed process left long ago; huggingface_hub takes up none of them."""
    for part in blobs.glob("*.incomplete"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                part.unlink()


class _Meter:
    """Adds up the bytes of several files out of the progress bars that huggingface_hub makes for each."""

    def __init__(self, note: Note, total: int) -> None:
        self._note = note
        self._total = total
        self._before = 0
        self._done = 0

    def add(self, count: float) -> None:
        self._done += int(count)
        self._note(min(self._total, self._before + self._done), self._total)

    def end(self, size: int) -> None:
        """A file of so many bytes is here, wherever it came from."""
        self._before, self._done = self._before + size, 0
        self.add(0)

    def bar(self) -> Any:
        """A class of bars that show nothing and tell this meter."""
        from tqdm import tqdm

        add = self.add

        class Bar(tqdm):  # type: ignore[misc]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **{**options, "disable": True})
                add(options.get("initial") or 0)

            def update(self, n: float | None = 1) -> bool | None:
                add(n or 0)
                return None

            def update_transfer(self, n: float | None = 1) -> None:
                """Leave out what came over the network: `update` counts what is on the disk."""

        return Bar


@contextmanager
def _explained(wanted: HubName) -> Iterator[None]:
    """Say in a sentence what huggingface_hub raises, as a `HubError`."""
    import httpx2
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.RevisionNotFoundError:
        raise HubError(
            f"{wanted.repository} has no revision {wanted.revision!r}; see its page for those it has"
        ) from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"There is no {wanted.repository} on the hub and no such path or name here, or it is private or gated; "
            "check the name, accept its conditions on its page and set HF_TOKEN"
        ) from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        if constants.HF_HUB_OFFLINE:
            raise HubError(
                f"{wanted} is not in the cache of the hub, at least not all of it, and HF_HUB_OFFLINE forbids to fetch "
                "it; unset that, or copy the cache from another machine"
            ) from None
        raise _unreachable(wanted, "no answer") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status < 500 and status != 429:
            raise HubError(f"The hub refuses to give {wanted} ({status}); check the name and HF_TOKEN") from None
        raise _unreachable(wanted, f"it answers {status}") from None
    except (httpx2.HTTPError, ConnectionError) as error:
        raise _unreachable(wanted, str(error) or type(error).__name__) from error
    except errors.HFValidationError as error:
        raise HubError(f"{wanted} is no name of the hub ({error}); write org/name or org/name@revision") from None
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"{wanted} cannot be kept ({reason}); see to the disk of the hub's cache"
        raise HubError(problem, is_passing=error.errno == ENOSPC) from error


def _unreachable(wanted: HubName, reason: str) -> HubError:
    return HubError(
        f"{wanted} is not wholly here and the hub cannot be reached ({reason}); see to the network, or copy the cache "
        "of the hub from another machine",
        is_passing=True,
    )
