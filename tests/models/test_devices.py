"""Which device and which number format are chosen."""

from __future__ import annotations

import pytest
import torch

from models.devices import DeviceError, pick_device, pick_dtype


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
