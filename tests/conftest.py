"""What tests of several folders share: settings in a folder of their own, and a checkpoint small enough to run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from app.settings import Settings

TINY_WORDS = ("mountains", "lake", "cabin", "sunset", "stars", "a", "the", "by", "at", "with", "on", "left")
TINY_UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
TINY_VAE = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [8, 8, 16, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": 128,
    "scaling_factor": 0.18215,
}
TINY_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


# Tests that start processes and wait for them: one after another in one worker, beside which another computes.
PROCESSES = "processes"
PROCESS_TESTS = (
    *("tests/e2e/", "tests/app/test_engine_server.py"),
    *("tests/app/test_supervisor.py", "tests/app/test_dispatch_kills.py"),
)
# Tests in a browser that is started once for all of them, and is for those of `tests/e2e` as well.
BROWSER = "browser"
BROWSER_TESTS = (
    *("tests/pages/test_canvas_candidates.py", "tests/pages/test_canvas_drawing.py"),
    *("tests/pages/test_canvas_fingers.py", "tests/pages/test_canvas_modules.py"),
    *("tests/pages/test_pages_in_browser.py", "tests/pages/test_drop_and_selection.py"),
    "tests/pages/test_staying_in_place.py",
    "tests/pages/test_edit_pages.py",
)
# Tests that compare with diffusers, which takes as long to import as many of them: one worker does it for all.
ORACLE = "oracle"
ORACLE_TESTS = (
    *("tests/models/checkpoint/", "tests/models/test_train_all.py", "tests/models/test_train.py"),
    "tests/models/test_edit_images.py",
    *("tests/models/test_bundle.py", "tests/models/test_curves.py", "tests/models/test_denoise.py"),
    *("tests/models/test_embedded.py", "tests/models/test_emphasis.py", "tests/models/test_images.py"),
    *("tests/models/test_pixels.py", "tests/models/test_samplers.py", "tests/models/test_schedule.py"),
    *("tests/models/test_text.py", "tests/models/test_tiles.py", "tests/models/test_tiling.py"),
    *("tests/models/test_transformers_clip.py", "tests/models/test_unet.py", "tests/models/test_vae.py"),
)
LONG_TESTS = (  # those that take 4 s or more, by the clock, the longest first
    *("tests/models/test_seams.py", "tests/app/test_shelf.py", "tests/app/test_dispatch.py"),
    *("tests/api/test_openai.py", "tests/app/test_cli_edit.py", "tests/models/test_evaluate.py"),
    *("tests/api/test_events.py", "tests/api/test_readme.py"),
)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of types
    """Keep the tests of a file in one worker, as all that share processes, diffusers or a browser; those first."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid.partition("::")[0])


def pytest_configure(config: pytest.Config) -> None:
    """Look for garbage a hundredth as often: among all that torch and its kin import, that was a tenth of the time.

    Let hypothesis draw the same examples each time, except in the process that only hands out tests to workers.
    """
    gc.set_threshold(50_000, 20, 20)
    if not config.getoption("numprocesses", None):
        from hypothesis import settings

        settings.load_profile("ci")


def pytest_collection_finish() -> None:
    """Spare the collector what is imported by now: nothing of it is garbage, and tests that call for it are many."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it at the end."""
    items.sort(key=lambda item: _turn(item.nodeid.partition("::")[0]))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Close the browser that tests share after the last of those that follow each other."""
    if nextitem is None or not nextitem.nodeid.startswith((*BROWSER_TESTS, "tests/e2e/")):
        chromium = sys.modules.get("tests.chromium")
        if chromium is not None:
            chromium.shared.close()


def _turn(path: str) -> int:
    starts: tuple[str | tuple[str, ...], ...] = (PROCESS_TESTS, ORACLE_TESTS, BROWSER_TESTS, *LONG_TESTS)
    return next((place for place, start in enumerate(starts) if path.startswith(start)), len(starts))


def _group(path: str) -> str:
    groups = {PROCESSES: PROCESS_TESTS, ORACLE: ORACLE_TESTS, BROWSER: BROWSER_TESTS}
    return next((name for name, starts in groups.items() if path.startswith(starts)), path)


@pytest.fixture(scope="session", autouse=True)
def compile_statements_once() -> Iterator[None]:
    """Let all databases share what SQLAlchemy makes of a statement: anew in each test it took a quarter of its time."""
    database = sys.modules.get("app.storage.database")  # imported by the tests that were collected, if any wants it
    with pytest.MonkeyPatch.context() as patch:
        if database is not None:
            patch.setattr(database, "create_engine", _alike(database.create_engine))
        yield


def _alike(create: Callable[..., Any]) -> Callable[..., Any]:
    first: list[Any] = []

    def create_alike(*arguments: Any, **options: Any) -> Any:
        engine = create(*arguments, **options)
        first[:] = first or [engine]
        engine.dialect, engine._compiled_cache = first[0].dialect, first[0]._compiled_cache
        return engine

    return create_alike


@pytest.fixture
def settings(tmp_path: Path, tiny_checkpoint: Path) -> Settings:
    """Settings of a server of its own, with the tiny checkpoint."""
    return Settings(data=tmp_path / "data", checkpoint=str(tiny_checkpoint), port=0)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint folder with random weights, 128 pixels wide: milliseconds a step, pictures of noise."""
    from models.config import UNetConfig, VAEConfig
    from models.text import BOS, EOS, Tokenizer, build_text_model
    from models.unet import UNet
    from models.vae import VAE
    from tests.checkpoint_folder import write_checkpoint

    tokens = {token for row in Tokenizer()(TINY_WORDS) for token in row}
    ids = [*sorted(tokens - {BOS, EOS}), BOS, EOS]
    vocabulary = {"ids": ids, "bos": len(ids) - 2, "eos": len(ids) - 1, "pad": len(ids) - 1}
    text = _text_config(len(ids))
    card = {
        "title": "Random weights for tests",
        "defaults": {"steps": 6, "guidance_scale": 3.0},
        "examples": ["mountains by the lake at sunset"],
        "words": {"things": list(TINY_WORDS[:5])},
        "grammar_words": list(TINY_WORDS[5:]),
    }
    return write_checkpoint(
        tmp_path_factory.mktemp("checkpoints") / "tiny",
        networks={
            "unet/diffusion_pytorch_model": (TINY_UNET, lambda: UNet(UNetConfig.from_dict(TINY_UNET))),
            "vae/diffusion_pytorch_model": (TINY_VAE, lambda: VAE(VAEConfig.from_dict(TINY_VAE))),
            "text_encoder/model": (text, lambda: build_text_model(text)),
        },
        jsons={
            "model_index.json": {"_class_name": "StableDiffusionPipeline"},
            "scheduler/scheduler_config.json": TINY_SCHEDULER,
            "tokenizer/vocab_ids.json": vocabulary,
            "mezzotint.json": card,
        },
    )


def _text_config(vocab_size: int) -> dict[str, Any]:
    return {
        "model_type": "clip_text_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "vocab_size": vocab_size,
        "bos_token_id": vocab_size - 2,
        "eos_token_id": vocab_size - 1,
        "pad_token_id": vocab_size - 1,
    }
