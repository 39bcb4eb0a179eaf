"""The prompt language, against the examples that AUTOMATIC1111's documentation gives, and its counts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import prompt
from models.bpe import BOS, COMMA, EOS, encode
from models.prompt import Piece, PromptError, cut, parse, plain
from models.tokenizer import MAX_CHUNKS, Tokenizer
from tests.models.test_text import compact
from tests.reference import clip_tokenizer

CAT, DOG, PURPLE = 2368, 1929, 5496


def pieces(text: str) -> list[tuple[str, float]]:
    (section,) = parse(text)
    return [(piece.text, round(piece.weight, 6)) for piece in section]


# The wiki page "Attention/emphasis" and the examples in the docstring of the parser that everyone copied it from.
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("normal text", [("normal text", 1.0)]),
        ("a (word)", [("a ", 1.0), ("word", 1.1)]),
        ("a ((word))", [("a ", 1.0), ("word", 1.21)]),
        ("a [word]", [("a ", 1.0), ("word", round(1 / 1.1, 6))]),
        ("a (word:1.5)", [("a ", 1.0), ("word", 1.5)]),
        ("a (word:0.25)", [("a ", 1.0), ("word", 0.25)]),
        (r"a \(word\)", [("a (word)", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
    ],
)
def test_it_weighs_the_documented_examples_as_documented(text: str, wanted: list[tuple[str, float]]) -> None:
    assert pieces(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("()", []),
        ("[word", [("word", round(1 / 1.1, 6))]),
        ("a (b [c) d] e", [("a ", 1.0), ("b ", 1.1), ("c", 1.0), (" d", round(1 / 1.1, 6)), (" e", 1.0)]),
        ("a) b] c", [("a) b] c", 1.0)]),
        ("16:9 photo :)", [("16:9 photo :)", 1.0)]),
        ("ratio :1.5) here", [("ratio :1.5) here", 1.0)]),
        ("(time: noon)", [("time: noon", 1.1)]),
        ("(word: 1.3 )", [("word", 1.3)]),
        ("(word:+.5)", [("word", 0.5)]),
        ("(word:-1)", [("word", -1.0)]),
        ("(word:1.2.3)", [("word:1.2.3", 1.1)]),
        ("(word:1e9)", [("word:1e9", 1.1)]),
        ("[word:0.5]", [("word:0.5", round(1 / 1.1, 6))]),
        (r"back\slash and \\ two", [("backslash and \\ two", 1.0)]),
        (r"(a\:b)", [("a:b", 1.1)]),
        ("(a(b:2)c:0.5)", [("a", 0.5), ("b", 1.0), ("c", 0.5)]),
    ],
)
def test_what_is_no_markup_is_text(text: str, wanted: list[tuple[str, float]]) -> None:
    assert pieces(text) == wanted


def test_brackets_deeper_than_anyone_nests_weigh_nothing_and_cost_little() -> None:
    ((piece, *_),) = parse("(" * 70 + "a:0.9)" + ":1.0)" * 69)
    assert piece == Piece("a")
    ((first, *_),) = parse("[(" * 4000 + "a")
    assert first.text == "a"


@pytest.mark.parametrize("text", [f"a{' ' * 300_000}b", f"a:{'1' * 300_000}"])
def test_no_run_of_one_character_costs_the_square_of_its_length(text: str) -> None:
    assert pieces(text) == [(text, 1.0)]  # it took hours


@pytest.mark.parametrize("text", ["(" * 8000, "((a:99999999999):99999999999)", "(a:" + "9" * 400 + ")"])
def test_no_nesting_weighs_infinitely_much(text: str) -> None:
    assert all(abs(piece.weight) <= prompt.MAX_WEIGHT for section in parse(text) for piece in section)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a BREAK b", [["a"], ["b"]]),
        ("a,\nBREAK\nb", [["a,"], ["b"]]),
        ("a BREAK BREAK b", [["a"], [], ["b"]]),
        ("BREAK a", [[], ["a"]]),
        ("a BREAK", [["a"], []]),
        ("(a BREAK b)", [["a"], ["b"]]),
        ("BREAKFAST break UNBREAK", [["BREAKFAST break UNBREAK"]]),
    ],
)
def test_break_divides_a_prompt(text: str, wanted: list[list[str]]) -> None:
    assert [[piece.text for piece in section] for section in parse(text)] == wanted


def test_a_break_within_brackets_keeps_their_weight() -> None:
    assert parse("(a BREAK b:1.5)") == [[Piece("a", 1.5)], [Piece("b", 1.5)]]


def test_the_words_of_a_prompt_are_free_of_markup() -> None:
    assert plain(r"a (cat:1.2) [by] ((night)) BREAK \(fog\)").split() == ["a", "cat", "by", "night", "(fog)"]


@settings(deadline=None)  # the first example reads the vocabulary
@given(st.text(alphabet="ab :.()[]\\12,BREAK", max_size=40))
def test_any_text_can_be_parsed(text: str) -> None:
    found = parse(text)
    assert all(math.isfinite(piece.weight) for section in found for piece in section)
    assert all(one.weight != other.weight for section in found for one, other in pairwise(section))


@settings(deadline=None)  # the first example reads the vocabulary
@given(st.text(max_size=60).filter(lambda text: not set(text) & set("()[]:\\") and "BREAK" not in text))
def test_a_prompt_without_markup_is_read_as_it_always_was(text: str) -> None:
    (chunk,) = Tokenizer(max_tokens=1000).chunks(text)
    ids = clip_tokenizer.encode(text)
    assert list(chunk.ids) == [BOS, *ids, *[EOS] * (999 - len(ids))]
    assert set(chunk.weights) == {1.0}


def test_weights_lie_on_their_tokens() -> None:
    (chunk,) = Tokenizer(max_tokens=8).chunks("cat (dog:1.5) cat")
    assert chunk.ids == (BOS, CAT, DOG, CAT, EOS, EOS, EOS, EOS)
    assert chunk.weights == (1, 1, 1.5, 1, 1, 1, 1, 1)


def test_a_long_prompt_is_cut_into_chunks_of_75() -> None:
    first, second = Tokenizer().chunks("cat " * 75 + "dog")
    assert first.ids == (BOS, *[CAT] * 75, EOS)
    assert second.ids == (BOS, DOG, *[EOS] * 75)


@pytest.mark.parametrize("pad", [EOS, 0])
def test_every_chunk_begins_ends_and_is_padded(pad: int) -> None:
    first, second = Tokenizer(pad=pad).chunks("cat BREAK dog")
    assert first.ids == (BOS, CAT, EOS, *[pad] * 74)
    assert second.ids == (BOS, DOG, EOS, *[pad] * 74)


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        (60, 20, 61),  # the comma is 14 tokens before the end: the chunk ends after it
        (55, 25, 56),  # 20 tokens before it
        (54, 26, 75),  # 21 tokens before it, too far
        (74, 9, 75),  # the last token of the chunk
    ],
)
def test_a_chunk_ends_at_a_comma_that_is_at_most_20_tokens_before_its_end(before: int, after: int, first: int) -> None:
    chunks = Tokenizer().chunks("cat " * before + ", " + "dog " * after)
    lengths = [chunk.ids.index(EOS) - 1 for chunk in chunks]
    assert lengths == [first, before + 1 + after - first]
    assert (chunks[1].ids[1] == DOG) == (chunks[0].ids[first] in (COMMA, DOG))


def test_a_chunk_is_full_where_a_comma_comes_next() -> None:
    first, second = Tokenizer().chunks("cat " * 60 + ", " + "dog " * 14 + ", cat")
    assert first.ids.index(EOS) - 1 == 75
    assert second.ids[1:3] == (COMMA, CAT)


def test_the_last_comma_decides() -> None:
    tokens = [(CAT, 1.0)] * 56 + [(COMMA, 1.0)] + [(CAT, 1.0)] * 10 + [(COMMA, 1.0)] + [(DOG, 1.0)] * 20
    assert [len(chunk) for chunk in cut([tokens], 75, comma=COMMA).chunks] == [68, 20]


@pytest.mark.parametrize(
    ("text", "count", "chunks"),
    [
        ("", 0, 1),
        ("cat", 1, 1),
        ("cat " * 75, 75, 1),
        ("cat " * 76, 76, 2),
        ("cat BREAK dog", 76, 2),
        ("cat BREAK", 75, 1),
        ("BREAK cat", 76, 2),
        ("cat " * 60 + ", " + "dog " * 20, 95, 2),
        ("(((cat)))", 1, 1),
    ],
)
def test_it_counts_each_chunk_but_the_last_in_full(text: str, count: int, chunks: int) -> None:
    assert (Tokenizer().count(text), len(Tokenizer().chunks(text))) == (count, chunks)


def test_a_compact_vocabulary_has_chunks_of_its_own_length_without_the_unknown() -> None:
    tokenizer = Tokenizer(max_tokens=4, vocabulary=compact(DOG, CAT))
    first, second = tokenizer.chunks("purple (cat:1.5) purple dog zebra cat")
    assert (first.ids, first.weights) == ((2, 1, 0, 3), (1, 1.5, 1, 1))
    assert (second.ids, second.weights) == ((2, 1, 3, 3), (1, 1, 1, 1))
    assert tokenizer.count("purple (cat:1.5) purple dog zebra cat") == 3


def test_unknown_words_are_named_without_markup_and_weights() -> None:
    tokenizer = Tokenizer(vocabulary=compact(DOG, CAT))
    assert tokenizer.unknown_words("(zebra:1.3), ((cat)) [purple] BREAK dog") == ["zebra", "purple"]


def test_it_refuses_more_chunks_than_anyone_may_ask_for() -> None:
    assert len(Tokenizer().chunks("cat " * 75 * MAX_CHUNKS)) == MAX_CHUNKS
    with pytest.raises(PromptError, match="has 1501 tokens; this checkpoint reads at most 1500"):
        Tokenizer().chunks("cat " * (75 * MAX_CHUNKS + 1))


def test_tokens_are_counted_without_torch() -> None:
    code = (
        "import json, sys; from models.tokenizer import Tokenizer; "
        "print(json.dumps([Tokenizer().count('a cat'), 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [2, False]


def test_ids_in_these_tests_are_what_they_are_called() -> None:
    assert encode("cat dog purple ,") == [CAT, DOG, PURPLE, COMMA]
