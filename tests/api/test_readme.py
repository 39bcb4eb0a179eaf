"""The examples in the README, run as they stand against a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from app.bootstrap import ROOT
from tests.api.asking import PATIENCE_SECONDS

README = (ROOT / "README.md").read_text("utf-8")
WRITTEN_FOR = "http://127.0.0.1:8000"
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def run(kind: str, text: str, address: str, folder: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c"] if kind == "python" else ["bash", "-euc"]
    ran = subprocess.run(
        [*command, text.replace(WRITTEN_FOR, address)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@NEEDS_CURL
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_a_client_works(live: str, tmp_path: Path, number: int) -> None:
    kind, text = EXAMPLES[number]
    run(kind, text, live, tmp_path)
    written = [path for path in tmp_path.iterdir() if path.suffix in (".png", ".json")]
    assert written
    for path in written:
        if path.suffix == ".png":
            Image.open(path).verify()
        else:
            assert {"images", "data"} & json.loads(path.read_text()).keys()


@NEEDS_CURL
def test_the_commands_for_our_own_interface_work(live: str, tmp_path: Path) -> None:
    section = README[README.index("## API") :]
    first, look, fetch, *edits = re.findall(r"^    (curl .*?[^\\])$", section, re.DOTALL | re.MULTILINE)[:6]
    job = json.loads(run("sh", first, live, tmp_path))["jobs"][0]["id"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := json.loads(run("sh", look.replace("/ID", f"/{job}"), live, tmp_path)))["status"] != "done":
        assert time.monotonic() < deadline
    run("sh", fetch.replace("IMAGE", seen["image"]["id"]), live, tmp_path)
    Image.open(tmp_path / "lighthouse.png").verify()
    for name, mode in (("photo.jpg", "RGB"), ("photo.png", "RGB"), ("mask.png", "L")):
        Image.new(mode, (320, 256), "white").save(tmp_path / name)
    for command, key in zip(edits, ("jobs", "jobs", "id"), strict=True):
        assert json.loads(run("sh", command.split("   #")[0], live, tmp_path))[key]
