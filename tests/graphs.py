"""Random graphs of layers, to replay parts of.

They are wired as published generators are: branches, skips, shared and repeated layers, styles,
views, writes in place. Samples do not influence each other and nothing depends on values, so that
what lies upstream of an edit is the same whatever the edit is. Each takes latents (n, 6) in
float64 and gives images (n, 1, 4, 4); building one takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe.nested import tensors_in
from modules import LATENT, Made, Pair

__all__ = ["Graph", "random_graph"]

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
