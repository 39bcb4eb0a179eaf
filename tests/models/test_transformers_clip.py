"""The lean import of transformers' CLIP: its classes are theirs, and give the very same states."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from app.bootstrap import ROOT
from models import transformers_clip
from models.text import build_text_model
from models.transformers_clip import KNOWN, OURS, READ, _HollowModule, clip_classes
from tests.reference.oracle import SD1_TEXT, SD2_TEXT, make_text_encoder


@pytest.mark.parametrize("config", [SD1_TEXT, SD2_TEXT], ids=["sd1", "sd2"])
@torch.no_grad()
def test_its_states_are_those_of_transformers_bit_for_bit(config: dict[str, object]) -> None:
    from transformers.models.clip.modeling_clip import CLIPTextModel

    theirs = make_text_encoder(**config)
    ours = build_text_model(theirs.config.to_dict())
    ours.train(False)
    ours.load_state_dict(theirs.state_dict())
    ids = torch.randint(0, 1000, (2, 77), generator=torch.Generator().manual_seed(3))

    found, wanted = (model(input_ids=ids, output_hidden_states=True) for model in (ours, theirs))

    assert isinstance(theirs, CLIPTextModel)
    assert torch.equal(found.last_hidden_state, wanted.last_hidden_state)
    assert len(found.hidden_states) == len(wanted.hidden_states) == 4
    assert all(map(torch.equal, found.hidden_states, wanted.hidden_states))


def test_its_code_is_that_of_the_installed_package() -> None:
    from transformers.models.clip.modeling_clip import CLIPTextModel

    _, ours = clip_classes()
    assert inspect.getsourcefile(ours) == inspect.getsourcefile(CLIPTextModel)
    assert ours is not CLIPTextModel


def test_each_file_that_is_read_is_there() -> None:
    import transformers

    root = Path(transformers.__file__).parent
    places = [root.joinpath(*name.split(".")) for name in READ]
    assert [place for place in places if not (place.is_dir() or place.with_suffix(".py").is_file())] == []


def test_nothing_heavy_is_run_under_our_name() -> None:
    clip_classes()
    run = {name for name, module in sys.modules.items() if name.startswith(OURS) and type(module) is not _HollowModule}
    assert {name.removeprefix(f"{OURS}.") for name in run} <= READ


def test_the_version_that_is_installed_is_the_one_whose_modules_were_looked_at() -> None:
    import transformers

    constraints = (ROOT / "app/constraints.txt").read_text("utf-8")
    assert re.findall(r"^transformers==(\S+)", constraints, re.MULTILINE) == [KNOWN] == [transformers.__version__]


def test_another_version_is_imported_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.clip.modeling_clip import CLIPTextModel

    monkeypatch.setattr(transformers_clip, "KNOWN", "5.0.0")
    assert clip_classes.__wrapped__()[1] is CLIPTextModel


def test_what_is_hollow_is_false_and_empty_and_decorates_by_leaving_things_as_they_are() -> None:
    hollow: Any = _HollowModule(f"{OURS}.loss").anything

    @hollow
    @hollow("with an option")
    class Kept(int, hollow):  # type: ignore[misc]
        pass

    assert not hollow
    assert list(hollow) == []
    assert Kept.__mro__ == (Kept, int, object)
    assert not isinstance(3, hollow | None)


def test_what_is_hollow_fails_when_it_is_used() -> None:
    hollow: Any = _HollowModule(f"{OURS}.loss").anything
    with pytest.raises(AttributeError, match="compute"):
        hollow.compute()
