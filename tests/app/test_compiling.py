"""Who compiles: when, how often, and what is told where it fails. The compiler itself is asked by nobody here."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from app.engine import compiling
from app.engine.child import engine_command
from app.engine.compiling import OFTEN, Compiler, Order
from app.engine.environment import environment
from app.engine.server import _parser
from app.engine.task import Finished
from app.settings import Settings
from app.web import templating
from app.web.pages import patterns
from models import compiled as libraries
from models.bundle import Bundle
from models.compiled import Compiled
from tests.app.fake_bundle import FakeBundle, Heard, engine_of, finish

PATIENCE_SECONDS = 30.0


class Small:
    """As much of a bundle as who compiles looks at."""

    name, fingerprint = "small", "f" * 64
    unet = torch.nn.Linear(2, 2)
    device, dtype, exact_rows = torch.device("cpu"), torch.float32, 0


class Library:
    """What stands for an opened library: it answers with what it is given."""

    bytes = 10

    def __init__(self, path: Path) -> None:
        if path.read_bytes() == b"broken":
            raise RuntimeError("invalid ELF header")

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0]


class Shop(Compiler):
    """A compiler that writes `made` instead of asking inductor, and can be waited for."""

    def __init__(self, folder: Path, made: bytes = b"library") -> None:
        self.built: list[int] = []
        self._made, self._done = made, threading.Semaphore(0)
        super().__init__(folder)

    def _serve(self, order: Order) -> None:
        super()._serve(order)
        self._done.release()

    def _build(self, order: Order, file: Path) -> None:
        self.built.append(order.form.rows)
        file.write_bytes(self._made)

    def wait(self, orders: int = 1) -> None:
        for _ in range(orders):
            assert self._done.acquire(timeout=PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def _no_real_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "Opened", Library)


def asker(shop: Compiler, checkpoint: str = "nowhere") -> Compiled:
    found = shop.compiled(cast(Bundle, Small()), Path(checkpoint))
    assert found is not None
    return found


def ask(compiled: Compiled, times: int = 1, rows: int = 2) -> Tensor | None:
    inputs = torch.ones(rows, 4, 8, 8), torch.ones(rows, 3), torch.ones(rows, 5, 6)
    return [compiled.ask(*inputs) for _ in range(times)][-1]


def test_what_is_often_asked_is_compiled_once_and_then_answers(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    compiled = asker(shop)
    assert ask(compiled, OFTEN - 1) is None
    shop.wait()
    assert (shop.built, shop.status()["state"]) == ([], "eager")
    ask(compiled)
    shop.wait()
    assert ask(compiled) is not None
    assert (shop.built, shop.status()) == ([2], {"state": "ready", "reason": None, "opened": 1})


def test_a_library_of_an_earlier_start_is_there_at_the_first_call(tmp_path: Path) -> None:
    first, later = Shop(tmp_path), Shop(tmp_path)
    one, other = asker(first), asker(later)
    ask(one, OFTEN)
    first.wait(2)
    ask(other)
    later.wait()
    assert ask(other) is not None
    assert (first.built, later.built) == ([2], [])


def test_a_broken_library_is_removed_and_nothing_but_its_reason_is_told(tmp_path: Path) -> None:
    shop = Shop(tmp_path, b"broken")
    compiled = asker(shop)
    ask(compiled, OFTEN)
    shop.wait(2)
    assert ask(compiled) is None
    assert shop.status() == {"state": "failed", "reason": "invalid ELF header", "opened": 0}
    assert list(tmp_path.iterdir()) == []


def test_after_a_failure_nothing_more_is_compiled(tmp_path: Path) -> None:
    shop = Shop(tmp_path, b"broken")
    compiled = asker(shop)
    ask(compiled, OFTEN)
    ask(compiled, OFTEN, rows=4)
    shop.wait(4)
    assert shop.built == [2]


def test_nothing_is_made_for_a_bundle_that_has_left(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    compiled = asker(shop)
    held = threading.Event()
    shop._orders.put(cast(Order, type("Wait", (), {"of": lambda _: held.wait(PATIENCE_SECONDS) and None})()))
    ask(compiled, OFTEN)
    del compiled
    held.set()
    shop.wait(3)
    assert shop.built == []


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "COMPILERS", ("no-such-compiler",))
    shop = Shop(tmp_path)
    monkeypatch.setattr(Shop, "_build", Compiler._build)
    compiled = asker(shop)
    assert ask(compiled, OFTEN) is None
    shop.wait(2)
    assert shop.status()["reason"] == "there is no C++ compiler (no-such-compiler)"


def test_the_last_words_of_the_compiling_process_are_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "COMPILERS", ("sh",))
    shop = Shop(tmp_path)
    monkeypatch.setattr(Shop, "_build", Compiler._build)
    compiled = asker(shop, "--unheard-of")  # is refused at once, before torch is imported
    assert ask(compiled, OFTEN) is None
    shop.wait(2)
    assert shop.status()["reason"].endswith("argument --checkpoint: expected one argument")
    assert list(tmp_path.iterdir()) == []


def test_where_bits_are_promised_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Small, "exact_rows", 4)
    assert Shop(tmp_path).compiled(cast(Bundle, Small()), Path("nowhere")) is None


class Counted:
    """What a bundle counts of compiled calls: it answers all from `after` calls on."""

    def __init__(self, after: int) -> None:
        self.answered, self.padding, self._after, self._calls = 0, 0, after, 0

    def note(self, _calls: object) -> None:
        self._calls += 1
        self.answered += self._calls > self._after
        self.padding = 3 * self.answered


@pytest.mark.parametrize(("after", "told"), [(0, "yes"), (3, "partly"), (100, None)])
def test_a_picture_says_whether_compiled_networks_made_it(after: int, told: str | None) -> None:
    counted = Counted(after + 2)  # two prompts are encoded first
    bundle = FakeBundle(before=counted.note, compiled=counted)
    heard = Heard()
    engine = engine_of(bundle)
    finish(engine, heard)
    assert isinstance(heard.last, Finished)
    assert environment(cast(Bundle, bundle), heard.last.compiled).get("compiled") == told
    assert engine.counters.compiled_total == max(0, 4 - after)
    assert engine.counters.padding_total == 3 * engine.counters.compiled_total


@pytest.mark.parametrize(("compiled", "said"), [({}, "cpu, float32<"), ({"compiled": "partly"}, "compiled in part<")])
def test_the_page_of_a_picture_says_it_too(compiled: dict[str, str], said: str) -> None:
    template = templating.environment().get_template("_recipe.html")
    about = {"device": "cpu", "dtype": "float32", **compiled}
    assert said in template.render(recipe=patterns.RECIPE, environment=about, title="small")


@pytest.mark.parametrize("flags", [[], ["--libraries", "somewhere"]])
def test_the_engine_compiles_only_where_it_is_told_a_folder(flags: list[str]) -> None:
    assert _parser().parse_args(["--socket", "s", *flags]).libraries == (Path(flags[1]) if flags else None)


def test_the_flag_of_the_server_reaches_the_engine() -> None:
    settings = Settings(data=Path("/nowhere"))
    assert "--libraries" not in engine_command(settings, Path("s"))
    command = engine_command(settings.model_copy(update={"compile": True}), Path("s"))
    assert command[command.index("--libraries") + 1] == "/nowhere/compiled"
