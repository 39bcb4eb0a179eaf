"""The tokenizer of a checkpoint, from the forms that its files have. Imports no torch.

Stable Diffusion's checkpoints all have CLIP's own vocabulary, whether their tokenizer is `vocab.json` with
`merges.txt`, one `tokenizer.json`, or absent; so ours reads the prompts, once the files are found to agree with it.
What the files decide is the padding.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models import bpe
from models.bpe import CLIP_VOCABULARY, EOS
from models.checkpoint.card import read_json
from models.checkpoint.diffusers_folder import DiffusersFolder
from models.checkpoint.headers import CheckpointError, fingerprint, told
from models.checkpoint.layout import Layout
from models.tokenizer import CompactVocabulary, Tokenizer

OPEN_CLIP_PAD = 0  # the token "!"
REMEMBERED_FILES = 16


@dataclass(frozen=True)
class VocabularyFile:
    """`vocab.json` or `tokenizer.json`, told from others by what it holds, since most checkpoints have the same."""

    name: str
    mark: str
    path: Path = field(compare=False)


def tokenizer_of(files: Layout) -> Tokenizer:
    """Return the tokenizer of a checkpoint. Raises `CheckpointError` for a vocabulary that is not CLIP's."""
    folder = files.path / "tokenizer" if isinstance(files, DiffusersFolder) else None
    vocabulary = _compact_vocabulary(folder) if folder else None
    tokenizer = Tokenizer(max_tokens=files.config.max_tokens, pad=_pad(files, folder), vocabulary=vocabulary)
    rows = int(files.text_encoder.get("vocab_size", CLIP_VOCABULARY))
    expected = len(vocabulary.ids) if vocabulary else CLIP_VOCABULARY
    if rows < expected:
        raise CheckpointError(
            f"{files.path}: {files.places['text_encoder']} has a vocab_size of {rows}, its tokenizer {expected} "
            "tokens; only CLIP's vocabulary, or a part of it listed in tokenizer/vocab_ids.json, is supported"
        )
    if folder and vocabulary is None:
        _check_vocabulary(folder)
    return tokenizer


def _compact_vocabulary(folder: Path) -> CompactVocabulary | None:
    file = folder / "vocab_ids.json"
    if not file.is_file():
        return None
    try:
        return CompactVocabulary.from_dict(read_json(file))
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error


def _pad(files: Layout, folder: Path | None) -> int:
    """The padding token that the tokenizer's files name; without one, what the family of the text encoder uses."""
    for name in ("tokenizer_config.json", "special_tokens_map.json") if folder else ():
        assert folder is not None
        file = folder / name
        token = read_json(file).get("pad_token") if file.is_file() else None
        text = token.get("content") if isinstance(token, dict) else token
        if text is not None:
            return OPEN_CLIP_PAD if text == "!" else EOS
    return EOS if files.text_encoder.get("hidden_act", "quick_gelu") == "quick_gelu" else OPEN_CLIP_PAD


def _check_vocabulary(folder: Path) -> None:
    """Raise `CheckpointError` unless the ids of the tokenizer's files, if there are any, are CLIP's."""
    for name in ("tokenizer.json", "vocab.json"):
        file = folder / name
        if file.is_file():
            with told(file):
                mark = fingerprint(file)
            if not _is_clips(VocabularyFile(name, mark, file)):
                raise CheckpointError(
                    f"{file} has another vocabulary than CLIP's; only checkpoints with CLIP's tokenizer are supported"
                )
            return


@functools.lru_cache(maxsize=REMEMBERED_FILES)
def _is_clips(file: VocabularyFile) -> bool:
    """Say whether a file has CLIP's ids: 0.1 s for the first of its kind."""
    content: Any = read_json(file.path)
    model = content.get("model") if file.name == "tokenizer.json" else {"vocab": content}
    found = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(found, dict):
        return False
    names = [*bpe.signs(), *(left + right for left, right in bpe.read_merges())]
    return all(found.get(name) == index for index, name in enumerate(names))
