"""Compiled networks: which calls they answer, how these are filled up, and what happens where they fail."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.bundle import Bundle
from models.calls import Predict
from models.checkpoint.loading import load
from models.compiled import Compiled, Form, _inputs, _Predict, file_name, obstacle

TOLERANCE = 1e-5  # relative L2, float32
SIZE = (8, 6)


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path) -> Bundle:
    return load(tiny_checkpoint)


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


class Networks:
    """A library that asks the networks as they are, and notes what it is asked."""

    bytes = 1000

    def __init__(self, bundle: Bundle) -> None:
        self._unet = bundle.unet
        self.rows: list[int] = []

    def __call__(self, *inputs: Tensor) -> Tensor:
        self.rows.append(len(inputs[0]))
        assert len({len(each) for each in inputs}) == 1
        return self._unet.predict(*inputs)


class Failing(Networks):
    def __call__(self, *inputs: Tensor) -> Tensor:  # noqa: ARG002
        raise RuntimeError("not on this machine")


class Desk:
    """Who compiles: hears what is wanted and what has failed."""

    def __init__(self) -> None:
        self.wanted: list[tuple[Form, int]] = []
        self.failed: list[str] = []
        self.compiled = Compiled(
            lambda _, form, asked: self.wanted.append((form, asked)),
            lambda form, error: self.failed.append(f"{form.rows}: {error}"),
        )


def calls(bundle: Bundle, rows: int) -> list[Predict]:
    generator = torch.Generator().manual_seed(rows)
    conds = [torch.randn(bundle.config.max_tokens, bundle.config.context_width, generator=generator) for _ in range(2)]
    rows_of = [2] * (rows // 2) + [1] * (rows % 2)
    return [
        Predict(
            torch.randn(1, bundle.config.unet_in_channels, *SIZE, generator=generator),
            500.0,
            tuple(conds[:count]),
            step=0,
            steps=20,
        )
        for count in rows_of
    ]


def form(bundle: Bundle, rows: int) -> Form:
    return Form(rows, *SIZE, bundle.config.max_tokens)


def test_a_call_that_nothing_is_compiled_for_is_answered_by_the_networks_to_the_bit(bundle: Bundle) -> None:
    desk = Desk()
    compiling = replace(bundle, compiled=desk.compiled)
    asked = calls(bundle, 2)
    for _ in range(2):
        assert torch.equal(compiling.answer(asked)[0], bundle.answer(asked)[0])
    assert desk.wanted == [(form(bundle, 2), 1), (form(bundle, 2), 2)]
    assert desk.compiled.answered == 0


@pytest.mark.parametrize(("rows", "asked"), [(1, 1), (2, 2), (5, 6), (7, 8)])
def test_what_is_ready_answers_from_the_next_call_on_and_is_filled_up(bundle: Bundle, rows: int, asked: int) -> None:
    desk, library = Desk(), Networks(bundle)
    compiling = replace(bundle, compiled=desk.compiled)
    before = compiling.answer(calls(bundle, rows))
    desk.compiled.take(form(bundle, asked), library)
    for one, other in zip(before, compiling.answer(calls(bundle, rows)), strict=True):
        assert relative_error(other, one) <= TOLERANCE
    assert library.rows == [asked]
    assert (desk.compiled.answered, desk.compiled.padding) == (1, asked - rows)


@pytest.mark.parametrize("rows", [3, 9, 33])
def test_a_library_that_padding_would_waste_is_not_asked_for(rows: int) -> None:
    assert Form.of(torch.zeros(rows, 4, *SIZE), torch.zeros(rows, 77, 5)) is None


def test_a_library_that_fails_costs_no_picture_and_is_asked_no_more(bundle: Bundle) -> None:
    desk = Desk()
    compiling = replace(bundle, compiled=desk.compiled)
    desk.compiled.take(form(bundle, 2), Failing(bundle))
    for _ in range(2):
        assert torch.equal(compiling.answer(calls(bundle, 2))[0], bundle.answer(calls(bundle, 2))[0])
    assert desk.failed == ["2: not on this machine"]
    assert desk.wanted == []


def test_pictures_that_tile_are_left_to_the_networks(bundle: Bundle) -> None:
    desk = Desk()
    desk.compiled.take(form(bundle, 2), Failing(bundle))
    replace(bundle, compiled=desk.compiled).answer([replace(call, tiling=True) for call in calls(bundle, 2)])
    assert (desk.failed, desk.wanted) == ([], [])


def test_libraries_count_in_memory_and_leave_with_their_bundle(bundle: Bundle) -> None:
    compiling = replace(bundle, compiled=Desk().compiled)
    assert compiling.compiled is not None
    before, library = compiling.bytes, Networks(bundle)
    compiling.compiled.take(form(bundle, 2), library)
    assert compiling.bytes == before + library.bytes
    left = weakref.ref(library)
    del compiling, library
    gc.collect()
    assert left() is None


class Asked(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the namespaces of the operations that are asked for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.namespaces: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.namespaces.add(func.namespace)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_what_a_compiler_sees_is_torchs_usual_operations_with_the_same_answer(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = _inputs(bundle.unet, form(bundle, 2))
    wanted = bundle.unet.predict(*inputs)
    with Asked() as usual:
        bundle.unet.predict(*inputs)
    monkeypatch.setattr(torch.compiler, "_is_compiling_flag", True)
    with Asked() as seen:
        found = _Predict(bundle.unet)(*inputs)
    assert usual.namespaces == {"aten", "mkldnn"}
    assert seen.namespaces == {"aten"}
    assert relative_error(found, wanted) <= TOLERANCE


def test_large_networks_and_other_number_formats_are_left_as_they_are(bundle: Bundle) -> None:
    cpu = torch.device("cpu")
    assert obstacle(bundle.unet, cpu, torch.float32) is None
    assert "float32" in str(obstacle(bundle.unet, cpu, torch.bfloat16))
    assert "CPU" in str(obstacle(bundle.unet, torch.device("meta"), torch.float32))


def test_other_weights_and_other_sizes_have_other_libraries() -> None:
    sizes = [Form(2, 8, 8, 77), Form(4, 8, 8, 77)]
    names = {file_name(fingerprint, size) for fingerprint in ("a", "b") for size in sizes}
    assert len(names) == 4
    assert file_name("a", sizes[0]) in names
