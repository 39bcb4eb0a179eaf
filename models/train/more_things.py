"""The things of the second world. Coordinates are fractions of the side, from where the thing stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from .pen import LIT, Pen

STONE, DARK_STONE, ROOF = (190, 184, 178), (146, 140, 142), (170, 66, 58)


def _oak(pen: Pen, rng: Random) -> None:
    pen.polygon([(-0.035, 0.01), (0.035, 0.01), (0.02, -0.26), (-0.02, -0.26)], (104, 72, 50))
    for x, y, r, color in (
        (-0.1, -0.28, 0.1, (64, 122, 62)),
        (0.1, -0.27, 0.1, (64, 122, 62)),
        (0.0, -0.38, 0.13, (82, 146, 70)),
    ):
        pen.oval(x, y, r * rng.uniform(0.94, 1.06), r, pen.leaves(color))


def _castle(pen: Pen, _: Random) -> None:
    pen.rect(-0.16, -0.2, 0.32, 0.21, STONE)
    for x in (-0.16, -0.08, 0.0, 0.08):
        pen.rect(x + 0.012, -0.235, 0.045, 0.04, STONE)
    for x, height in ((-0.2, 0.32), (0.12, 0.32), (-0.045, 0.42)):
        pen.rect(x, -height, 0.09, height + 0.01, DARK_STONE if x > -0.1 and x < 0.1 else STONE)
        pen.polygon([(x - 0.018, -height), (x + 0.045, -height - 0.13), (x + 0.108, -height)], ROOF)
        pen.window(x + 0.03, -height + 0.06, 0.03, 0.05)
    pen.oval(0, -0.09, 0.04, 0.04, (74, 54, 46))
    pen.rect(-0.04, -0.09, 0.08, 0.1, (74, 54, 46))


def _church(pen: Pen, _: Random) -> None:
    pen.rect(-0.06, -0.2, 0.24, 0.21, (244, 238, 226))
    pen.polygon([(-0.08, -0.19), (0.06, -0.31), (0.2, -0.19)], (122, 76, 66))
    pen.rect(-0.16, -0.32, 0.12, 0.33, (250, 246, 236))
    pen.polygon([(-0.175, -0.31), (-0.1, -0.52), (-0.025, -0.31)], (96, 78, 92))
    pen.rect(-0.105, -0.57, 0.01, 0.06, (90, 70, 50))
    pen.rect(-0.12, -0.555, 0.04, 0.01, (90, 70, 50))
    for x in (0.0, 0.09):
        pen.window(x, -0.15, 0.04, 0.08)
    pen.rect(-0.12, -0.09, 0.045, 0.1, (112, 72, 52))


def _barn(pen: Pen, _: Random) -> None:
    red, white = (190, 52, 46), (248, 240, 230)
    pen.polygon([(-0.19, 0.01), (-0.19, -0.2), (-0.12, -0.32), (0.12, -0.32), (0.19, -0.2), (0.19, 0.01)], red)
    pen.polygon(
        [
            (-0.22, -0.19),
            (-0.13, -0.34),
            (0.13, -0.34),
            (0.22, -0.19),
            (0.18, -0.19),
            (0.11, -0.31),
            (-0.11, -0.31),
            (-0.18, -0.19),
        ],
        (92, 60, 58),
    )
    pen.rect(-0.075, -0.15, 0.15, 0.16, white)
    pen.rect(-0.062, -0.137, 0.124, 0.147, (150, 40, 38))
    pen.line([(-0.06, -0.135), (0.06, 0.005)], 0.012, white)
    pen.line([(0.06, -0.135), (-0.06, 0.005)], 0.012, white)
    pen.window(-0.03, -0.26, 0.06, 0.055)


def _rocket(pen: Pen, _: Random) -> None:
    red = (222, 66, 58)
    for side in (-1, 1):
        pen.polygon([(side * 0.05, -0.2), (side * 0.13, -0.02), (side * 0.05, -0.07)], red)
    pen.polygon([(-0.03, -0.05), (0.03, -0.05), (0.045, 0.01), (-0.045, 0.01)], (88, 88, 100))
    pen.oval(0, -0.26, 0.07, 0.22, (244, 244, 248))
    pen.polygon([(-0.052, -0.4), (0.0, -0.52), (0.052, -0.4)], red)
    pen.oval(0, -0.3, 0.034, 0.034, (60, 92, 140))
    pen.oval(0, -0.3, 0.023, 0.023, LIT if pen.dark else (160, 210, 236))


def _deer(pen: Pen, rng: Random) -> None:
    coat, side = (166, 104, 62), rng.choice((-1, 1))
    for x in (-0.1, -0.065, 0.055, 0.09):
        pen.rect(x * side - 0.009, -0.16, 0.018, 0.17, (134, 82, 52))
    pen.oval(0, -0.2, 0.13, 0.06, coat)
    pen.polygon([(0.07 * side, -0.2), (0.125 * side, -0.17), (0.17 * side, -0.36), (0.125 * side, -0.36)], coat)
    pen.oval(0.17 * side, -0.37, 0.045, 0.028, coat)
    pen.oval(-0.13 * side, -0.22, 0.018, 0.03, (250, 240, 226))
    for lean in (-0.06, 0.05):
        x = 0.15 * side
        pen.line([(x, -0.39), (x + lean * 0.7, -0.45), (x + lean, -0.53)], 0.012, (112, 78, 54))
        pen.line([(x + lean * 0.7, -0.45), (x + lean * 1.7, -0.48)], 0.01, (112, 78, 54))


def _snowman(pen: Pen, _: Random) -> None:
    for y, r in ((-0.1, 0.115), (-0.27, 0.085), (-0.4, 0.062)):
        pen.oval(0.008, y + 0.008, r, r, (176, 190, 216))
        pen.oval(0, y, r, r, (250, 252, 255))
    pen.rect(-0.075, -0.46, 0.15, 0.018, (44, 44, 58))
    pen.rect(-0.047, -0.55, 0.094, 0.095, (44, 44, 58))
    pen.polygon([(0.0, -0.41), (0.085, -0.395), (0.0, -0.385)], (240, 132, 48))
    pen.rect(-0.075, -0.35, 0.15, 0.026, (206, 58, 60))
    for x, y in ((-0.024, -0.425), (0.024, -0.425), (0.0, -0.29), (0.0, -0.23)):
        pen.oval(x, y, 0.009, 0.009, (40, 40, 52))


def _whale(pen: Pen, rng: Random) -> None:
    side, blue = rng.choice((-1, 1)), (58, 88, 128)
    body = [(0.2, 0.0), (0.19, -0.06), (0.13, -0.12), (0.03, -0.14), (-0.07, -0.11), (-0.15, -0.03), (-0.17, 0.0)]
    pen.polygon([(x * side, y) for x, y in body], blue)
    pen.polygon([(x * side, y) for x, y in ((0.2, 0.0), (0.19, -0.045), (0.08, -0.03), (0.0, 0.0))], (206, 220, 232))
    tail = [
        (-0.13, -0.02),
        (-0.2, -0.14),
        (-0.28, -0.17),
        (-0.22, -0.18),
        (-0.2, -0.24),
        (-0.165, -0.15),
        (-0.1, -0.05),
    ]
    pen.polygon([(x * side, y) for x, y in tail], blue)
    pen.oval(0.13 * side, -0.065, 0.011, 0.011, (20, 26, 40))
    for lean in (-0.07, 0.0, 0.07):
        spout = [(0.05 * side, -0.15), (0.05 * side + lean * 0.5, -0.23), (0.05 * side + lean, -0.22)]
        pen.line(spout, 0.013, (214, 236, 246))


def _balloon(pen: Pen, rng: Random) -> None:
    colors = rng.choice(
        (((222, 70, 62), (250, 236, 210)), ((48, 120, 182), (252, 206, 84)), ((150, 80, 160), (250, 226, 214)))
    )
    for x in (-0.035, 0.035):
        pen.line([(x, -0.05), (x * 2.2, -0.13)], 0.006, (96, 74, 60))
    for rx, color in ((0.15, colors[0]), (0.105, colors[1]), (0.052, colors[0])):
        pen.oval(0, -0.28, rx, 0.165, color)
    pen.polygon([(-0.1, -0.16), (0.1, -0.16), (0.04, -0.09), (-0.04, -0.09)], colors[0])
    pen.rect(-0.04, -0.06, 0.08, 0.06, (146, 98, 58))


def _bridge(pen: Pen, _: Random) -> None:
    pen.polygon([(-0.34, -0.1), (0.0, -0.17), (0.34, -0.1), (0.34, 0.04), (-0.34, 0.04)], STONE)
    for x in (-0.155, 0.155):
        arch = [(x + 0.1 * math.cos(a / 12 * math.pi), 0.04 - 0.13 * math.sin(a / 12 * math.pi)) for a in range(13)]
        pen.polygon(arch, (70, 76, 92))
    pen.line([(-0.34, -0.115), (0.0, -0.185), (0.34, -0.115)], 0.022, DARK_STONE)


MORE: dict[str, Callable[[Pen, Random], None]] = {
    "oak tree": _oak,
    "castle": _castle,
    "church": _church,
    "barn": _barn,
    "rocket": _rocket,
    "deer": _deer,
    "snowman": _snowman,
    "whale": _whale,
    "hot-air balloon": _balloon,
    "bridge": _bridge,
}
