"""The plan of the house, kept true: imports, the environment, documentation, the length of files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.bootstrap import ROOT
from app.cli import COMMANDS
from app.cli.flags import flag, variable
from app.settings import Settings

HTTP = ("fastapi", "starlette", "uvicorn", "sse_starlette")
TENSORS = ("torch", "transformers", "diffusers", "open_clip", "safetensors.torch")
ROWS = ("sqlalchemy", "alembic")
MAX_LINES = 300


@dataclass(frozen=True)
class Rule:
    """Files of `paths` never import `never`; of our own packages they import only `ours`."""

    paths: tuple[str, ...]
    never: tuple[str, ...]
    ours: tuple[str, ...]


RULES = {
    "mathematics": Rule(
        ("models/samplers.py", "models/noise.py", "models/calls.py"),
        (*HTTP, *ROWS, "transformers", "diffusers", "open_clip", "safetensors", "PIL", "numpy"),
        ("models.recipe", "models.noise", "models.calls"),
    ),
    "values": Rule(
        (
            *("models/recipe.py", "models/edit.py", "models/checkpoint/facts.py", "models/sampler_names.py"),
            *("models/bpe.py", "models/prompt.py", "models/tokenizer.py"),
        ),
        (*HTTP, *ROWS, *TENSORS, "PIL"),
        ("models",),
    ),
    "models": Rule(("models",), (*HTTP, *ROWS, "jinja2", "diffusers"), ("models",)),
    "engine": Rule(
        ("app/engine",),
        (*ROWS, "fastapi", "jinja2"),
        ("app.engine", "app.collector", "app.lean", "app.places", "app.settings", "app.__version__", "models"),
    ),
    "engine's client": Rule(
        ("app/engine/client.py", "app/engine/supervisor.py"),
        (*ROWS, *TENSORS),
        ("app.engine", "app.settings", "models.recipe", "models.edit"),
    ),
    "metadata": Rule(
        ("app/metadata",),
        (*HTTP, *ROWS, *TENSORS, "jinja2"),
        ("app.metadata", "models.recipe", "models.edit", "models.sampler_names"),
    ),
    "storage": Rule(
        ("app/storage",),
        (*HTTP, *TENSORS, "jinja2"),
        ("app.storage", "app.metadata", "app.settings", "models.recipe", "models.sampler_names", "models.edit"),
    ),
    "services": Rule(
        ("app/services",),
        (*HTTP, *TENSORS, "jinja2"),
        (
            "app.services",
            "app.storage",
            "app.metadata",
            "app.engine.client",
            "app.places",
            "app.settings",
            "models.recipe",
            "models.sampler_names",
            "models.prompt",
            "models.tokenizer",
            "models.edit",
            "models.checkpoint.facts",
            "models.checkpoint.leftovers",
            "models.checkpoint.tokenizers",
            "models.cost",
            "models.room",
        ),
    ),
    "web": Rule(
        ("app/web",),
        (*TENSORS, *ROWS),
        (
            "app.web",
            "app.services",
            "app.collector",
            "app.exposure",
            "app.metadata",
            "app.settings",
            "models.recipe",
            "models.sampler_names",
            "models.edit",
            "models.checkpoint.facts",
        ),
    ),
}
READS_ENVIRONMENT = {"app/settings.py", "app/__main__.py", "app/cli/browser.py", "app/cli/test.py"}
OWN = ("app", "models", "tests")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        path = ROOT / folder
        yield from [path] if path.suffix else sorted(path.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names, wherever in it, in full: `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = [] if node.level == 0 else list(path.relative_to(ROOT).parent.parts)
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def is_allowed(module: str, rule: Rule) -> bool:
    if is_within(module, rule.never):
        return False
    is_parent = any(allowed.startswith(f"{module}.") for allowed in rule.ours)
    return not is_within(module, OWN) or is_within(module, rule.ours) or is_parent


@pytest.mark.parametrize("name", RULES)
def test_it_imports_only_what_the_plan_allows(name: str) -> None:
    rule = RULES[name]
    files = list(python_files(*rule.paths))
    assert files, f"no file matches {rule.paths}: the rule guards nothing"
    wrong = {
        f"{relative(path)}: {module}" for path in files for module in imports(path) if not is_allowed(module, rule)
    }
    assert not wrong


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        relative(path)
        for path in python_files("app", "models")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers <= READS_ENVIRONMENT


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("|")]
    assert any(f"`{flag(name)}`" in row and f"`{variable(name)}`" in row for row in rows)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"python3 -m app {name}" in (ROOT / "README.md").read_text("utf-8")


def test_files_hold_one_thing() -> None:
    kinds = {".py", ".html", ".css", ".js"}
    folders = [ROOT / name for name in ("app", "models", "templates", "static", "tests")]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in kinds and "vendor" not in path.parts
    ]
    lengths = {relative(path): len(path.read_text("utf-8").splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}
