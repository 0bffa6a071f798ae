"""Modules to replay parts of: random graphs of layers, and hostile ones written by hand.

A random graph is wired as published generators are: branches, skips, shared and repeated layers,
styles, views, writes in place. Its samples do not influence each other and nothing in it depends
on values, so that what lies upstream of an edit is the same whatever the edit is. A hostile module
has one thing in it that breaks such reasoning. Each takes latents (n, 6) in float64 and gives
images (n, 1, 4, 4); building one takes milliseconds.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from ganprobe.nested import tensors_in
from modules import LATENT, Made, Pair

__all__ = ["HOSTILE", "Graph", "hostile_module", "random_graph"]

SIDE = 4
STYLE = 5

Kind = Literal["vector", "maps", "tokens"]
"""(n, units), (n, units, y, x) or (n, tokens, units)."""


@dataclass(frozen=True)
class Graph:
    """A random module, and the sites of what its layers return.

    Args:
        module: in eval mode, float64.
        sites: layers, each call of one that runs several times, and each tensor of a tuple.
    """

    module: nn.Module
    sites: tuple[str, ...]


def random_graph(seed: int) -> Graph:
    """The graph of a seed; the random state outside is left as it was."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        rng = Random(seed)
        kind: Kind = rng.choice(["maps", "maps", "maps", "tokens", "vector"])
        make = rng.choice([Written, Written, Written, straight])
        module = make(Draw(rng, kind, rng.choice([4, 6, 8]))).double().eval()
        _randomise(module)
        return Graph(module, tuple(_sites(module)))


def _randomise(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)


def _sites(module: nn.Module) -> Iterator[str]:
    """Of every tensor of floats with units, as hooks of torch's own see them."""
    seen: dict[nn.Module, list[list[str]]] = {}

    def note(layer: nn.Module, args: object, output: object) -> None:
        paths = [
            "".join(f"[{key}]" for key in path)
            for path, tensor in tensors_in(output)
            if tensor.ndim > 1 and tensor.is_floating_point()
        ]
        seen.setdefault(layer, []).append([f":out{path}" if path else "" for path in paths])

    handles = [layer.register_forward_hook(note) for layer in module.modules()]
    with torch.no_grad():
        module(torch.randn(2, LATENT, dtype=torch.float64))
    for handle in handles:
        handle.remove()
    for name, layer in module.named_modules(remove_duplicate=False):
        calls = seen.get(layer, [])
        for port in dict.fromkeys(port for ports in calls for port in ports):
            where = f"{name}{port}" if name else f":out{port.removeprefix(':out')}"
            yield where
            if len(calls) > 1:
                yield from (f"{where}@{call}" for call, ports in enumerate(calls) if port in ports)


# What a graph is drawn from


@dataclass(frozen=True)
class Draw:
    """Random choices of layers and blocks for tensors of one kind, with so many units."""

    rng: Random
    kind: Kind
    units: int

    @property
    def axis(self) -> int:
        """Of the units."""
        return 2 if self.kind == "tokens" else 1

    def layer(self, given: int | None = None, made: int | None = None) -> nn.Module:
        """From so many units to so many, in each cell or over its neighbours."""
        sizes = given or self.units, made or self.units
        if self.kind != "maps":
            return nn.Linear(*sizes)
        makers: list[Callable[[], nn.Module]] = [
            lambda: nn.Conv2d(*sizes, 1),
            lambda: nn.Conv2d(*sizes, 3, padding=1),
            lambda: nn.ConvTranspose2d(*sizes, 3, padding=1),
        ]
        return self.rng.choice(makers)()

    def norm(self) -> nn.Module:
        """A norm over units or samples of its own, or a layer that returns what it is given."""
        units = self.units
        by_kind: dict[Kind, list[Callable[[], nn.Module]]] = {
            "maps": [
                lambda: nn.BatchNorm2d(units),
                lambda: nn.InstanceNorm2d(units, affine=True),
                lambda: nn.GroupNorm(2, units),
                lambda: LastAxisNorm(units),
                lambda: nn.Dropout2d(0.5),
            ],
            "tokens": [lambda: nn.LayerNorm(units), lambda: nn.Dropout(0.5)],
            "vector": [
                lambda: nn.BatchNorm1d(units),
                lambda: nn.GroupNorm(2, units),
                lambda: nn.LayerNorm(units),
            ],
        }
        return self.rng.choice([*by_kind[self.kind], nn.Identity])()

    def activation(self) -> nn.Module:
        """In place or not."""
        in_place = self.rng.random() < 0.5
        makers: list[Callable[[], nn.Module]] = [
            lambda: nn.ReLU(in_place),
            lambda: nn.LeakyReLU(0.2, in_place),
            lambda: nn.SiLU(in_place),
            lambda: nn.ELU(0.7, in_place),
            nn.Tanh,
            nn.PReLU,
        ]
        return self.rng.choice(makers)()

    def body(self) -> nn.Module:
        """A few layers, as deep in containers as it happens."""
        makers: list[Callable[[], nn.Module]] = [
            self.layer,
            lambda: nn.Sequential(self.layer(), self.norm(), self.activation()),
            lambda: nn.Sequential(self.norm(), self.activation(), self.layer()),
            lambda: nn.Sequential(nn.Sequential(self.layer(), self.activation()), self.layer()),
            lambda: nn.Sequential(nn.Sequential(nn.Sequential(self.norm()), self.layer())),
        ]
        return self.rng.choice(makers)()

    def plain_block(self, *, depth: int = 1) -> nn.Module:
        """One that takes a tensor and returns one of the same shape."""
        makers = [*PLAIN, *PLAIN_OF[self.kind]]
        if depth and self.rng.random() < 0.2:
            inner = [self.plain_block(depth=depth - 1) for _ in range(2)]
            return nn.Sequential(nn.Sequential(inner[0], self.activation()), inner[1])
        return self.rng.choice(makers)(self)

    def block(self) -> nn.Module:
        """One that may also take the style."""
        styled = [Modulated, PerSample] if self.kind == "maps" else [Modulated]
        return self.rng.choice(styled)(self) if self.rng.random() < 0.25 else self.plain_block()

    def function(self) -> Callable[[Tensor], Tensor]:
        """What a forward does between two layers."""
        return self.rng.choice(FUNCTIONS)

    def way(self, *ways: str) -> str:
        """One of several ways to write the same block."""
        return self.rng.choice(ways)


