"""Small painted places, 64 x 64 in colour, with the exact class of every pixel.

A sky with a sun or with clouds, over a ground; a house or a church with a roof, a door and windows;
a path from the door; trees to the left and to the right. Doors are always in walls and trees always
stand on the ground, so that one can ask what a generator that learned these places knows of it.

Painting i of a seed depends on both alone. Five hundred take about a second on one core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganprobe_zoo.scene_classes import CLASSES

__all__ = ["SIZE", "Painting", "paint"]

SIZE = 64
Colour = tuple[Tensor, Tensor, Tensor]
"""Red, green and blue, each (n, 1, 1) in [0, 1]."""

_N_DRAWS = 96  # random numbers that one painting may use
_TOGETHER = 250  # paintings made at once: what fits a processor's cache


@dataclass(frozen=True)
class Painting:
    """n paintings.

    Attributes:
        images: (n, 3, 64, 64) float32 in [0, 1]; edges are smooth.
        classes: (n, 64, 64) uint8, the place in `CLASSES` of what covers most of the pixel.
    """

    images: Tensor
    classes: Tensor

    def masks(self) -> Tensor:
        """(n, 11, 64, 64) bool, one for each class; every pixel is in exactly one."""
        places = torch.arange(len(CLASSES), dtype=torch.uint8)
        return self.classes[:, None] == places[:, None, None]


def paint(n: int, *, seed: int, start: int = 0) -> Painting:
    """Paintings start, start + 1, ... of a seed.

    Example:
        >>> painting = paint(2, seed=0)
        >>> painting.images.shape, painting.classes.shape
        (torch.Size([2, 3, 64, 64]), torch.Size([2, 64, 64]))
        >>> bool((paint(1, seed=0, start=1).classes == painting.classes[1:]).all())
        True
    """
    stops = range(start, start + n, _TOGETHER)
    parts = [_paint(range(at, min(at + _TOGETHER, start + n)), seed) for at in stops]
    if not parts:
        return _Canvas(0).painting()
    images = torch.cat([part.images for part in parts])
    return Painting(images, torch.cat([part.classes for part in parts]))


def _paint(indices: range, seed: int) -> Painting:
    draws = _Draws(indices, seed)
    canvas = _Canvas(len(indices))
    light = _Light.drawn(draws)
    horizon = draws.between(36, 42)
    _paint_sky(canvas, draws, light, horizon)
    _paint_ground(canvas, draws, light, horizon)
    building = _Building.drawn(draws, horizon)
    _paint_path(canvas, draws, light, building)
    _paint_house(canvas, draws, light, building)
    _paint_church(canvas, draws, light, building)
    _paint_trees(canvas, draws, light, horizon, building)
    return canvas.painting()


class _Draws:
    """Random numbers, one row for each painting, taken column by column."""

    def __init__(self, indices: range, seed: int) -> None:
        rows = [np.random.default_rng([seed, index]).random(_N_DRAWS) for index in indices]
        self._columns = iter(torch.from_numpy(np.stack(rows)).float().T)

    def between(self, low: float | Tensor, high: float | Tensor) -> Tensor:
        """(n, 1, 1), uniform from low to high."""
        uniform: Tensor = next(self._columns)[:, None, None]
        return low + (high - low) * uniform

    def chance(self, probability: float) -> Tensor:
        """(n, 1, 1) bool, True that often."""
        happens: Tensor = next(self._columns)[:, None, None] < probability
        return happens

    def colour(self, low: tuple[float, ...], high: tuple[float, ...]) -> Colour:
        """Between two colours, and up to .04 brighter or darker."""
        place, shade = self.between(0, 1), self.between(-0.04, 0.04)
        red, green, blue = (
            one + (other - one) * place + shade for one, other in zip(low, high, strict=True)
        )
        return red, green, blue


class _Canvas:
    """Images and classes that shapes are laid upon, the later above the earlier."""

    def __init__(self, n: int) -> None:
        self.images = torch.zeros(n, 3, SIZE, SIZE)
        self.classes = torch.zeros(n, SIZE, SIZE, dtype=torch.uint8)
        centres = torch.arange(SIZE) + 0.5
        self.y, self.x = centres[:, None], centres[None, :]  # (64, 1), (1, 64)

    def painting(self) -> Painting:
        return Painting(self.images.clamp(0, 1), self.classes)

    def fill(
        self, distance: Tensor, colour: Colour, name: str, where: Tensor | None = None
    ) -> None:
        """Lay a shape upon the canvas.

        Args:
            distance: (n, 64, 64), pixels from its edge, negative inside.
            where: (n, 1, 1) bool, the paintings that have it; None: all.
        """
        cover = (0.5 - distance).clamp(0, 1)  # (n, 64, 64)
        if where is not None:
            cover = cover * where
        for channel, value in enumerate(colour):
            self.images[:, channel].lerp_(value.expand_as(cover), cover)
        self.classes[cover > 0.5] = CLASSES.index(name)

    def box(self, left: Tensor, right: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
        """Distance from a box."""
        aside = torch.maximum(left - self.x, self.x - right)
        return torch.maximum(aside, torch.maximum(top - self.y, self.y - bottom))

    def disc(self, x: Tensor, y: Tensor, radius: Tensor, flat: float = 1.0) -> Tensor:
        """Distance from a disc; `flat` is its height over its width."""
        return torch.hypot(self.x - x, (self.y - y) / flat) - radius

    def wedge(
        self, x: Tensor, top: Tensor, bottom: Tensor, half_top: Tensor | float, half_bottom: Tensor
    ) -> Tensor:
        """Distance from a triangle, or from a trapezoid where it is wider than 0 at its top."""
        place = (self.y - top) / (bottom - top)
        half = half_top + (half_bottom - half_top) * place  # (n, 64, 1)
        slope = (half_bottom - half_top) / (bottom - top)
        aside = ((self.x - x).abs() - half) / torch.sqrt(1 + slope**2)
        return torch.maximum(aside, torch.maximum(top - self.y, self.y - bottom))

    def arch(self, x: Tensor, half: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
        """Distance from a box with a half disc on it."""
        box = self.box(x - half, x + half, top + half, bottom)
        return torch.minimum(box, self.disc(x, top + half, half))


@dataclass(frozen=True)
class _Light:
    """The time of the day: by day 0, in the evening 1; (n, 1, 1)."""

    evening: Tensor

    @classmethod
    def drawn(cls, draws: _Draws) -> _Light:
        return cls((draws.chance(0.3) * draws.between(0.75, 1.0)).float())

    def on(self, colour: Colour) -> Colour:
        """A colour in this light: darker and redder in the evening."""
        red, green, blue = colour
        return (
            red * (1 - 0.22 * self.evening),
            green * (1 - 0.38 * self.evening),
            blue * (1 - 0.30 * self.evening),
        )

    def mixed(self, day: Colour, evening: Colour) -> Colour:
        """One colour by day and another in the evening."""
        red, green, blue = (a + (b - a) * self.evening for a, b in zip(day, evening, strict=True))
        return red, green, blue


@dataclass(frozen=True)
class _Building:
    """Where walls stand; (n, 1, 1) each, in pixels."""

    is_church: Tensor
    x: Tensor
    base: Tensor
    half: Tensor
    height: Tensor
    side: Tensor  # -1: a church's tower stands on the left, 1: on the right

    @classmethod
    def drawn(cls, draws: _Draws, horizon: Tensor) -> _Building:
        return cls(
            is_church=draws.chance(0.45),
            x=draws.between(28, 36),
            base=horizon + draws.between(5, 8),
            half=draws.between(11.5, 14.5),
            height=draws.between(14, 17),
            side=torch.where(draws.chance(0.5), 1.0, -1.0),
        )

    @property
    def top(self) -> Tensor:
        return self.base - self.height

    @property
    def tower(self) -> Tensor:
        """Where a church's tower stands."""
        return self.x + self.side * (self.half - 4)

    @property
    def door(self) -> Tensor:
        """Where the door is: a house's in the middle, a church's in its tower."""
        return torch.where(self.is_church, self.tower, self.x)


