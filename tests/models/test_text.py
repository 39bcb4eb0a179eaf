"""The text tower against transformers' own, and the tokenizer against the ids of CLIP's published one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from models.text import BOS, EOS, CompactVocabulary, TextTower, Tokenizer, build_text_model
from tests.reference.oracle import SD1_TEXT, SD2_TEXT, make_text_encoder, relative_error

TOLERANCE = 1e-5  # relative L2, float32
A_PHOTO_OF_A_CAT = [320, 1125, 539, 320, 2368]  # as CLIP's repository tokenizes it
CAT, DOG = 2368, 1929


def compact(*ids: int) -> CompactVocabulary:
    rows = [*ids, BOS, EOS]
    return CompactVocabulary.from_dict(
        {"ids": rows, "bos": rows.index(BOS), "eos": rows.index(EOS), "pad": rows.index(EOS)}
    )


@pytest.mark.parametrize("config", [SD1_TEXT, SD2_TEXT], ids=["sd1", "sd2"])
@torch.no_grad()
def test_it_encodes_what_transformers_encodes(config: dict[str, Any]) -> None:
    theirs = make_text_encoder(**config)
    ours = build_text_model(theirs.config.to_dict())
    ours.train(False)
    ours.load_state_dict(theirs.state_dict())
    tower = TextTower(ours, Tokenizer(pad=config["pad_token_id"]))
    ids = torch.tensor(tower.tokenizer(["a photo of a cat", "", "many words " * 60]))
    wanted = theirs(ids).last_hidden_state
    found = tower.states(ids, clip_skip=1)
    assert found.shape == (3, 77, 24)
    assert relative_error(found, wanted) <= TOLERANCE


@pytest.mark.parametrize("clip_skip", [2, 3])
@torch.no_grad()
def test_it_skips_layers_as_diffusers_does(clip_skip: int) -> None:
    theirs = make_text_encoder(**SD1_TEXT)
    tower = TextTower(theirs, Tokenizer())
    ids = torch.tensor(tower.tokenizer(["a photo of a cat"]))
    layers = theirs(ids, output_hidden_states=True).hidden_states

    wanted = theirs.final_layer_norm(layers[3 - (clip_skip - 1)])  # of 3 layers; the first entry is what goes in

    assert relative_error(tower.states(ids, clip_skip=clip_skip), wanted) <= TOLERANCE
    assert relative_error(tower.states(ids, clip_skip=1), wanted) > 0.01


@pytest.mark.parametrize("clip_skip", [0, 4])
def test_it_refuses_a_layer_that_the_encoder_lacks(clip_skip: int) -> None:
    tower = TextTower(make_text_encoder(**SD1_TEXT), Tokenizer())
    with pytest.raises(ValueError, match=f"clip_skip is {clip_skip}; .* has 3 layers"):
        tower.states(torch.tensor(tower.tokenizer(["a cat"])), clip_skip=clip_skip)


@torch.no_grad()
def test_it_works_when_it_was_built_on_the_meta_device() -> None:
    theirs = make_text_encoder(**SD1_TEXT)
    with torch.device("meta"):
        ours = build_text_model(theirs.config.to_dict())
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ours.train(False)
    ids = torch.tensor(Tokenizer()(["a photo of a cat"]))
    assert torch.equal(ours(input_ids=ids).last_hidden_state, theirs(ids).last_hidden_state)


@pytest.mark.parametrize("pad", [EOS, 0])
def test_it_begins_ends_and_pads(pad: int) -> None:
    (row,) = Tokenizer(pad=pad)(["A  photo of\na CAT "])
    assert row == [BOS, *A_PHOTO_OF_A_CAT, EOS, *[pad] * 70]


def test_it_cuts_a_long_prompt_and_keeps_the_end_token() -> None:
    (row,) = Tokenizer()(["cat " * 200])
    assert row == [BOS, *[CAT] * 75, EOS]


def test_no_prompts_give_no_rows() -> None:
    assert Tokenizer()([]) == []


def test_a_compact_vocabulary_maps_ids_to_rows_and_drops_the_others() -> None:
    tokenizer = Tokenizer(max_tokens=6, vocabulary=compact(DOG, CAT))
    assert tokenizer(["cat purple dog", "purple"]) == [[2, 1, 0, 3, 3, 3], [2, 3, 3, 3, 3, 3]]


def test_a_compact_vocabulary_cuts_after_dropping() -> None:
    tokenizer = Tokenizer(max_tokens=4, vocabulary=compact(DOG, CAT))
    assert tokenizer(["purple purple cat purple dog"]) == [[2, 1, 0, 3]]


def test_it_names_the_words_that_the_vocabulary_lacks_once_and_in_order() -> None:
    tokenizer = Tokenizer(vocabulary=compact(DOG, CAT))
    assert tokenizer.unknown_words("Zebra, cat & PURPLE dog; purple zebra 12") == ["zebra", "purple", "1", "2"]


def test_a_word_of_several_tokens_is_unknown_if_one_of_them_is() -> None:
    first, *others = Tokenizer()(["mezzotint"])[0][1:]
    pieces = [token for token in [first, *others] if token != EOS]
    assert len(pieces) > 1
    assert Tokenizer(vocabulary=compact(*pieces)).unknown_words("mezzotint") == []
    assert Tokenizer(vocabulary=compact(*pieces[:-1])).unknown_words("mezzotint") == ["mezzotint"]


def test_clips_whole_vocabulary_knows_every_word() -> None:
    assert Tokenizer().unknown_words("a zxqj of mezzotints") == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"bos": 0, "eos": 0, "pad": 0}, "ids"),
        ({"ids": [], "bos": 0, "eos": 0, "pad": 0}, "ids"),
        ({"ids": ["cat"], "bos": 0, "eos": 0, "pad": 0}, "ids"),
        ({"ids": [1, 2], "eos": 0, "pad": 0}, "bos"),
        ({"ids": [1, 2], "bos": 0, "eos": 2, "pad": 0}, "eos"),
        ({"ids": [1, 2], "bos": 0, "eos": 1, "pad": -1}, "pad"),
    ],
)
def test_it_names_the_key_of_a_vocabulary_that_is_wrong(content: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        CompactVocabulary.from_dict(content)


def test_the_tokenizer_imports_neither_torch_nor_open_clip_nor_transformers() -> None:
    code = (
        "import sys; from models.tokenizer import Tokenizer; Tokenizer()(['a cat']); "
        "print([name for name in ('torch', 'open_clip', 'timm', 'torchvision', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