def _kept(hidden: Tensor) -> Tensor:
    return hidden


def _raised(hidden: Tensor) -> Tensor:
    hidden += 0.1
    return hidden


def _halved(hidden: Tensor) -> Tensor:
    hidden.mul_(0.5)
    return hidden


def _leaky(hidden: Tensor) -> Tensor:
    return functional.leaky_relu_(hidden, 0.3)


FUNCTIONS: list[Callable[[Tensor], Tensor]] = [
    _kept,
    _raised,
    _halved,
    _leaky,
    torch.tanh,
    functional.silu,
    lambda hidden: hidden.clamp_(-3.0, 3.0),
    lambda hidden: functional.dropout(hidden, 0.5, training=False),
    lambda hidden: hidden.contiguous().clone(),
]


# Graphs as a whole


class Written(nn.Module):
    """A forward that is written out: blocks, functions between them, and early tensors kept.

    Args:
        end: how the early tensors come in again: concatenated, added, or added in place.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        rng, units = draw.rng, draw.units
        self.kind, self.axis = draw.kind, draw.axis
        self.mapping = nn.Sequential(nn.Linear(LATENT, STYLE), nn.LeakyReLU(0.2, True))
        blocks, first_side = _blocks(draw)
        self.start = rng.choice(STARTS[draw.kind])(units, first_side)
        is_constant = isinstance(self.start, Constant)
        self.blocks = nn.ModuleList([Modulated(draw), *blocks] if is_constant else blocks)
        self.between = [draw.function() for _ in self.blocks]
        self.early = [n for n in range(len(self.blocks)) if rng.random() < 0.35]
        tapped = [n for n in range(len(self.blocks)) if rng.random() < 0.25]
        n_tapped = SIDE * SIDE if draw.kind == "vector" else 1
        self.taps = nn.ModuleDict({str(n): draw.layer(made=n_tapped) for n in tapped})
        self.end = draw.way("concatenated", "added", "added in place")
        n_joined = 1 + len(self.early) * (self.end == "concatenated")
        self.last = _last(draw, units * n_joined)

    def forward(self, z: Tensor) -> Tensor:
        style = self.mapping(z)  # (n, style)
        hidden, early, tapped = self.start(z), list[Tensor](), list[Tensor]()
        for n, (block, function) in enumerate(zip(self.blocks, self.between, strict=True)):
            takes_style = isinstance(block, Modulated | PerSample)
            hidden = function(block(hidden, style) if takes_style else block(hidden))
            if n in self.early:
                early.append(hidden)
            if str(n) in self.taps:
                tapped.append(self.taps[str(n)](hidden))
        images: Tensor = self.last(self._joined(hidden, early))
        for tap in tapped:
            images += _like_images(tap).view_as(images)
        return images

    def _joined(self, hidden: Tensor, early: Sequence[Tensor]) -> Tensor:
        resized = [_like_images(tensor) for tensor in early]
        if self.end == "concatenated":
            return torch.cat([hidden, *resized], self.axis)
        for tensor in resized:
            if self.end == "added":
                hidden = hidden + tensor
            else:
                hidden += tensor
        return hidden


def straight(draw: Draw) -> nn.Module:
    """The same kinds of blocks in a sequence, which is the whole module."""
    blocks, first_side = _blocks(draw, is_plain=True)
    make = draw.rng.choice(STARTS[draw.kind][:2])
    return nn.Sequential(make(draw.units, first_side), *blocks, _last(draw, draw.units))


def _blocks(draw: Draw, *, is_plain: bool = False) -> tuple[list[nn.Module], int]:
    """Three to six, and the side of the maps that they begin with."""
    n_blocks = draw.rng.randint(3, 6)
    blocks = [draw.plain_block() if is_plain else draw.block() for _ in range(n_blocks)]
    if draw.kind != "maps" or draw.rng.random() < 0.3:
        return blocks, SIDE
    blocks.insert(draw.rng.randint(1, n_blocks), Up(draw))
    return blocks, SIDE // 2


def _last(draw: Draw, units: int) -> nn.Module:
    shaped = nn.Unflatten(1, (1, SIDE, SIDE))
    if draw.kind == "maps":
        return nn.Sequential(nn.Conv2d(units, 1, 1), nn.Tanh())
    if draw.kind == "tokens":
        return nn.Sequential(nn.Linear(units, 1), nn.Flatten(), shaped)
    return nn.Sequential(nn.Linear(units, SIDE * SIDE), shaped)


def _like_images(tensor: Tensor) -> Tensor:
    """Maps at the side of the images; what has no side as it is."""
    if tensor.ndim == 4 and tensor.shape[-1] != SIDE:
        return functional.interpolate(tensor, size=(SIDE, SIDE), mode="nearest")
    return tensor


class Constant(nn.Module):
    """A learned input, which does not depend on the latents, spread over the batch."""

    def __init__(self, units: int, side: int, *, is_lone: bool) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.randn(1, units, side, side))
        self.lone = Level(self.level) if is_lone else None

    def forward(self, z: Tensor) -> Tensor:
        level: Tensor = self.level if self.lone is None else self.lone()
        return level.expand(len(z), -1, -1, -1)


class Level(nn.Module):
    """Returns what it holds, for one sample."""

    def __init__(self, level: Tensor) -> None:
        super().__init__()
        self.level = level

    def forward(self) -> Tensor:
        return self.level * 1.0


class Seed(nn.Module):
    """A layer whose output the forward gives another shape."""

    def __init__(self, units: int, side: int, kind: Kind) -> None:
        super().__init__()
        self.shape = (units, side, side) if kind == "maps" else (side * side, units)
        self.linear = nn.Linear(LATENT, units * side * side)

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.linear(z).view(len(z), *self.shape)
        return made


Start = Callable[[int, int], nn.Module]

STARTS: dict[Kind, list[Start]] = {
    "maps": [
        lambda units, side: nn.Sequential(
            nn.Linear(LATENT, units * side * side), nn.Unflatten(1, (units, side, side))
        ),
        lambda units, side: nn.Sequential(
            nn.Unflatten(1, (LATENT, 1, 1)), nn.ConvTranspose2d(LATENT, units, side)
        ),
        partial(Seed, kind="maps"),
        partial(Constant, is_lone=False),
        partial(Constant, is_lone=True),
    ],
    "tokens": [
        partial(Seed, kind="tokens"),
        lambda units, side: nn.Sequential(
            nn.Linear(LATENT, units * side * side), nn.Unflatten(1, (side * side, units))
        ),
    ],
    "vector": [
        lambda units, side: nn.Linear(LATENT, units),
        lambda units, side: nn.Sequential(nn.Linear(LATENT, units), nn.BatchNorm1d(units)),
    ],
}


# Blocks for tensors of any kind


class Residual(nn.Module):
    """A branch and what goes past it, added in one of the usual ways."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.body, self.adding = draw.body(), draw.way("new", "into branch", "into skip", "mapped")
        self.skip = draw.layer() if self.adding == "mapped" else None

    def forward(self, hidden: Tensor) -> Tensor:
        skip = hidden if self.skip is None else self.skip(hidden)
        hidden = self.body(hidden)
        if self.adding == "into branch":
            hidden = hidden.clone() if hidden is skip else hidden
            hidden += skip
            return hidden
        if self.adding == "into skip":
            skip += hidden
            return skip
        return (skip + hidden) * 0.7


