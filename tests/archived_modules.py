"""Generators of many kinds, written as others write theirs, and archives made of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import Trust
from ganprobe.archives import load_export, load_torchscript

__all__ = [
    "LATENT",
    "MODULES",
    "WAYS",
    "archived",
    "built",
    "exported",
    "pair",
    "scripted",
    "traced",
]

LATENT = 6


class Dcgan(nn.Module):
    """Transposed convolutions, batch normalisation and ReLU in place, in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(LATENT, 8, 4, 1, 0, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(4, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.main(z[:, :, None, None])
        return images


class Modulated(nn.Module):
    """A convolution whose input each sample's style scales, as in StyleGAN2, and noise."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.affine = nn.Linear(8, n_in)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.register_buffer("noise", torch.randn(1, 1, 1, 1))
        self.noise: Tensor

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w)
        made = functional.conv2d(maps * styles[:, :, None, None], self.weight, padding=1)
        squares = self.weight.square().sum(dim=[2, 3])  # (out, in)
        norm = torch.rsqrt(styles.square() @ squares.t() + 1e-8)
        return made * norm[:, :, None, None] + 0.1 * self.noise


class Grouped(Modulated):
    """The same with weights of its own for each sample, in groups: one for each of the batch."""

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        n, channels, height, width = maps.shape
        weight = self.weight[None] * self.affine(w)[:, None, :, None, None]
        norm = torch.rsqrt(weight.square().sum(dim=[2, 3, 4]) + 1e-8)
        weight = weight * norm[:, :, None, None, None]  # (n, out, in, 3, 3)
        grouped = maps.reshape(1, n * channels, height, width)
        kernels = weight.reshape(-1, channels, 3, 3)
        made = functional.conv2d(grouped, kernels, padding=1, groups=n)
        return made.reshape(n, -1, height, width) + 0.1 * self.noise


class StyleGan(nn.Module):
    """A mapping network, a constant, and blocks that w modulates; a list of styles in between."""

    kind: type[Modulated] = Modulated

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(LATENT, 8), nn.LeakyReLU(0.2), nn.Linear(8, 8))
        self.constant = nn.Parameter(torch.randn(1, 4, 4, 4))
        self.convs = nn.ModuleList([self.kind(4, 4), self.kind(4, 4)])
        self.to_rgb = nn.Conv2d(4, 3, 1)

    def forward(self, z: Tensor) -> Tensor:
        normalised = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        styles = [self.mapping(normalised)]
        while len(styles) < 2:
            styles.append(styles[-1] * 0.5)
        maps = self.constant.repeat(z.shape[0], 1, 1, 1)
        for place, conv in enumerate(self.convs):
            maps = functional.interpolate(maps, scale_factor=2.0, mode="bilinear")
            maps = functional.leaky_relu(conv(maps, styles[place]), 0.2)
        images: Tensor = self.to_rgb(maps)
        return images


class GroupedStyleGan(StyleGan):
    """The usual implementation, whose trace holds the number of samples as that of groups."""

    kind = Grouped


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; it returns two things."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        added = self.second(torch.relu(self.norm(self.first(maps))))
        return maps + added, added


class Residual(nn.Module):
    """Residual blocks whose second results are kept in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, 4 * 16)
        self.blocks = nn.ModuleList([ResidualBlock(), ResidualBlock()])
        self.norm = nn.GroupNorm(2, 4)
        self.last = nn.Conv2d(4, 1, 3, padding=1, padding_mode="reflect")

    def forward(self, z: Tensor) -> Tensor:
        maps = self.first(z).view(-1, 4, 4, 4)
        kept: dict[str, Tensor] = {}
        for block in self.blocks:
            maps, added = block(maps)
            kept["added"] = added
        images: Tensor = self.last(self.norm(maps) + kept["added"]).sigmoid()
        return images


class Attention(nn.Module):
    """Attention over the places of an image, by hand and by torch, with layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(LATENT, 16 * 4), nn.LayerNorm(4)
        self.query, self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.last = nn.Conv1d(4, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        tokens = self.norm(self.first(z).view(z.size(0), 16, 4))
        query, key, value = self.query(tokens), self.key(tokens), self.value(tokens)
        weights = torch.softmax(query @ key.transpose(1, 2) / query.size(-1) ** 0.5, dim=-1)
        tokens = tokens + self.gain * (weights @ value)
        tokens = tokens + functional.scaled_dot_product_attention(query, key, value)
        images: Tensor = self.last(tokens.transpose(1, 2)).view(-1, 1, 4, 4)
        return images


class Shared(nn.Module):
    """One activation and one layer called twice, one of them under two names; tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.LeakyReLU(0.1, inplace=True)
        self.first, self.hidden = nn.Linear(LATENT, 8), nn.Linear(8, 8)
        self.again, self.tied = self.hidden, nn.Linear(8, 8)
        self.tied.weight = self.hidden.weight
        self.last = nn.Linear(8, 16)

    def forward(self, z: Tensor) -> Tensor:
        hidden = self.act(self.hidden(self.act(self.first(z))))
        hidden = self.tied(self.act(self.again(hidden)))
        images: Tensor = self.last(hidden).view(-1, 1, 4, 4)
        return images


class Branching(nn.Module):
    """Loops, conditions on values, early returns, assertions and strings."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Linear(LATENT, 2 * 16), nn.Conv2d(2, 2, 3, padding=1)
        self.mode = "nearest"
        self.times = 3

    def grown(self, maps: Tensor, factor: float) -> Tensor:
        assert factor > 0, "a factor is above 0"
        return functional.interpolate(maps, scale_factor=factor, mode=self.mode)

    def forward(self, z: Tensor, steps: int = 2) -> Tensor:
        maps: Tensor = self.first(z).view(-1, 2, 4, 4)
        sizes: list[int] = []
        for step in range(self.times):
            if step == 1:
                continue
            if step > 5:
                break
            maps = self.conv(maps)
            sizes.append(maps.size(2))
        if float(maps.detach().mean()) > 1e6:
            return maps
        if self.training:
            maps = functional.dropout(maps, 0.5)
        kinds = {"sum": len(sizes), "side": sizes[-1]}
        while steps > 0:
            maps = self.grown(maps, 2.0) if steps == 2 else torch.tanh(maps)
            steps -= 1
        return maps * float(kinds["sum"]) if kinds["side"] == 4 else maps


MODULES: dict[str, type[nn.Module]] = {
    "attention": Attention,
    "branching": Branching,
    "dcgan": Dcgan,
    "grouped": GroupedStyleGan,
    "residual": Residual,
    "shared": Shared,
    "stylegan": StyleGan,
}
WAYS = {
    **dict.fromkeys(MODULES, ("traced", "scripted", "exported")),
    "branching": ("scripted",),
    "grouped": ("scripted", "exported"),
}
"""The kinds of archive that can hold each, for batches of any size."""


def built(kind: type[nn.Module], dtype: torch.dtype = torch.float32) -> nn.Module:
    """A generator with random weights and statistics, in eval mode."""
    torch.manual_seed(0)
    module = kind()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return module.eval().to(dtype)


def traced(module: nn.Module, path: Path) -> Path:
    """A TorchScript archive that tracing makes."""
    _save(lambda: torch.jit.trace(module, _latents(module)), path)
    return path


def scripted(module: nn.Module, path: Path) -> Path:
    """A TorchScript archive that scripting makes."""
    _save(lambda: torch.jit.script(module), path)
    return path


def exported(module: nn.Module, path: Path) -> Path:
    """A torch.export archive for batches of any size."""
    size = torch.export.Dim("n")
    program = torch.export.export(module, (_latents(module),), dynamic_shapes=({0: size},))
    torch.export.save(program, path)
    return path


@cache
def pair(name: str, kind: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.Module]:
    """One of `MODULES`, and the same back from an archive; made once, and left as they are."""
    module = built(MODULES[name], dtype)
    with TemporaryDirectory() as folder:
        return module, archived(kind, module, Path(folder))


def archived(kind: str, module: nn.Module, folder: Path) -> nn.Module:
    """The module back from an archive: of kind ``traced``, ``scripted`` or ``exported``."""
    if kind == "exported":
        return load_export(exported(module, folder / "net.pt2"), trust=Trust())
    make = traced if kind == "traced" else scripted
    return load_torchscript(make(module, folder / "net.pt"), trust=Trust())


def _save(make: Callable[[], Any], path: Path) -> None:
    with warnings.catch_warnings():
        # torch announces that TorchScript will go, and that a trace keeps Python's numbers.
        warnings.filterwarnings("ignore", r".*torch.jit", FutureWarning)
        warnings.filterwarnings("ignore", r".*torch.jit", DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit._trace.TracerWarning)
        make().save(str(path))


def _latents(module: nn.Module) -> Tensor:
    dtype = next(module.parameters()).dtype
    return torch.randn(3, LATENT, generator=torch.Generator().manual_seed(9)).to(dtype)