def _paint_sky(canvas: _Canvas, draws: _Draws, light: _Light, horizon: Tensor) -> None:
    high = light.mixed(
        draws.colour((0.25, 0.52, 0.90), (0.38, 0.62, 0.95)),
        draws.colour((0.36, 0.25, 0.52), (0.42, 0.30, 0.58)),
    )
    low = light.mixed(
        draws.colour((0.66, 0.83, 0.97), (0.74, 0.88, 0.98)),
        draws.colour((0.93, 0.55, 0.42), (0.96, 0.62, 0.48)),
    )
    down = (canvas.y / horizon).clamp(0, 1)  # (n, 64, 1)
    for channel, (above, below) in enumerate(zip(high, low, strict=True)):
        canvas.images[:, channel] = above + (below - above) * down
    is_sunny = draws.chance(0.5)
    _paint_sun(canvas, draws, light, is_sunny)
    _paint_cloud(canvas, draws, light, (9, 26), ~is_sunny)
    _paint_cloud(canvas, draws, light, (38, 55), ~is_sunny)


def _paint_sun(canvas: _Canvas, draws: _Draws, light: _Light, where: Tensor) -> None:
    colour = light.mixed(
        draws.colour((1.0, 0.86, 0.22), (1.0, 0.90, 0.32)),
        draws.colour((1.0, 0.66, 0.14), (1.0, 0.72, 0.20)),
    )
    x = torch.where(draws.chance(0.5), draws.between(8, 18), draws.between(46, 56))
    disc = canvas.disc(x, draws.between(9, 14), draws.between(5.2, 6.4))
    canvas.fill(disc, colour, "sun", where)