class Dense(nn.Module):
    """Each branch is given all before it, and all are kept to the end of the block."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        units, n_branches = draw.units, draw.rng.randint(1, 3)
        layers = [draw.layer(given=units * n, made=units) for n in range(1, n_branches + 1)]
        self.branches, self.function = nn.ModuleList(layers), draw.function()
        self.join, self.axis = draw.layer(given=units * (n_branches + 1)), draw.axis

    def forward(self, hidden: Tensor) -> Any:
        kept = [hidden]
        for branch in self.branches:
            kept.append(self.function(branch(torch.cat(kept, self.axis))))
        return self.join(torch.cat(kept, self.axis))


class Shared(nn.Module):
    """One layer under two names."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.one, self.activation = draw.body(), draw.activation()
        self.other = self.one

    def forward(self, hidden: Tensor) -> Any:
        return self.other(self.activation(self.one(hidden)))


class Repeated(nn.Module):
    """One layer several times, with a function between."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.again, self.n_calls = draw.body(), draw.rng.randint(2, 3)
        self.function = draw.function()

    def forward(self, hidden: Tensor) -> Tensor:
        for _ in range(self.n_calls):
            hidden = self.function(self.again(hidden))
        return hidden


class Indexed(nn.Module):
    """Layers deep in containers that are never called themselves; one of them does not run."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        named = nn.ModuleDict({"idle": draw.layer(), "used": draw.layer()})
        self.levels = nn.ModuleList([nn.Sequential(draw.body(), draw.activation()), named])

    def forward(self, hidden: Tensor) -> Any:
        levels: Any = self.levels
        for layer in levels[0]:
            hidden = layer(hidden)
        return levels[1]["used"](hidden)


class Giving(nn.Module):
    """Two layers' outputs, wrapped as asked."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.low, self.high = draw.layer(), draw.body()
        self.form = draw.way("tuple", "list", "dict", "dataclass", "named")

    def forward(self, hidden: Tensor) -> Any:
        low, high = self.low(hidden), self.high(hidden)
        forms: dict[str, Callable[[], object]] = {
            "tuple": lambda: (low, "a note", high),
            "list": lambda: [low, None, high],
            "dict": lambda: {"low": low, "deep": {"high": [high]}},
            "dataclass": lambda: (low, Made(high, "a note")),
            "named": lambda: Pair(low, high),
        }
        return forms[self.form]()


class Taking(nn.Module):
    """Takes what is wrapped, and may write into it."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.layer, self.function = draw.layer(), draw.function()

    def forward(self, wrapped: Any) -> Any:
        low, high = [tensor for _, tensor in tensors_in(wrapped)]
        return self.layer(self.function(high)) + low


class Wrapped(nn.Module):
    """One layer gives a tuple, list, dict or dataclass to the next."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.giving, self.taking = Giving(draw), Taking(draw)

    def forward(self, hidden: Tensor) -> Any:
        return self.taking(self.giving(hidden))


class Same(nn.Module):
    """A layer that returns the very tensor it is given, which may then be written into."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.same = nn.Dropout(0.5) if draw.rng.random() < 0.5 else nn.Identity()
        self.function, self.layer = draw.function(), draw.layer()

    def forward(self, hidden: Tensor) -> Any:
        same = self.function(self.same(hidden))
        return self.layer(same) + hidden


