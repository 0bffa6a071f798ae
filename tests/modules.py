"""Purpose-built modules: every way in which a forward can be wired, each with an editable site.

Each writes its forward once, with the edit by hand where the site is: `compute(z, by_hand)` is
the rewritten forward that the engine's hooks are compared with, and `forward` is the same with
nothing done by hand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe.engine import find_draws, same_noise

__all__ = ["SUBJECTS", "ByHand", "Rewritten", "Subject", "noise_of_a_run"]

LATENT = 6

ByHand = Callable[[Tensor], Tensor]


def nothing(tensor: Tensor) -> Tensor:
    return tensor


def noise_of_a_run(module: nn.Module, n: int) -> AbstractContextManager[None]:
    """The noise that a run of samples 0 to n - 1 has, for a forward by hand."""
    draws = find_draws(module, lambda k: module(torch.zeros(k, LATENT, dtype=torch.float64)))
    return same_noise(module, 0, range(n), draws)


class Rewritten(nn.Module, ABC):
    """A module whose forward can also be run with an edit by hand at its site."""

    def forward(self, z: Tensor) -> Tensor:
        return self.compute(z, nothing)

    @abstractmethod
    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        """The images, (n, channels, height, width), with `by_hand` done where the site is."""


class Wide(Rewritten):
    """(n, units): a multi-layer perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(LATENT, 8), nn.Linear(8, 16)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = by_hand(self.first(z)).sigmoid()
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 4, 4)


class Maps(Rewritten):
    """(n, units, y, x), with an operation in place on what the site returned."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 3 * 16), nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        maps = by_hand(self.conv(self.first(z).view(-1, 3, 4, 4)))
        functional.leaky_relu_(maps, 0.2)
        return torch.as_tensor(self.last(maps))


class Tokens(Rewritten):
    """(n, tokens, units): attention over tokens, which returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = nn.Linear(LATENT, 9 * 8), nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.Linear(8, 1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        tokens = by_hand(self.mix(self.first(z).view(-1, 9, 8)))
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return torch.as_tensor(self.last(mixed + tokens)).view(-1, 1, 3, 3)


class Sequences(Rewritten):
    """(n, units, length): one-dimensional convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 2 * 9), nn.Conv1d(2, 8, 3, padding=1)
        self.last = nn.Conv1d(8, 1, 1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        sequence = by_hand(self.conv(self.first(z).view(-1, 2, 9)))
        return torch.as_tensor(self.last(sequence.tanh())).view(-1, 1, 3, 3)


class Repeated(Rewritten):
    """One layer three times; the site is its second call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(LATENT, 8), nn.Linear(8, 8)
        self.last = nn.Linear(8, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = self.first(z)
        for call in range(3):
            hidden = self.again(hidden)
            hidden = (by_hand(hidden) if call == 1 else hidden).tanh()
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 2, 2)


class EveryCall(Repeated):
    """The same; the site is all three calls."""

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = self.first(z)
        for _ in range(3):
            hidden = by_hand(self.again(hidden)).tanh()
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 2, 2)