def _paint_cloud(
    canvas: _Canvas, draws: _Draws, light: _Light, across: tuple[float, float], where: Tensor
) -> None:
    colour = light.on(draws.colour((0.95, 0.96, 0.98), (0.99, 0.99, 1.0)))
    x, y, radius = draws.between(*across), draws.between(7, 13), draws.between(4.0, 5.2)
    middle = canvas.disc(x, y, radius, flat=0.8)
    left = canvas.disc(x - radius, y + 1.2, radius * 0.75, flat=0.7)
    right = canvas.disc(x + radius, y + 1.0, radius * 0.8, flat=0.7)
    canvas.fill(torch.minimum(middle, torch.minimum(left, right)), colour, "cloud", where)


def _paint_ground(canvas: _Canvas, draws: _Draws, light: _Light, horizon: Tensor) -> None:
    far = light.on(draws.colour((0.52, 0.74, 0.34), (0.62, 0.76, 0.32)))
    near = light.on(draws.colour((0.33, 0.60, 0.22), (0.42, 0.62, 0.20)))
    down = ((canvas.y - horizon) / (SIZE - horizon)).clamp(0, 1)
    red, green, blue = (a + (b - a) * down for a, b in zip(far, near, strict=True))
    canvas.fill(horizon - canvas.y + 0 * canvas.x, (red, green, blue), "ground")


def _paint_path(canvas: _Canvas, draws: _Draws, light: _Light, building: _Building) -> None:
    colour = light.on(draws.colour((0.84, 0.74, 0.54), (0.92, 0.84, 0.66)))
    bottom = torch.full_like(building.base, SIZE + 1.0)
    down = ((canvas.y - building.base) / (bottom - building.base)).clamp(0, 1)
    middle = building.door + draws.between(-7, 7) * down**2  # (n, 64, 1)
    wide = draws.between(6.0, 8.5)
    path = canvas.wedge(middle, building.base, bottom, 2.6, wide)
    canvas.fill(path, colour, "path")


