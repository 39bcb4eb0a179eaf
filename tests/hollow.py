"""Checkpoint folders with weights of nothing but zeros. Imports no torch, as the web process does not."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from models.checkpoint import wanted
from models.checkpoint.facts import WEIGHTS, layout_of

FORMAT = "F8_E4M3"  # a byte a weight


def write_hollow(folder: Path) -> Path:
    """Write weights of nothing but zeros to a folder of JSON files: enough for who reads only headers."""
    files = layout_of(folder)
    networks = (wanted.unet(files.unet), wanted.vae(files.vae), wanted.clip(files.text_encoder))
    for name, tensors in zip(WEIGHTS, networks, strict=True):
        entries, end = {}, 0
        for key, shape in tensors:
            begin, end = end, end + math.prod(shape)
            entries[key] = {"dtype": FORMAT, "shape": shape, "data_offsets": [begin, end]}
        header = json.dumps(entries).encode()
        with (folder / name).open("wb") as stream:
            stream.write(struct.pack("<Q", len(header)) + header)
            stream.truncate(8 + len(header) + end)
    return folder