class Flattened(nn.Module):
    """A view of all units in a row, which is written into, and the tensor it is a view of."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.layer, self.flatten, self.function = draw.layer(), nn.Flatten(), draw.function()
        self.is_kept = draw.rng.random() < 0.5

    def forward(self, hidden: Tensor) -> Tensor:
        made: Tensor = self.layer(hidden)
        flat = self.function(self.flatten(made))  # (n, units * cells)
        shaped = flat.view(made.shape)
        return shaped + made if self.is_kept else shaped


class Pieces(nn.Module):
    """Two views of one tensor."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, whole: Tensor) -> Any:
        return whole.chunk(2, self.axis)


class Split(nn.Module):
    """Pieces of a tensor: one goes through a layer, another is written into and used later."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        half = draw.units // 2
        self.axis, self.way = draw.axis, draw.way("layer", "function", "narrow")
        self.pieces = Pieces(draw.axis) if self.way == "layer" else None
        self.layer, self.function = draw.layer(given=half, made=half), draw.function()

    def forward(self, hidden: Tensor) -> Tensor:
        low, high = self._split(hidden)
        low = self.layer(low)
        high = self.function(high)
        return torch.cat([high, low], self.axis)

    def _split(self, whole: Tensor) -> Any:
        if self.pieces is not None:
            return self.pieces(whole)
        if self.way == "function":
            return whole.split(whole.shape[self.axis] // 2, self.axis)
        half = whole.shape[self.axis] // 2
        return whole.narrow(self.axis, 0, half), whole.narrow(self.axis, half, half)


class Sliced(nn.Module):
    """Writes into some units of what a layer made, or of what the block was given."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.layer, self.last, self.axis = draw.layer(), draw.layer(), draw.axis
        self.writes_given = draw.rng.random() < 0.5

    def forward(self, hidden: Tensor) -> Any:
        made = self.layer(hidden)
        written = hidden if self.writes_given else made
        if self.axis == 1:
            written[:, :2] *= 0.5
        else:
            written[..., 1:3] += 0.25
        return self.last(made) + hidden


class Modulated(nn.Module):
    """A style scales the units, ahead of a layer or in place behind it."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.affine, self.layer = nn.Linear(STYLE, draw.units), draw.layer()
        self.shape = {"maps": (-1, 1, 1), "tokens": (1, -1), "vector": (-1,)}[draw.kind]
        self.is_behind = draw.rng.random() < 0.5

    def forward(self, hidden: Tensor, style: Tensor) -> Tensor:
        factors: Tensor = self.affine(style).view(len(style), *self.shape)
        if not self.is_behind:
            made: Tensor = self.layer(hidden * (1.0 + factors))
            return made
        hidden = self.layer(hidden)
        hidden *= 1.0 + factors
        return hidden


class Folded(nn.Module):
    """Units, tokens or samples share the first axis inside, so that it is not the batch."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.units = draw.units if draw.kind == "tokens" else draw.units // 2
        self.is_tokens = draw.kind == "tokens"
        self.layer = draw.layer(given=self.units, made=self.units)

    def forward(self, hidden: Tensor) -> Tensor:
        rest = () if self.is_tokens else hidden.shape[2:]
        folded: Tensor = self.layer(hidden.reshape(-1, self.units, *rest))
        return folded.reshape(hidden.shape)


class Placed(nn.Module):
    """Adds fixed levels: a buffer, and one that is made in the first forward and kept."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.register_buffer("amount", torch.randn(1))
        self.amount: Tensor
        self.layer = draw.layer()
        self.cached: Tensor | None = None

    def forward(self, hidden: Tensor) -> Any:
        if self.cached is None or self.cached.shape != hidden.shape[1:]:
            n_values = hidden.shape[1:].numel()
            self.cached = torch.linspace(-1.0, 1.0, n_values).to(hidden).view(hidden.shape[1:])
        return self.layer(hidden + self.amount * self.cached)


# Blocks for maps or tokens alone


class LastAxisNorm(nn.Module):
    """A norm over the units of maps, for which they are put last and back again."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(units)

    def forward(self, maps: Tensor) -> Any:
        return self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Up(nn.Module):
    """Maps of twice the side."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        units = draw.units
        self.function = draw.way("layers", "nearest", "bilinear")
        makers: list[Callable[[], nn.Module]] = [
            lambda: nn.Sequential(nn.Upsample(scale_factor=2), draw.layer()),
            lambda: nn.Sequential(nn.Conv2d(units, 4 * units, 1), nn.PixelShuffle(2)),
            lambda: nn.ConvTranspose2d(units, units, 4, stride=2, padding=1),
        ]
        self.layers = draw.rng.choice(makers)() if self.function == "layers" else draw.layer()

    def forward(self, maps: Tensor) -> Any:
        if self.function != "layers":
            maps = functional.interpolate(maps, scale_factor=2, mode=self.function)
        return self.layers(maps)


class PerSample(nn.Module):
    """A convolution with weights of its own for each sample, which the style has scaled.

    Source: StyleGAN2, Karras et al. 2020 (arXiv 1912.04958), section 2.2.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        units = draw.units
        self.affine = nn.Linear(STYLE, units)
        self.weight = nn.Parameter(torch.randn(1, units, units, 3, 3))
        self.activation = draw.activation()

    def forward(self, maps: Tensor, style: Tensor) -> Any:
        n, units, side, _ = maps.shape
        weights = self.weight * (1.0 + self.affine(style).view(n, 1, units, 1, 1))
        weights = weights * (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        grouped = maps.reshape(1, n * units, side, side)
        flat = weights.view(n * units, units, 3, 3)
        made = functional.conv2d(grouped, flat, padding=1, groups=n)
        return self.activation(made.view(n, units, side, side))


class Gated(nn.Module):
    """Each unit's mean over space decides how much of each is let through."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(draw.units, draw.units)]
        self.gate, self.layer = nn.Sequential(*pooled, nn.Sigmoid()), draw.layer()
        self.is_in_place = draw.rng.random() < 0.5

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.layer(maps)
        factors = self.gate(maps)[:, :, None, None]
        return maps.mul_(factors) if self.is_in_place else maps * factors


class Attending(nn.Module):
    """Tokens attend to each other, through torch's layer or by hand; maps as tokens."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        units = draw.units
        self.is_by_hand = draw.rng.random() < 0.5
        self.norm = nn.LayerNorm(units)
        if self.is_by_hand:
            self.three, self.out = nn.Linear(units, 3 * units), nn.Linear(units, units)
        else:
            self.attention = nn.MultiheadAttention(units, 2, batch_first=True)

    def forward(self, given: Tensor) -> Tensor:
        tokens = given.flatten(2).transpose(1, 2) if given.ndim == 4 else given
        mixed: Tensor = self._mixed(self.norm(tokens))
        tokens = tokens + mixed
        return tokens.transpose(1, 2).view(given.shape) if given.ndim == 4 else tokens

    def _mixed(self, tokens: Tensor) -> Any:
        if not self.is_by_hand:
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]
        queries, keys, values = self.three(tokens).chunk(3, -1)
        weights = (queries @ keys.mT / queries.shape[-1] ** 0.5).softmax(-1)  # (n, tokens, tokens)
        return self.out(weights @ values)