def _paint_house(canvas: _Canvas, draws: _Draws, light: _Light, house: _Building) -> None:
    where, x, half = ~house.is_church, house.x, house.half
    wall = light.on(draws.colour((0.93, 0.80, 0.56), (0.88, 0.56, 0.42)))
    canvas.fill(canvas.box(x - half, x + half, house.top, house.base), wall, "house", where)
    tiles = light.on(draws.colour((0.70, 0.24, 0.18), (0.50, 0.22, 0.20)))
    roof = canvas.wedge(x, house.top - draws.between(9, 12), house.top, 4.0, half + 2)
    canvas.fill(roof, tiles, "roof", where)
    wood = light.on(draws.colour((0.36, 0.20, 0.10), (0.16, 0.26, 0.42)))
    door = canvas.box(x - 3.2, x + 3.2, house.base - 10.5, house.base)
    canvas.fill(door, wood, "door", where)
    glass = _glass(draws, light)
    size, top = draws.between(2.2, 2.8), house.base - 10
    for side in (-1, 1):
        middle = x + side * (half + 3.2) / 2
        window = canvas.box(middle - size, middle + size, top, top + 2 * size)
        canvas.fill(window, glass, "window", where)


def _paint_church(canvas: _Canvas, draws: _Draws, light: _Light, church: _Building) -> None:
    where, x, half, tower = church.is_church, church.x, church.half, church.tower
    stone = light.on(draws.colour((0.86, 0.86, 0.84), (0.66, 0.66, 0.70)))
    slate = light.on(draws.colour((0.30, 0.34, 0.44), (0.42, 0.32, 0.34)))
    canvas.fill(canvas.box(x - half, x + half, church.top, church.base), stone, "church", where)
    nave = canvas.wedge(x, church.top - draws.between(6, 8), church.top, half - 3, half + 1)
    canvas.fill(nave, slate, "roof", where)
    eaves = church.top - draws.between(9, 11)
    canvas.fill(canvas.box(tower - 5, tower + 5, eaves, church.base), stone, "church", where)
    spire = canvas.wedge(tower, eaves - draws.between(11, 13), eaves, 0.0, tower * 0 + 6)
    canvas.fill(spire, slate, "roof", where)
    wood = light.on(draws.colour((0.36, 0.20, 0.10), (0.26, 0.14, 0.10)))
    half_door = torch.full_like(tower, 2.9)
    door = canvas.arch(tower, half_door, church.base - 10.5, church.base)
    canvas.fill(door, wood, "door", where)
    glass = _glass(draws, light)
    narrow, top = draws.between(1.7, 2.1), church.base - 11
    for place in (-9.0, -15.0):
        middle = tower + church.side * place
        canvas.fill(canvas.arch(middle, narrow, top, top + 7.5), glass, "window", where)
    canvas.fill(canvas.disc(tower, eaves + 5, narrow), glass, "window", where)


def _glass(draws: _Draws, light: _Light) -> Colour:
    """Blue by day; lit in the evening."""
    return light.mixed(
        draws.colour((0.28, 0.60, 0.72), (0.36, 0.70, 0.82)),
        draws.colour((1.0, 0.88, 0.42), (1.0, 0.92, 0.55)),
    )


def _paint_trees(
    canvas: _Canvas, draws: _Draws, light: _Light, horizon: Tensor, building: _Building
) -> None:
    for across, probability in (((3.0, 11.0), 0.75), ((53.0, 61.0), 0.75)):
        where, is_round = draws.chance(probability), draws.chance(0.5)
        x, foot = draws.between(*across), horizon + draws.between(7, 13)
        size = draws.between(6.0, 8.0)
        trunk = light.on(draws.colour((0.40, 0.26, 0.14), (0.46, 0.30, 0.18)))
        canvas.fill(canvas.box(x - 1.3, x + 1.3, foot - 7, foot), trunk, "tree", where)
        leaves = light.on(draws.colour((0.12, 0.38, 0.14), (0.20, 0.46, 0.14)))
        crown = canvas.disc(x, foot - 5 - size, size, flat=1.15)
        canvas.fill(crown, leaves, "tree", where & is_round)
        needles = light.on(draws.colour((0.06, 0.30, 0.22), (0.10, 0.36, 0.26)))
        cone = canvas.wedge(x, foot - 5 - 2.6 * size, foot - 5, 0.0, size * 0.95)
        canvas.fill(cone, needles, "tree", where & ~is_round)