class Shared(Rewritten):
    """One module under two names, each called once; the site is written with the second name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, 8)
        self.one = nn.Linear(8, 8)
        self.other = self.one
        self.last = nn.Linear(8, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = by_hand(self.one(self.first(z))).tanh()
        hidden = by_hand(self.other(hidden)).tanh()
        return torch.as_tensor(self.last(hidden)).view(-1, 1, 2, 2)


class Residual(Rewritten):
    """What goes into the edited branch also goes past it, and on to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 8 * 16), nn.Conv2d(8, 8, 3, padding=1)
        self.drop, self.last = nn.Dropout(0.5), nn.Conv2d(24, 1, 1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        start = self.first(z).view(-1, 8, 4, 4)
        branch = by_hand(self.drop(start))  # returns the very tensor that it is given
        block = start + self.conv(branch)
        return torch.as_tensor(self.last(torch.cat([block, start, branch], dim=1)))


class InPlace(Rewritten):
    """A layer that writes into what it is given, and whose return value is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 3 * 16), nn.Conv2d(3, 8, 3, padding=1)
        self.act, self.last = nn.ReLU(inplace=True), nn.Conv2d(8, 1, 1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        maps = self.conv(self.first(z).view(-1, 3, 4, 4))
        self.act(maps)
        if by_hand is not nothing:
            maps = by_hand(maps)
        return torch.as_tensor(self.last(maps))


class Views(Rewritten):
    """The site returns one piece of a larger tensor, which the forward goes on to use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left = nn.Linear(LATENT, 16), Half()
        self.last = nn.Linear(8, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        whole = self.first(z)
        half = by_hand(self.left(whole))
        return torch.as_tensor(self.last(half * whole[:, 8:])).view(-1, 1, 2, 2)


class Half(nn.Module):
    def forward(self, whole: Tensor) -> Tensor:
        return whole[:, :8]


class Pair(NamedTuple):
    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class Made:
    """What some libraries return from a decoder."""

    sample: Tensor
    note: str


class Giving(nn.Module):
    """Returns its values wrapped as asked, beside something that is no tensor."""

    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.wrap = nn.Linear(LATENT, 8), wrap

    def forward(self, z: Tensor) -> Any:
        return self.wrap(self.linear(z))


class Wrapped(Rewritten):
    """The site is inside a tuple, a dict, a named tuple, a dataclass, or several of them."""

    def __init__(self, wrap: Callable[[Tensor], Any], take: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.giving, self.take = Giving(wrap), take
        self.last = nn.Linear(8, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        values = by_hand(self.take(self.giving(z)))
        return torch.as_tensor(self.last(values.tanh())).view(-1, 1, 2, 2)


class Given(Rewritten):
    """The site is an input, given by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.taking, self.last = nn.Linear(LATENT, 8), Taking(), nn.Linear(16, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = self.first(z)
        product = self.taking(2.0, values=by_hand(hidden))
        return torch.as_tensor(self.last(torch.cat([product, hidden], 1))).view(-1, 1, 2, 2)


class Taking(nn.Module):
    def forward(self, factor: float, *, values: Tensor) -> Tensor:
        return factor * values.tanh()


class Input(Rewritten):
    """The site is what a layer is given, not what the layer before returned."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(LATENT, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        hidden = self.first(z)
        return torch.as_tensor(self.last(self.second(by_hand(hidden)) + hidden)).view(-1, 1, 2, 2)


class Noisy(Rewritten):
    """Draws noise inside its forward, ahead of the site and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 3 * 16), nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        maps = self.first(z).view(-1, 3, 4, 4)
        maps = by_hand(self.conv(maps + torch.randn_like(maps)))
        return torch.as_tensor(self.last(maps + torch.randn_like(maps)))


class Inside(Rewritten):
    """The site is a block of layers, the second of which is a site of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, 3 * 16)
        self.block = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def compute(self, z: Tensor, by_hand: ByHand) -> Tensor:
        return torch.as_tensor(self.last(by_hand(self.block(self.first(z).view(-1, 3, 4, 4)))))


@dataclass(frozen=True)
class Subject:
    """A module, its site of 8 units, and which axis they are on."""

    name: str
    make: Callable[[], Rewritten]
    site: str
    unit_axis: int = 1

    def module(self, seed: int) -> Rewritten:
        """The module with random weights, float64, in eval mode."""
        torch.manual_seed(seed)
        return self.make().double().eval()


def wrapped(wrap: Callable[[Tensor], Any], take: Callable[[Any], Tensor]) -> Any:
    return lambda: Wrapped(wrap, take)


SUBJECTS = [
    Subject("wide", Wide, "first"),
    Subject("maps", Maps, "conv"),
    Subject("tokens", Tokens, "mix", unit_axis=2),
    Subject("sequences", Sequences, "conv"),
    Subject("second-call", Repeated, "again@1"),
    Subject("every-call", EveryCall, "again"),
    Subject("shared", Shared, "other"),
    Subject("residual", Residual, "drop"),
    Subject("in-place", InPlace, "act"),
    Subject("views", Views, "left"),
    Subject("tuple", wrapped(lambda t: ("a", t), lambda got: got[1]), "giving:out[1]"),
    Subject("list", wrapped(lambda t: [t, 3], lambda got: got[0]), "giving:out[0]"),
    Subject("dict", wrapped(lambda t: {"high": t}, lambda got: got["high"]), "giving:out[high]"),
    Subject("named", wrapped(lambda t: Pair(t, t + 1), lambda got: got.low), "giving:out[0]"),
    Subject("dataclass", wrapped(lambda t: Made(t, "n"), lambda g: g.sample), "giving:out[sample]"),
    Subject("alone", wrapped(lambda t: (t, None), lambda got: got[0]), "giving"),
    Subject(
        "nested",
        wrapped(lambda t: {"deep": ("a", [t])}, lambda got: got["deep"][1][0]),
        "giving:out[deep][1][0]",
    ),
    Subject("keyword", Given, "taking:in[values]"),
    Subject("input", Input, "second:in"),
    Subject("noisy", Noisy, "conv"),
    Subject("block", Inside, "block"),
    Subject("inside-a-block", Inside, "block.1"),
]
