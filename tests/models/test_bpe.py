"""Our byte pair encoding against CLIP's published tokenizer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import bpe
from tests.reference import clip_tokenizer


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a cat",
        "A  Photo\n of\ta CAT ",
        "it's the artist's, they'll've I'D",
        "8k, 4K uhd; 1girl:: (masterpiece:1.2)",
        "snow-capped mountains / (golden hour) -- ar 16:9!!!",
        "ein Häuschen am See, schöne Wälder",
        "山の上の城、夕焼け",
        "🌊🏔️ waves",
        "&lt;b&gt; &amp;amp; &eacute;",
        "the caf&eacute; was clos&eacute;d â€” fixed",
        "supercalifragilisticexpialidocious",
        "",
        "a" * 99,
        "abcabcabdabc" * 9,
        "東京タワーと富士山の夕焼け" * 20,
        "qzjxkvbwyp" * 30,
    ],
)
def test_its_ids_are_those_of_clip(text: str) -> None:
    assert bpe.encode(text) == clip_tokenizer.encode(text)


@settings(deadline=None)  # the first example reads the vocabulary
@given(st.text(max_size=60))
def test_its_ids_are_those_of_clip_for_any_text(text: str) -> None:
    assert bpe.encode(text) == clip_tokenizer.encode(text)


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_its_ids_are_those_of_clip_for_any_ascii(text: str) -> None:
    """Of which most needs no mending."""
    assert bpe.encode(text) == clip_tokenizer.encode(text)


def test_begin_and_end_cannot_be_typed() -> None:
    assert not {bpe.BOS, bpe.EOS} & set(bpe.encode("<|startoftext|> <start_of_text> <end_of_text> <|endoftext|>"))


def test_the_comma_is_a_token_of_its_own() -> None:
    assert bpe.encode("cat, dog") == [2368, bpe.COMMA, 1929]
