"""The commands: what they print, what they write, and how they say that a flag is wrong."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from app import __version__, cli
from app.bootstrap import ROOT
from app.cli import bench, browser, checkpoints, flags, generate, serve
from app.cli.bench import queue
from app.metadata.read import read_recipe
from app.settings import Settings
from models.edit import Hires
from models.recipe import Sampler, Scheduler

PROMPT = "mountains by the lake"


def refusal(main: object, argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that refuses its flags. Returns what it says, in one line."""
    assert callable(main)
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in cli.COMMANDS)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["paint"]) == 2
    assert "no command 'paint'" in capsys.readouterr().err


def test_flags_alone_mean_serve(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--port" in refusal(cli.main, ["--port", "many"], capsys)


def test_the_version_is_that_of_the_package() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_a_flag_of_serve(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.main(["--help"])
    said = capsys.readouterr().out
    assert flags.flag(name) in said
    assert flags.variable(name) in said


def test_a_wrong_setting_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEZZOTINT_MAX_PENDING", "0")
    assert "--max-pending (MEZZOTINT_MAX_PENDING): Input should be" in refusal(serve.main, [], capsys)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(flags.variable(name), "")
    assert getattr(Settings(), name) == Settings.model_fields[name].get_default(call_default_factory=True)


def test_the_data_folder_may_be_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Settings(data=Path("~/pictures")).data == tmp_path / "pictures"
    monkeypatch.setenv("MEZZOTINT_DATA", "~/paintings")
    assert Settings().data == tmp_path / "paintings"


def test_nobodys_home_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--checkpoint=~no-such-user/x", "--data=~no-such-user/data", "--checkpoints=~no-such-user/y"]
    assert checkpoints.main(["list", *wrong]) == 1
    assert "~no-such-user/y is not there" in capsys.readouterr().err


def test_serve_refuses_an_address_that_others_reach(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--public" in refusal(serve.main, ["--host", "0.0.0.0"], capsys)


def test_serve_names_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refusal(serve.main, ["--port", str(port), "--data", str(tmp_path)], capsys)
    assert f"--port {port} on 127.0.0.1" in said
    assert not list(tmp_path.iterdir()), "nothing was begun"


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")])
def test_the_announced_address_can_be_opened(host: str, url: str) -> None:
    with socket.create_server((host, 0)) as listener:
        assert serve.address(listener) == f"{url}{listener.getsockname()[1]}"


def test_generate_writes_pictures_that_carry_their_recipes(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--seed=7", "--steps=2", "--count=2", "--sampler=euler", f"--output={tmp_path / 'lake.png'}"]
    assert generate.main([PROMPT, *flags, f"--checkpoint={tiny_checkpoint}", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'lake-1.png'}  seed 7\n{tmp_path / 'lake-2.png'}  seed 8\n"
    assert said.err == ""
    recipes = [read_recipe((tmp_path / f"lake-{number}.png").read_bytes()) for number in (1, 2)]
    assert [recipe.seed for recipe in recipes if recipe] == [7, 8]
    assert all(recipe and recipe.sampler is Sampler.EULER for recipe in recipes)
    with Image.open(tmp_path / "lake-1.png") as image:
        assert image.size == (128, 128), "the size of the checkpoint"


def test_generate_takes_the_names_and_settings_of_other_programs(tmp_path: Path, tiny_checkpoint: Path) -> None:
    flags = ["--steps=2", "--sampler=DPM++ 2M Karras", "--subseed=9", "--subseed-strength=0.5", "--tiling", "--seed=7"]
    hires = ["--hires-scale=1.5", "--hires-upscaler=lanczos", "--hires-strength=0.5", "--hires-steps=2"]
    target = tmp_path / "lake.png"
    assert generate.main([PROMPT, *flags, *hires, f"--checkpoint={tiny_checkpoint}", f"--output={target}"]) == 0
    recipe = read_recipe(target.read_bytes())
    assert recipe
    assert (recipe.sampler, recipe.scheduler, recipe.tiling) == (Sampler.DPMPP_2M, Scheduler.KARRAS, True)
    assert (recipe.seed, recipe.subseed, recipe.subseed_strength) == (7, 9, 0.5)
    assert recipe.hires == Hires(scale=1.5, upscaler="lanczos", strength=0.5, steps=2)
    with Image.open(target) as image:
        assert image.size == (192, 192)


def test_generate_names_its_file_and_keeps_those_that_are_there(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in "ab":
        assert generate.main(["A lake!", "--steps=1", "--seed=3", f"--checkpoint={tiny_checkpoint}"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a-lake-3-2.png", "a-lake-3.png"]
    assert "seed 3" in capsys.readouterr().err, "the progress bar"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--steps", "0"], "--steps: Input should be greater than or equal to 1"),
        (["--steps", "nan"], "--steps: Input should be a valid integer"),
        (["--guidance-scale", "inf"], "--guidance-scale:"),
        (["--clip-skip", "2"], "--clip-skip: At most 1"),
        (["--hires-strength", "0.5"], "--hires-strength: This needs hires_scale"),
        (["--seed", "lucky"], "--seed: Input should be a valid integer"),
        (["--width", "100"], "--width: Input should be a multiple of 8"),
        (["--sampler", "magic"], "--sampler: Must be ddim, ddpm, euler"),
        (["--count", "9"], "--count:"),
        (["--output", "no/such/folder/lake.png"], "--output: there is no folder no/such/folder"),
    ],
)
def test_generate_names_a_wrong_flag(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], said: str
) -> None:
    assert said in refusal(generate.main, [PROMPT, *wrong, f"--checkpoint={tiny_checkpoint}"], capsys)


def test_generate_names_a_checkpoint_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(generate.main, [PROMPT, f"--checkpoint={tmp_path}"], capsys)
    assert "--checkpoint:" in said
    assert "model_index.json is missing" in said


def test_generate_says_which_words_are_unknown(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--steps=1", f"--checkpoint={tiny_checkpoint}", f"--output={tmp_path / 'zebra.png'}", "--quiet"]
    assert generate.main(["mountains with zebra", *flags]) == 0
    assert "does not know: zebra" in capsys.readouterr().err


def test_checkpoints_describes_one(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.main(["inspect", str(tiny_checkpoint)]) == 0
    assert "128 x 128 pixels" in capsys.readouterr().out
    assert checkpoints.main(["inspect", str(tiny_checkpoint), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["latent_channels"] == 4


def test_checkpoints_says_what_is_wrong_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.main(["inspect", str(tmp_path)]) == 1
    assert "model_index.json is missing" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["list"]])
def test_checkpoints_lists_those_that_serve_offers(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    flags = [f"--checkpoint={tiny_checkpoint}", f"--data={tmp_path}", "--json"]
    assert checkpoints.main([*argv, *flags]) == 0
    names = [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(names) == ["embedded", "tiny"]


def test_checkpoints_says_why_it_converts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.main(["convert", str(tmp_path / "lost.ckpt")]) == 1
    assert "lost.ckpt cannot be read" in capsys.readouterr().err


def test_checkpoints_converts_what_is_named_as_pages_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def convert(file: Path, **_: bool) -> Path:
        asked.append(file)
        return file

    monkeypatch.setattr(checkpoints, "convert", convert)
    place = tmp_path / "models/deep/half"
    (place / "unet").mkdir(parents=True)
    (place / "vae").mkdir()
    for file in (place.parent / "old.ckpt", place / "unet/model.bin"):
        file.write_bytes(b"PK\x03\x04")
    flags = [f"--checkpoints={tmp_path / 'models'}", f"--data={tmp_path}"]
    assert checkpoints.main(["convert", "old.ckpt", "half/unet/model.bin", "elsewhere.ckpt", *flags]) == 0
    assert asked == [place.parent / "old.ckpt", place / "unet/model.bin", Path("elsewhere.ckpt")]


def test_a_quick_round_of_all_leaves_out_what_is_long_and_knows_no_quicker_way() -> None:
    quick = bench._chosen(["all"], quick=True)
    assert {"start", "serve", "queue", "gallery"} <= set(quick)
    assert "parity" not in quick
    assert set(bench._chosen(["all"], quick=False)) == set(bench.PARTS) - {"gpu"}


def test_bench_refuses_an_unknown_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no part 'speed'" in refusal(bench.main, ["speed"], capsys)


def test_bench_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, few in (("JOBS", 5), ("TURNS", 2)):
        monkeypatch.setattr(queue, name, few)
    monkeypatch.setattr(queue, "_pile_up", lambda settings, count: ([1.0] * count, [2.0]))  # noqa: ARG005, needs a server
    files = tmp_path / "figures.json", tmp_path / "figures.svg"
    assert bench.main(["queue", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    report = json.loads(files[0].read_text())
    assert all(figure["value"] > 0 for figure in report["queue"])
    drawn = {element.text for element in ElementTree.parse(files[1]).iter() if element.text}
    assert {figure["name"] for figure in report["queue"]} <= drawn
    assert "jobs claimed" in capsys.readouterr().out


def test_the_browser_is_the_one_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "my-chromium"
    named.touch(mode=0o755)
    monkeypatch.setenv(browser.VARIABLE, str(named))
    assert browser.find_browser() == named
    monkeypatch.setenv(browser.VARIABLE, str(tmp_path / "none"))
    assert browser.find_browser() is None
