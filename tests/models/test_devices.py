"""Which device and which number format are chosen."""

from __future__ import annotations

import pytest
import torch

from models import devices
from models.devices import DeviceError, autocast, has_bfloat16, pick_device, pick_dtype


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(False, False, "cpu"), (False, True, "mps"), (True, False, "cuda"), (True, True, "cuda")],
)
def test_auto_prefers_cuda_then_metal(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto").type == chosen


def test_it_refuses_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:1", "toaster"):
        with pytest.raises(DeviceError, match=f"'{name}' is not available; .* cpu"):
            pick_device(name)
    assert pick_device("cpu") == torch.device("cpu")


def test_it_refuses_a_number_that_no_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="'cuda:2' is not there; this machine has 2 of that kind"):
        pick_device("cuda:2")


def test_auto_is_float32_but_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_dtype("auto", "cpu") == torch.float32
    assert pick_dtype("auto", "mps") == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert pick_dtype("auto", "cuda") == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert pick_dtype("auto", "cuda") == torch.float16


def test_it_refuses_a_dtype_that_is_unknown_or_not_for_the_device() -> None:
    with pytest.raises(DeviceError, match="'float8' is unknown; choose one of auto, float32"):
        pick_dtype("float8")
    with pytest.raises(DeviceError, match="'float16' is not for a CPU; choose float32"):
        pick_dtype("float16", "cpu")
    assert pick_dtype("bfloat16", "cpu") == torch.bfloat16


def test_a_processor_computes_in_bfloat16_if_onednn_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_there, is_known in ((True, True), (True, False), (False, True)):
        monkeypatch.setattr(torch._C, "_has_mkldnn", is_there)
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda known=is_known: known)
        assert has_bfloat16("cpu") == (is_there and is_known)


@pytest.mark.parametrize("has", [True, False])
def test_a_training_computes_in_bfloat16_only_where_that_is_quick(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: has)
    with autocast("cpu"):
        found = torch.ones(2, 2) @ torch.ones(2, 2)
    assert found.dtype is (torch.bfloat16 if has else torch.float32)
