"""What a safetensors file is that is no checkpoint of Stable Diffusion 1 or 2, told by the names of its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

WHOLE = "model.diffusion_model."
TEXT = "cond_stage_model."
VAE = "first_stage_model."

# The first pattern that fits the name of any tensor says what the file is; what to do with it follows.
OTHERS: tuple[tuple[str, str, str], ...] = (
    (r"lora_(unet|te)\w*\.|.*\.lora_(A|B|up|down)\.", "a LoRA", "give the checkpoint that it was made for"),
    (r"conditioner\.", "a checkpoint of Stable Diffusion XL", "use one of Stable Diffusion 1 or 2"),
    (r"(model\.diffusion_model\.)?joint_blocks\.", "a checkpoint of Stable Diffusion 3", "use one of 1 or 2"),
    (r"(model\.diffusion_model\.)?double_blocks\.", "a checkpoint of Flux", "use one of Stable Diffusion 1 or 2"),
    (r"control_model\.|(controlnet_)?input_hint_block\.|controlnet_", "a ControlNet", "give a whole checkpoint"),
    (r"emb_params$|string_to_param", "a textual inversion", "give a whole checkpoint"),
)
PARTS: tuple[tuple[str, str], ...] = (
    (r"(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid|mid_block)\.", "a VAE alone"),
    (r"(model\.diffusion_model\.)?(input_blocks|down_blocks)\.", "a U-Net alone"),
    (r"(cond_stage_model\.\w+\.)?(text_model\.)?(encoder\.layers|transformer\.resblocks)\.", "a text encoder alone"),
)


def problem(file: Path, keys: Iterable[str]) -> str | None:
    """Say in one sentence why a file is no checkpoint of ours and what to do, or return None if it may be one."""
    keys = list(keys)
    for pattern, kind, remedy in OTHERS:
        if any(re.match(pattern, key) for key in keys):
            return f"{file} is {kind}, which is no checkpoint that can be loaded here; {remedy}"
    absent = [
        name
        for prefix, name in ((WHOLE, "U-Net"), (VAE, "VAE"), (TEXT, "text encoder"))
        if not any(key.startswith(prefix) for key in keys)
    ]
    if not absent:
        return None
    return (
        _part(file, keys) if len(absent) > 1 else f"{file} lacks the {absent[0]}; take a file with all three networks"
    )


def _part(file: Path, keys: list[str]) -> str:
    for pattern, kind in PARTS:
        if any(re.match(pattern, key) for key in keys):
            folder = file.parent.parent
            is_in_folder = (folder / "model_index.json").is_file()
            remedy = f"give its folder, {folder}" if is_in_folder else "give a whole checkpoint"
            return f"{file} is {kind}; {remedy}"
    names = f" (it holds {', '.join(keys[:2])}...)" if keys else " (it is empty)"
    return f"{file} is no checkpoint of Stable Diffusion{names}; give one of Stable Diffusion 1 or 2"