Make = Callable[[Draw], nn.Module]

PLAIN: list[Make] = [
    Draw.body,
    Residual,
    Dense,
    Shared,
    Repeated,
    Indexed,
    Wrapped,
    Same,
    Flattened,
    Split,
    Sliced,
    Folded,
    Placed,
]

PLAIN_OF: dict[Kind, list[Make]] = {
    "maps": [Gated, Attending],
    "tokens": [Attending, Attending],
    "vector": [],
}


# Hostile modules


class Hostile(nn.Module):
    """Four layers of eight units, and a forward that is written as a function of them."""

    def __init__(self, written: Trouble, extra: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.written = written
        self.first, self.middle = nn.Linear(LATENT, 8), nn.Linear(8, 8)
        self.later, self.last = nn.Linear(8, 8), nn.Linear(8, 16)
        self.same, self.extra = nn.Identity(), extra()

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.last(self.written(self, z)).view(-1, 1, 4, 4)
        return images


Trouble = Callable[[Any, Tensor], Any]
"""From a `Hostile` module and latents to what its last layer is given."""

HOSTILE: dict[str, Callable[[], nn.Module]] = {}
"""By what is hostile about them; each must be replayed rightly or refused."""


def hostile_module(name: str, *, seed: int = 0) -> nn.Module:
    """The hostile module of this name with random weights, float64, in eval mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return HOSTILE[name]().double().eval()


def hostile(
    *,
    extra: Callable[[], nn.Module] = nn.Identity,
    prepare: Callable[[Any], object] = lambda module: None,
) -> Callable[[Trouble], Trouble]:
    """Enter a forward under its name, with a layer `extra`, and something done to the module."""

    def entered(written: Trouble) -> Trouble:
        def make() -> nn.Module:
            module = Hostile(written, extra)
            prepare(module)
            return module

        HOSTILE[written.__name__.replace("_", " ")] = make
        return written

    return entered


class Doing(nn.Module):
    """A layer that is a function of what it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


def doing(function: Callable[..., Any]) -> Callable[[], nn.Module]:
    """Makes a layer that does so."""
    return lambda: Doing(function)


# Values decide


@hostile()
def branch_on_the_mean_over_the_batch(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) if hidden.mean() > 0 else hidden.tanh()


@hostile()
def branch_on_one_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) if hidden[0, 0] > 0 else net.later(-hidden) * 2.0


@hostile()
def branch_on_any_value(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return net.later(early) if (hidden > 1.0).any() else net.later(hidden)


@hostile()
def number_of_calls_by_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    for _ in range(3):
        hidden = net.later(hidden).tanh()
        if hidden.mean() < 0:
            break
    return hidden


@hostile()
def item_as_a_factor(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * hidden[0, 1].item() + hidden.max().item()


@hostile()
def item_of_an_upstream_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early)) * early[0, 1].item()


@hostile()
def through_a_list(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(torch.tensor(hidden.tolist(), dtype=z.dtype))


@hostile()
def through_numpy(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z)).detach()
    return net.later(torch.from_numpy(hidden.numpy() * 2.0))


@hostile()
def written_through_numpy(net: Any, z: Tensor) -> Any:
    early = net.first(z).detach()
    hidden = net.middle(early)
    early.numpy()[:, :4] *= 0.5
    return net.later(hidden) + early


