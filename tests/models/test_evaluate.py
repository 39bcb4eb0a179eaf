"""The figures of the model card: what is counted as right, who judges, and that the command says it."""

from __future__ import annotations

import json
import operator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.train import evaluate, judge, texture
from models.train.evaluate import held_out, is_doubled, is_named, report, score
from models.train.judge import SIZE, Judge, labels_of, parts_of, picture_with_truth, renders
from models.train.pictures import HELD_OUT
from models.train.probe import IGNORED
from models.train.processes import in_processes
from models.train.scene import FIRST_WORLD, SECOND_WORLD, Scene, sample_scene
from models.train.speech import caption

SCENE = Scene("sunset", "hills", "lake", "cabin", "left", "sun", "right", True, False, False)


class Oracle:
    """Reads from any picture what it was told; only what `wrong` names otherwise."""

    def __init__(self, scenes: list[Scene], **wrong: Any) -> None:
        self.parts = parts_of(FIRST_WORLD)
        self.readings = [asdict(scene) | {"thing_twice": False, "luminary_twice": False} | wrong for scene in scenes]

    def read(self, pictures: np.ndarray) -> list[dict[str, Any]]:
        assert len(pictures) == len(self.readings)
        return self.readings


def scored(scenes: list[Scene], **wrong: Any) -> evaluate.Score:
    blank = [np.zeros((8, 8, 3), np.uint8)] * len(scenes)
    return score(cast(Judge, Oracle(scenes, **wrong)), blank, scenes)


def test_a_picture_that_shows_its_scene_is_right_in_all() -> None:
    result = scored(held_out(20, FIRST_WORLD))

    assert set(result.parts.values()) == {1.0}
    assert (result.all, result.doubled) == (1.0, 0.0)


def test_one_wrong_part_spoils_the_whole() -> None:
    result = scored([SCENE], thing_at="right")

    assert result.parts["thing_at"] == 0
    assert result.parts["thing"] == 1
    assert result.all == 0


def test_what_was_not_asked_for_is_not_counted() -> None:
    assert not is_named(SCENE, "stars")
    assert scored([SCENE], stars=True).all == 1
    assert "stars" not in scored([SCENE]).parts
    assert scored([SCENE], stars=True).unasked == {"stars": 1, "aurora": 0}


def test_two_of_what_was_asked_for_once_is_doubled() -> None:
    assert is_doubled({"thing_twice": True, "luminary_twice": False}, SCENE)
    assert scored([SCENE], luminary_twice=True).doubled == 1


def test_a_held_out_scene_is_described_whole() -> None:
    for number, scene in enumerate(held_out(40, FIRST_WORLD)):
        said = caption(scene, Random(number), omissions=0)
        assert scene.thing is None or any(f"in the {word}" in said or f"on the {word}" in said for word in PLACES)
    assert held_out(3, FIRST_WORLD)[0] == sample_scene(Random(HELD_OUT + 20_000))


PLACES = ("left", "right", "middle", "center")


def test_the_judge_knows_the_truth_of_its_pictures() -> None:
    doubled = 0
    for number in range(60):
        picture, labels = picture_with_truth(number, FIRST_WORLD)
        scene = sample_scene(Random(number), FIRST_WORLD)
        plain = labels_of(scene, FIRST_WORLD)
        assert picture.shape == (SIZE, SIZE, 3)
        for name in ("thing", "luminary"):
            if labels[f"{name}_twice"] == 1:
                doubled += 1
                assert labels[f"{name}_at"] == IGNORED
                assert plain[f"{name}_twice"] == 0
    assert doubled > 3


def test_the_judge_learns_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "WIDTHS", (8, 8, 8, 8))
    file = tmp_path / "judge.safetensors"

    trained = judge.train(file, FIRST_WORLD, pictures=16, passes=1, workers=1)
    again = judge.train(file, FIRST_WORLD, pictures=16, passes=1, workers=1)

    pool, _ = renders(FIRST_WORLD, judge.FIRST_TEST, 4, 1)
    assert trained.read(pool) == again.read(pool)
    assert all(read[name] in values for read in again.read(pool) for name, values in parts_of(FIRST_WORLD).items())


def test_the_judge_of_the_second_world_reads_styles_and_counts() -> None:
    assert {"style", "palette", "count", "weather", "birds"} <= parts_of(SECOND_WORLD).keys()
    assert not {"count", "weather", "birds"} & parts_of(FIRST_WORLD).keys()


def test_processes_give_results_in_their_order_and_end_early() -> None:
    results = in_processes(operator.neg, range(40), 2, "numbers")

    assert [next(results) for _ in range(3)] == [0, -1, -2]
    results.close()
    assert list(in_processes(operator.neg, range(3), 1, "numbers")) == [0, -1, -2]


def test_texture_tells_blur_from_another_picture_of_the_kind() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 64, 3), dtype=np.uint8)
    some, others = noise
    blurred = (some[:, ::2, ::2].repeat(2, 1).repeat(2, 2) // 2 + 64).astype(np.uint8)

    same, alike, far = (texture.distance(one, some) for one in (some, others, blurred))

    assert same == [0, 0, 0]
    assert max(alike) < 100
    assert far[0] > 3 * max(alike)
    with pytest.raises(ValueError, match="one shape"):
        texture.distance(some, some[:, :32])


def hasty(folder: Path) -> Path:
    """The embedded checkpoint, which takes three steps where nothing else is said."""
    folder.mkdir()
    for part in evaluate.EMBEDDED.iterdir():
        (folder / part.name).symlink_to(part)
    card = json.loads((evaluate.EMBEDDED / "mezzotint.json").read_text())
    (folder / "mezzotint.json").unlink()
    (folder / "mezzotint.json").write_text(json.dumps(card | {"defaults": card["defaults"] | {"steps": 3}}))
    return folder


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--prompts", "0"], "--prompts: 2 are the least"),
        (["--checkpoint", "nowhere"], "--checkpoint: nowhere is not there"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluate.main(["--folder", str(tmp_path / "figures"), *wrong])

    assert said in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()


def test_the_command_writes_figures_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "TESTED", 10)
    monkeypatch.setattr(evaluate, "TIMED", 1)
    monkeypatch.setattr(evaluate, "PSNR_PICTURES", 2)
    monkeypatch.setattr(evaluate, "STEPS", (2,))
    monkeypatch.setattr(evaluate, "GUIDANCE", (1.0,))
    monkeypatch.setattr(evaluate, "SIZES", ((192, 128),))
    torch.manual_seed(0)
    save_file(Judge(FIRST_WORLD).state_dict(), tmp_path / "judge-1.safetensors")
    options = ["--folder", str(tmp_path), "--prompts", "2", "--workers", "1"]

    assert evaluate.main([*options, "--checkpoint", str(hasty(tmp_path / "hasty"))]) == 0

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["psnr"] > 25
    assert 0 <= figures["defaults"]["all"] <= 1
    assert [(row["sampler"], row["steps"]) for row in figures["steps"]] == [(name, 2) for name in evaluate.SAMPLERS]
    assert all(share > 0 for found in figures["texture"].values() for share in found)
    assert [row["negative prompt"] for row in figures["negatives"]] == ["clouds", "stars", "northern lights"]
    assert figures["best"]["any one"] <= figures["best"]["there"]
    sheets = {"held-out", "steps", "guidance", "guided", "sizes"}
    assert {path.stem for path in tmp_path.glob("*.png")} == sheets
    assert capsys.readouterr().out.strip() == report(figures)
