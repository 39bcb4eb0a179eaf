"""`generate` with a picture to begin from."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from app.cli import generate
from app.metadata.read import read_recipe
from app.services import pictures
from app.services.edit_request import SETTINGS
from app.storage.files import ImageFiles
from models.edit import Frame, Infill
from models.recipe import Recipe
from tests.api.picturing import encoded, mask
from tests.app.test_cli import refusal

SIZE = (128, 128)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.linear_gradient("L").resize(SIZE).convert("RGB")))
    (tmp_path / "m.png").write_bytes(mask(SIZE, (0, 0, 32, 32)))
    (tmp_path / "small.png").write_bytes(mask((64, 64), (0, 0, 16, 16)))
    return path


def edited(picture: Path, checkpoint: Path, *flags: str) -> tuple[Recipe, Image.Image]:
    out = picture.with_name("out.png")
    whole = ["a lake", f"--image={picture}", "--steps=2", "--seed=1", f"--checkpoint={checkpoint}", f"--output={out}"]
    assert generate.main([*whole, "--quiet", *flags]) == 0
    recipe = read_recipe(out.read_bytes())
    assert recipe is not None
    with Image.open(out) as image:
        return recipe, image.convert("RGB")


def test_what_is_not_masked_stays_as_it_was(picture: Path, tiny_checkpoint: Path) -> None:
    flags = (f"--mask={picture.with_name('m.png')}", "--strength=1", "--grow=8", "--mask-blur=0", "--infill=mirror")
    recipe, image = edited(picture, tiny_checkpoint, *flags)
    assert recipe.edit is not None
    assert (recipe.edit.strength, recipe.edit.grow, recipe.edit.infill) == (1.0, 8, Infill.MIRROR)
    with Image.open(picture) as before:
        changed = ImageChops.difference(before, image).getbbox()
    assert changed is not None
    assert changed[2] <= 40
    assert changed[3] <= 40


def test_a_picture_is_extended_to_its_sides(picture: Path, tiny_checkpoint: Path) -> None:
    recipe, image = edited(picture, tiny_checkpoint, "--outpaint=left=64,top=32")
    assert recipe.edit is not None
    assert recipe.edit.frame == Frame(x=-64, y=-32, width=192, height=160)
    assert image.size == (192, 160)
    assert b"compositeWithTrainedAlgorithmicMedia" in picture.with_name("out.png").read_bytes()


def test_a_mask_is_scaled_if_asked(picture: Path, tiny_checkpoint: Path) -> None:
    recipe, _ = edited(picture, tiny_checkpoint, f"--mask={picture.with_name('small.png')}", "--scale-mask")
    assert recipe.edit is not None
    assert recipe.edit.mask is not None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--image={folder}/none.png"], "none.png: No such file"),
        (["--image={folder}"], "Is a directory"),
        (["--image=README.md"], "--image: This is no PNG, JPEG or WebP file."),
        (["--image={folder}/a.png", "--mask={folder}/small.png"], "--mask: The mask is 64 x 64, the picture 128 x 128"),
        (["--image={folder}/a.png", "--frame=128,0,64,64"], "--frame: The frame (64 x 64 at 128, 0) does not touch"),
        (["--image={folder}/a.png", "--frame=1,2"], "--frame: Value error, must be four numbers"),
        (["--image={folder}/a.png", "--outpaint=left=60"], "--outpaint: The picture cannot be extended so"),
        (["--image={folder}/a.png", "--outpaint=up=64"], "--outpaint: 'up=64' is not like left=64,top=32"),
        (["--image={folder}/a.png", "--outpaint=left=64", "--frame=0,0,64,64"], "--outpaint: This and --frame"),
        (["--image={folder}/a.png", "--strength=2"], "--strength: Input should be less than or equal to 1"),
        (["--image={folder}/a.png", "--infill=magic"], "--infill: Input should be 'blur'"),
        (["--outpaint=left=64", "--grow=3"], "--outpaint: This goes with --image, which is missing.; --grow:"),
    ],
)
def test_a_wrong_flag_is_named(
    picture: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    filled = [flag.format(folder=picture.parent) for flag in flags]
    assert said in refusal(generate.main, ["a lake", *filled, f"--checkpoint={tiny_checkpoint}"], capsys)


def test_all_that_the_api_takes_of_an_edit_has_a_flag(picture: Path, tiny_checkpoint: Path) -> None:
    flags = ("--only-masked", "--work-width=64", "--work-height=72", "--overlap=9", "--no-color-match")
    recipe, _ = edited(picture, tiny_checkpoint, f"--mask={picture.with_name('m.png')}", *flags)
    edit = recipe.edit
    assert edit is not None
    assert (edit.work_width, edit.work_height, edit.overlap, edit.color_match) == (64, 72, 9, False)
    names = {name.replace("_", "-") for name in SETTINGS}
    said = generate._parser().format_help()
    assert [name for name in names if f"--{name}" not in said and f"--no-{name}" not in said] == []


def test_a_picture_that_was_edited_is_made_again_from_its_file_alone(
    picture: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = picture.with_name("m.png")
    edited(picture, tiny_checkpoint, f"--mask={mask}", "--strength=0.9")
    out, again, data = tmp_path / "out.png", tmp_path / "again.png", tmp_path / "data"
    common = [f"--again={out}", f"--output={again}", f"--checkpoint={tiny_checkpoint}", f"--data={data}", "--quiet"]
    assert "sha256:" in refusal(generate.main, common, capsys)  # of a picture that is not in the data folder
    assert "This is not the mask" in refusal(
        generate.main, [*common, f"--image={picture}", f"--mask={picture}"], capsys
    )
    assert generate.main([*common, f"--image={picture}", f"--mask={mask}"]) == 0
    assert again.read_bytes() == out.read_bytes()

    files = ImageFiles(data / "images")  # where a server keeps what its edits began from
    files.put(pictures.image(picture.read_bytes(), "image").png)
    files.put(pictures.mask(mask.read_bytes(), "mask", *SIZE).png)
    again.unlink()
    assert generate.main(common) == 0
    assert again.read_bytes() == out.read_bytes()


def test_what_is_made_again_is_not_asked_for_otherwise(
    picture: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(picture, tiny_checkpoint)
    out = picture.with_name("out.png")
    for flags, said in (
        ([f"--again={out}", "--steps=3"], "--steps: The recipe of --again says this already"),
        ([f"--again={picture}"], "holds no recipe"),
        ([], "PROMPT"),
    ):
        assert said in refusal(generate.main, flags, capsys)
