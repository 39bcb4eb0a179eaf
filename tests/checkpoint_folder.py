"""Writing a checkpoint folder of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

Network = tuple[Mapping[str, Any], Callable[[], nn.Module]]


def write_checkpoint(folder: Path, *, networks: Mapping[str, Network], jsons: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write networks, by the path of their weights, with their `config.json`, and further JSON files. Returns `folder`.

    The weights are those of seed 0, and torch's own random state is left as it was.
    """
    for name, (config, build) in networks.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            weights = {key: value.contiguous() for key, value in build().state_dict().items()}
        file = folder / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, file)
        (file.parent / "config.json").write_text(json.dumps(dict(config)))
    for name, content in jsons.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(dict(content)))
    return folder
