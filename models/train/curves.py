"""The losses of a training over its steps, as a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

STAGES = ("autoencoder", "decoder", "diffusion", "polish")
WIDTH, HEIGHT, MARGIN = 720, 260, 48
INK, LINE, GRID = "#1d2733", "#b4552d", "#d9dee4"


def curves(folder: Path) -> Path | None:
    """Draw the log of each stage that has one, the loss on a logarithmic scale; returns the file, None without logs."""
    logs = {stage: _points(folder / f"{stage}.jsonl") for stage in STAGES}
    drawn = {stage: points for stage, points in logs.items() if points}
    if not drawn:
        return None
    page = Image.new("RGB", (WIDTH, HEIGHT * len(drawn)), "white")
    for row, (stage, points) in enumerate(drawn.items()):
        _plot(ImageDraw.Draw(page), stage, points, row * HEIGHT)
    target = folder / "curves.png"
    page.save(target)
    return target


def _points(log: Path) -> list[tuple[float, float]]:
    """Steps and losses, without those that are no finite number above 0."""
    if not log.exists():
        return []
    entries = (json.loads(line) for line in log.read_text().splitlines())
    found = [(float(entry["step"]), float(entry["loss"])) for entry in entries]
    return [(step, loss) for step, loss in found if math.isfinite(loss) and loss > 0]


def _plot(draw: ImageDraw.ImageDraw, stage: str, points: Sequence[tuple[float, float]], top: int) -> None:
    font = ImageFont.load_default(13)
    losses = [loss for _, loss in points]
    low, high = math.log(min(losses)), math.log(max(losses) * 1.0001)
    last = max(step for step, _ in points)

    def place(step: float, loss: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 1.5 * MARGIN) * step / last
        return x, top + HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (math.log(loss) - low) / (high - low)

    for share in (0, 0.5, 1):
        loss = math.exp(low + (high - low) * share)
        (x, y), (end, _) = place(0, loss), place(last, loss)
        draw.line([(x, y), (end, y)], fill=GRID)
        draw.text((4, y - 8), f"{loss:.3g}", fill=INK, font=font)
    draw.text((MARGIN, top + 12), f"{stage}: loss over {last:,.0f} steps, now {losses[-1]:.4g}", fill=INK, font=font)
    draw.line([place(*point) for point in points], fill=LINE, width=2)