@hostile()
def tensor_made_of_values(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * torch.tensor([*hidden[0]], dtype=z.dtype)


@hostile()
def branch_upstream(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return net.later(early) + hidden if early[0, 0] > 0 else net.later(hidden) + early


@hostile()
def number_of_calls_upstream(net: Any, z: Tensor) -> Any:
    hidden = net.first(z)
    for _ in range(1 + 3 * int(z[0, 0] > 0)):
        hidden = net.middle(hidden).tanh()
    return net.later(hidden)


@hostile()
def number_of_different_values(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * len(hidden.round().unique())


@hostile()
def error_that_values_decide(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    try:
        torch.linalg.cholesky(torch.diag_embed(hidden + 1.0))
    except RuntimeError:
        hidden = hidden * 2.0
    return net.later(hidden)


@hostile()
def slice_by_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    shift = int(hidden.sum().abs().item() * 10) % 8
    return net.later(hidden.roll(shift, 1))


@hostile()
def samples_chosen_by_a_mask(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    chosen = hidden[:, 0] > 0
    images = hidden.clone()
    images[chosen] = net.later(hidden[chosen])
    return images


@hostile()
def values_chosen_by_a_mask(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    hidden[hidden > 0] *= 0.5
    picked = hidden[hidden < 0]
    return net.later(hidden) + picked.sum() / 10.0


@hostile()
def sorted_units(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)).sort(dim=1).values)


@hostile()
def sorted_samples(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)).sort(dim=0).values)


@hostile(extra=lambda: nn.Embedding(5, 8))
def nearest_code(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    codes = torch.cdist(hidden, net.extra.weight).argmin(1)
    return net.later(net.extra(codes)) + 0.1 * hidden


# Samples influence each other, or their number decides


@hostile()
def mean_over_the_batch(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden - hidden.mean(0))


@hostile()
def deviation_over_everything(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden / hidden.std())


@hostile()
def mean_over_the_batch_upstream(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early - early.mean(0)))


@hostile(extra=doing(lambda hidden: _with_minibatch_deviation(hidden)))
def minibatch_deviation(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


def _with_minibatch_deviation(hidden: Tensor, n_group: int = 4) -> Tensor:
    """One more unit in place of the last, as in ProGAN, Karras et al. 2018 (arXiv 1710.10196)."""
    n = min(n_group, len(hidden)) if len(hidden) % min(n_group, len(hidden)) == 0 else len(hidden)
    groups = hidden.view(n, -1, hidden.shape[1])
    deviation = groups.std(0, correction=0).mean(1, keepdim=True).repeat(n, 1)  # (n, 1)
    return torch.cat([hidden[:, :-1], deviation], 1)


@hostile()
def squeezed(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z)).squeeze()
    return net.later((hidden - hidden.mean(0)).view(-1, 8))


@hostile()
def branch_on_one_sample(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden * 2.0) if len(hidden) == 1 else net.later(hidden)


@hostile()
def branch_on_more_than_four_samples(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden * 2.0) if hidden.shape[0] > 4 else net.later(hidden)


@hostile(extra=doing(lambda hidden: hidden / len(hidden)))
def divided_by_the_number_of_samples(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


@hostile(extra=lambda: Calling())
def child_called_twice_for_a_batch(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


class Calling(nn.Module):
    """Calls its child once more where there is more than one sample."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(8, 8)

    def forward(self, hidden: Tensor) -> Tensor:
        for _ in range(2 if len(hidden) > 1 else 1):
            hidden = self.child(hidden)
        return hidden


@hostile()
def number_of_samples_in_the_attention(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later((hidden @ hidden.T).softmax(-1) @ hidden)


@hostile()
def samples_influence_each_other_where_one_is_large(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden / (hidden.abs().max() / 5.0).clamp(min=1.0))


@hostile()
def units_influence_each_other_where_one_is_large(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    largest = hidden.abs().amax(1, keepdim=True)  # (n, 1)
    return net.later(hidden / (largest / 5.0).clamp(min=1.0))


# Noise


@hostile()
def noise_after(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden + torch.randn(len(hidden), 8, dtype=z.dtype))


@hostile()
def noise_before(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early + torch.randn_like(early)))


@hostile()
def noise_on_both_sides(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early + torch.randn_like(early))
    return net.later(hidden + torch.empty_like(hidden).normal_())


@hostile(extra=doing(lambda hidden: hidden + torch.randn_like(hidden)))
def noise_inside_layers(net: Any, z: Tensor) -> Any:
    return net.extra(net.later(net.extra(net.middle(net.extra(net.first(z))))))


@hostile()
def dropout_that_is_always_on(net: Any, z: Tensor) -> Any:
    hidden = functional.dropout(net.first(z), 0.3, training=True)
    return net.later(functional.dropout(net.middle(hidden), 0.3, training=True))


class Streaming(nn.Module):
    """Adds noise from a stream of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = torch.Generator()

    def forward(self, hidden: Tensor) -> Tensor:
        noise = torch.randn(hidden.shape, generator=self.stream, dtype=hidden.dtype)
        return hidden + noise


@hostile(extra=Streaming)
def stream_of_its_own(net: Any, z: Tensor) -> Any:
    return net.extra(net.later(net.middle(net.extra(net.first(z)))))


@hostile()
def more_noise_where_a_value_asks_for_it(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early + torch.randn_like(early))
    if hidden.mean() > 0.5:
        hidden = hidden + torch.randn_like(hidden)
    return net.later(hidden + torch.randn_like(hidden))


# Memory that several share


@hostile()
def upstream_written_later(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.mul_(0.5).add_(hidden)
    return net.later(hidden) + early


@hostile(extra=doing(lambda early, hidden: early.add_(hidden)))
def upstream_written_by_a_later_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    net.extra(early, hidden)
    return net.later(hidden) + early


@hostile()
def upstream_written_through_its_data(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.data.mul_(0.5)
    return net.later(hidden) + early


@hostile()
def upstream_given_other_memory(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.data = early.data * 0.5
    return net.later(hidden) + early


@hostile(extra=doing(lambda early: early[:, :4]))
def view_of_upstream_written_later(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    view = net.extra(early)
    hidden = net.middle(early)
    view.mul_(0.5)
    return net.later(hidden) + early


@hostile(extra=doing(lambda early: early.t()))
def upstream_written_and_its_view_read(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    view = net.extra(early)
    hidden = net.middle(early)
    early.add_(hidden)
    return net.later(hidden) + view.t()


@hostile()
def same_tensor_written_under_another_name(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    same = net.same(early)
    hidden = net.middle(early)
    same += 1.0
    return net.later(hidden) + early


@hostile()
def branch_on_identity(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    same = net.same(early)
    hidden = net.middle(early)
    return net.later(hidden) if same is early else hidden


@hostile(extra=doing(lambda hidden: hidden[:1].expand(len(hidden), -1)))
def branch_on_the_layout(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    spread = net.extra(early)
    hidden = net.middle(early)
    return net.later(hidden) if spread.stride(0) == 0 else hidden


@hostile(extra=doing(lambda early: early.t().contiguous().t()))
def memory_read_in_its_order(net: Any, z: Tensor) -> Any:
    turned = net.extra(net.first(z))
    return net.later(net.middle(turned)) + turned.as_strided((len(z), 8), (8, 1))


class Scratch(nn.Module):
    """Returns memory of its own, which its next call overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        if self.memory is None or self.memory.shape != hidden.shape:
            self.memory = torch.empty_like(hidden)
        return torch.mul(hidden, 0.5, out=self.memory)


@hostile(extra=Scratch)
def memory_that_the_next_call_overwrites(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    halved = net.extra(hidden)
    return net.later(halved) + early


def _ends_in_extra(net: Any) -> None:
    net.last = nn.Sequential(net.last, net.extra)


@hostile(extra=Scratch, prepare=_ends_in_extra)
def images_in_memory_that_the_next_forward_overwrites(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


# What no tensor shows


class Keeping(nn.Module):
    """Keeps what it returns, for another layer to read."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Any = None

    def forward(self, hidden: Tensor) -> Tensor:
        self.kept = hidden.tanh()
        return hidden * 0.5


@hostile(extra=Keeping)
def output_kept_on_a_layer(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.extra(net.first(z)))
    return net.later(hidden) + net.extra.kept


@hostile(extra=Keeping)
def output_kept_on_a_layer_and_written(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.extra(net.first(z)))
    net.extra.kept += hidden
    return net.later(hidden) + net.extra.kept


class Counting(nn.Module):
    """Acts on how often it has run since the forward began."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, hidden: Tensor) -> Tensor:
        self.calls.append(len(self.calls))
        return hidden * len(self.calls)


@hostile(extra=Counting)
def calls_are_counted(net: Any, z: Tensor) -> Any:
    net.extra.calls = []
    hidden = net.extra(net.first(z))
    hidden = net.extra(net.middle(hidden))
    return net.extra(net.later(hidden)) * sum(net.extra.calls)


class Tracking(nn.Module):
    """Writes into buffers that no image depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(8))
        self.register_buffer("n_forwards", torch.zeros(()))
        self.level: Tensor
        self.n_forwards: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        self.level.lerp_(hidden.mean(0), 0.1)
        self.n_forwards += 1
        return hidden


@hostile(extra=Tracking)
def buffers_written_in_eval_mode(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.extra(net.first(z)))))


class Passing(nn.Module):
    """Passes something on in a buffer, which each forward overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(8))
        self.level: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        self.level.copy_(hidden[0])
        return hidden


@hostile(extra=Passing)
def buffer_written_and_read(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    return net.later(hidden) + net.extra.level


class Doubling(nn.Linear):
    """Does more when it is called than a module does."""

    def __call__(self, hidden: Tensor) -> Any:
        return super().__call__(hidden) * 2.0


@hostile(extra=lambda: Doubling(8, 8))
def layer_with_a_call_of_its_own(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    return net.extra(net.later(net.middle(early)))


@hostile()
def layer_copied_in_the_forward(net: Any, z: Tensor) -> Any:
    early = copy.deepcopy(net.first)(z)
    hidden = copy.deepcopy(net.later)(net.middle(net.first(z) + early))
    return net.later(hidden)


@hostile()
def weights_made_by_a_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return torch.func.functional_call(net.later, {"bias": hidden.mean(0)}, (early,)) + hidden


@hostile()
def layer_called_past_its_hooks(net: Any, z: Tensor) -> Any:
    return net.later.forward(net.middle(net.first.forward(z)))


@hostile()
def keyword_arguments(net: Any, z: Tensor) -> Any:
    return net.later(input=net.middle(input=net.first(input=z)))


@hostile(extra=doing(lambda hidden, levels: levels.append(hidden.tanh())))
def list_that_a_layer_fills(net: Any, z: Tensor) -> Any:
    levels: list[Tensor] = []
    early = net.first(z)
    net.extra(early, levels)
    hidden = net.middle(early)
    net.extra(hidden, levels)
    return net.later(hidden) + sum(levels)


@hostile(extra=doing(lambda hidden, levels: levels.update(level=hidden.tanh()) or hidden))
def dict_that_a_layer_fills(net: Any, z: Tensor) -> Any:
    levels: dict[str, Tensor] = {}
    early = net.extra(net.first(z), levels)
    return net.later(net.middle(early)) + levels["level"]


@hostile(extra=doing(lambda hidden: [hidden.tanh(), hidden.sin()]))
def list_that_the_forward_empties(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    levels = net.extra(early)
    hidden = net.middle(early)
    levels.append(hidden)
    while levels:
        hidden = net.later(hidden) + levels.pop()
    return hidden


def _halve(hidden: Tensor) -> None:
    hidden.mul_(0.5)


@hostile(extra=doing(_halve))
def layer_that_writes_and_returns_nothing(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    net.extra(early)
    hidden = net.middle(early)
    net.extra(hidden)
    return net.later(hidden) + early


@hostile(extra=doing(lambda hidden: hidden.mul_(0.5).tanh()))
def layer_that_writes_and_returns_another(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    bent = net.extra(early)
    return net.later(net.middle(early)) + bent + early


@hostile(extra=doing(lambda hidden: (hidden * level for level in (1.0, 2.0))))
def layer_that_returns_an_iterator(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    levels = net.extra(early)
    hidden = net.middle(early)
    return sum(levels, net.later(hidden))


@hostile(extra=doing(lambda hidden: SimpleNamespace(level=hidden.tanh(), n_reads=0)))
def layer_that_returns_an_object(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    held = net.extra(early)
    hidden = net.middle(early)
    held.level += hidden
    held.n_reads += 1
    return net.later(hidden) + held.level * held.n_reads


@hostile(extra=doing(lambda hidden: lambda other: hidden.mul_(0.5) + other))
def layer_that_returns_a_function(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    added = net.extra(early)
    return net.later(added(net.middle(early)))


def _marked(hidden: Any) -> Any:
    marked = hidden * 1.0
    marked.factor = 3.0
    return marked


@hostile(extra=doing(_marked))
def tensor_with_an_attribute(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    return net.later(hidden) * getattr(early, "factor", 1.0)


@hostile()
def errors_caught(net: Any, z: Tensor) -> Any:
    hidden = z.new_zeros(len(z), 8)
    for layer in (net.first, net.middle, net.later):
        try:
            hidden = layer(hidden if layer is not net.first else z)
        except Exception:
            hidden = hidden * 0.0
    return hidden


class Recursive(nn.Module):
    """Calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, hidden: Tensor, depth: int = 2) -> Any:
        made = self.linear(hidden).tanh()
        return made + self(made, depth - 1) if depth else made


@hostile(extra=Recursive)
def layer_that_calls_itself(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


# Hooks and rewritten weights


def _hooked(layer: str, hook: Callable[..., Any]) -> Callable[[Any], object]:
    return lambda net: getattr(net, layer).register_forward_hook(hook)


@hostile(prepare=_hooked("first", lambda layer, args, output: output * 2.0))
def hook_that_changes_an_output(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early)) + early


@hostile(prepare=_hooked("middle", lambda layer, args, output: output.tanh()))
def hook_at_the_site(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _halves_inputs(net: Any) -> None:
    for layer in (net.first, net.later):
        layer.register_forward_pre_hook(lambda layer, args: (args[0] * 0.5,))


@hostile(prepare=_halves_inputs)
def pre_hook_that_changes_an_input(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _keeps_outputs(net: Any) -> None:
    net.outputs = {}
    for name in ("first", "middle"):
        layer = getattr(net, name)
        layer.register_forward_hook(partial(_keep_output, net.outputs, name))


def _keep_output(outputs: dict[str, Tensor], name: str, *call: Any) -> None:
    outputs[name] = call[-1]


@hostile(prepare=_keeps_outputs)
def hook_that_keeps_what_is_read_later(net: Any, z: Tensor) -> Any:
    net.outputs.clear()
    hidden = net.middle(net.first(z))
    return net.later(hidden) + net.outputs["first"] + net.outputs["middle"]


def _normed(net: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for layer in (net.first, net.later):
            spectral_norm(layer)
        weight_norm(net.middle)


@hostile(prepare=_normed)
def norms_of_weights_as_hooks(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _parametrised(net: Any) -> None:
    parametrizations.spectral_norm(net.first)
    parametrizations.weight_norm(net.middle)
    parametrize.register_parametrization(net.later, "weight", nn.Tanh())


@hostile(prepare=_parametrised)
def norms_of_weights_as_parametrisations(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


# Other ways to run


@hostile()
def checkpointed(net: Any, z: Tensor) -> Any:
    hidden = checkpoint(net.first, z, use_reentrant=False)
    return checkpoint(lambda given: net.later(net.middle(given)), hidden, use_reentrant=False)


@hostile()
def gradient_inside(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    with torch.enable_grad():
        moved = early.detach().requires_grad_()
        energy = net.middle(moved).square().sum()
        (slope,) = torch.autograd.grad(energy, moved)
    return net.later(early - 0.3 * slope)


@hostile()
def upstream_in_inference_mode(net: Any, z: Tensor) -> Any:
    with torch.inference_mode():
        early = net.first(z)
    return net.later(net.middle(early)) + early


@hostile()
def each_sample_by_itself(net: Any, z: Tensor) -> Any:
    early = torch.stack([net.first(latent) for latent in z])
    return net.later(net.middle(early))


@hostile()
def upstream_in_another_thread(net: Any, z: Tensor) -> Any:
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(torch.no_grad()(net.first), z).result()
    return net.later(net.middle(early)) + early


@hostile()
def downstream_in_another_thread(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(torch.no_grad()(net.later), hidden).result()
    return later + net.extra(early)


@hostile()
def complex_numbers(net: Any, z: Tensor) -> Any:
    spectrum = net.same(torch.fft.fft(net.first(z)))
    return net.later(net.middle(spectrum.abs()) + spectrum.real)


@hostile()
def samples_last(net: Any, z: Tensor) -> Any:
    turned = net.same(net.first(z).t())
    return net.later(net.middle(turned.t()) + turned.t())


@hostile()
def latents_written_into(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    z *= 0.5
    return net.later(net.middle(early)) + functional.pad(z, (0, 2))
