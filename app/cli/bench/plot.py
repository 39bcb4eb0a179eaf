"""A picture of a bench's figures, as SVG: one bar a figure, its spread as a whisker, what it should reach as a mark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from app.cli.bench.figure import Figure

WIDTH, LABELS, BARS, ROW = 960, 470, 340, 22  # pixels
INK, BAR, MISSED, MARK = "#1b1b1f", "#4a6fa5", "#b5543c", "#1b1b1f"


def plot(parts: Mapping[str, Sequence[Figure]], caption: str) -> str:
    """Draw the figures of each part; bars are to scale among figures of one part and unit."""
    lines = [*_text(0, 16, caption, size=12)]
    y = 34
    for name, figures in parts.items():
        lines += _text(0, y + 15, name, size=14, weight="bold")
        y += ROW
        for figure in figures:
            lines += _row(figure, y, _scale(figure, figures))
            y += ROW
        y += ROW // 2
    style = "font-family:system-ui,sans-serif;background:#fff"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {WIDTH} {y}" width="{WIDTH}" style="{style}">'
    return "\n".join((head, *lines, "</svg>", ""))


def _scale(figure: Figure, figures: Sequence[Figure]) -> float:
    same = [other for other in figures if other.unit == figure.unit]
    most = max(max(other.value, other.high or 0, other.at_most or 0, other.at_least or 0) for other in same)
    return BARS / most if most > 0 else 0.0


def _row(figure: Figure, y: int, scale: float) -> Iterator[str]:
    yield from _text(0, y + 15, figure.name)
    width, colour = max(1.0, figure.value * scale), MISSED if figure.is_missed else BAR
    yield f'<rect x="{LABELS}" y="{y + 4}" width="{width:.1f}" height="14" fill="{colour}"/>'
    if figure.low is not None and figure.high is not None:
        low, high = LABELS + figure.low * scale, LABELS + figure.high * scale
        yield f'<path d="M{low:.1f} {y + 11}H{high:.1f}" stroke="{INK}" stroke-width="2"/>'
    for wanted in (figure.at_most, figure.at_least):
        if wanted is None:
            continue
        x = LABELS + wanted * scale
        yield f'<path d="M{x:.1f} {y + 1}V{y + 21}" stroke="{MARK}" stroke-dasharray="3 2"/>'
    yield from _text(LABELS + BARS + 10, y + 15, f"{figure.value:.3f} {figure.unit}")


def _text(x: float, y: float, content: str, *, size: int = 11, weight: str = "normal") -> Iterator[str]:
    yield f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{INK}">{escape(content)}</text>'
