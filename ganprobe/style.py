"""StyleGANs: networks that map z to w and draw with one w for each style, as generators.

`style_generator` takes the two kinds that there are: those with ``mapping`` and ``synthesis``, as
NVIDIA's StyleGAN2-ADA and StyleGAN3, and those in which one module is all, called with
``input_is_latent`` and ``randomize_noise``, as of rosinality, BasicSR and spandrel. Both become a
`StyleGenerator`, whose layers ``mapping`` and ``w_plus`` return w and one w for each style, so that
both are sites to record, edit and walk in.

Where a network holds no mean of w, it is estimated once, from 4 096 samples through the mapping
network: about a second for one of eight layers of 512.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganprobe.calls import Call
from ganprobe.classes import Classes
from ganprobe.errors import ParameterError, ShapeError, UsageError
from ganprobe.generators import Generator
from ganprobe.latents import LatentSpace

__all__ = ["LayerNoise", "StyleGenerator", "is_style_network", "style_generator"]

LayerNoise = Literal["random", "fixed", "none"]
"""What each layer adds: noise that each forward draws, that the network holds, or none."""

_MEAN_SAMPLES, _MEAN_SEED, _MEAN_BATCH = 4096, 0, 256
_MODES: dict[LayerNoise, str] = {"random": "random", "fixed": "const", "none": "none"}


def style_generator(
    network: nn.Module,
    *,
    name: str | None = None,
    truncation: float | None = None,
    cutoff: int | None = None,
    noise: LayerNoise = "random",
    w_mean: Tensor | None = None,
    classes: Classes | None = None,
    image_range: tuple[float, float] = (-1.0, 1.0),
    source: Mapping[str, Any] | None = None,
) -> Generator:
    """The generator of a StyleGAN, with its sites ``mapping`` (w) and ``w_plus``.

    Args:
        network: of one of the two kinds, in eval mode, with its weights; it is not changed.
        truncation: psi, how far w is from its mean; another later by
            `Generator.with_truncation`. None: 1.0, no truncation.
        cutoff: of the first so many styles alone; None: of all.
        noise: ``"random"`` is drawn in each forward, and belongs to the sample; ``"fixed"`` is that
            of the network, the same for all samples; ``"none"`` leaves it out.
        w_mean: (w,), towards which truncation pulls; None: that of the network, else of 4 096
            samples of seed 0.
        classes: of a class-conditional network, with their names; None: numbered.
        name, image_range, source: as for `Generator.from_module`.

    Raises:
        UsageError: the network is of neither kind, or in train mode.
        ParameterError: a cutoff or noise that there is not, or classes that do not fit.
        ShapeError: a mean of another shape.

    Source:
        Karras et al. 2019 (arXiv 1812.04948), section 3 and appendix B; Karras et al. 2020 (arXiv
        1912.04958).
    """
    if noise not in get_args(LayerNoise):
        raise ParameterError(f"noise is random, fixed or none, got {noise!r}")
    kind = _kind(network)
    if kind is None:
        raise UsageError(
            f"{type(network).__name__} is no StyleGAN that is known: it has neither `mapping` and"
            " `synthesis`, as NVIDIA's, nor a forward with `input_is_latent` and"
            " `randomize_noise`, as rosinality's; load it as any other module"
        )
    module = kind(network, noise)
    classes = _checked_classes(classes, module.n_classes)
    notes = _set_truncation(module, w_mean, classes, cutoff)
    given = {} if classes is None else {"classes": "$one-hot"}
    generator = Generator.from_module(
        module,
        latent=module.z_size,
        name=name or type(network).__name__,
        image_range=image_range,
        w_site="mapping",
        w_plus_site="w_plus",
        classes=classes,
        call=Call(("$z",), {**given, "truncation": "$truncation"}),
        source=source,
        notes=notes,
    )
    return generator if truncation is None else generator.with_truncation(truncation)


def is_style_network(module: nn.Module) -> bool:
    """Whether `style_generator` takes it."""
    return _kind(module) is not None


class StyleGenerator(nn.Module, ABC):
    """Latents z to w, w to one for each style, and those to images.

    Its layer ``mapping`` returns w (n, w) as it comes; ``w_plus`` returns (n, styles, w), pulled
    towards the mean w by the truncation; ``synthesis`` draws with them. Made by `style_generator`.

    Args:
        mapping: takes z (n, z), and classes (n, classes) one-hot where there are any.
        synthesis: the network, or the part of it, that draws.
        n_styles: how many w an image is drawn with.
        z_size: of a latent.
        n_classes: 0 where the network is not class-conditional.
        noise: of the layers.
        mean: (w,), if the network holds it.
    """

    def __init__(
        self,
        mapping: nn.Module,
        synthesis: nn.Module,
        *,
        n_styles: int,
        z_size: int,
        n_classes: int,
        noise: LayerNoise,
        mean: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.mapping, self.w_plus, self.synthesis = mapping, StyleLayer(n_styles, mean), synthesis
        self.z_size, self.n_classes, self.noise = z_size, n_classes, noise
        self.training = self.w_plus.training = synthesis.training

    def forward(self, z: Tensor, classes: Tensor | None = None, truncation: float = 1.0) -> Tensor:
        """Images (n, channels, height, width).

        Args:
            classes: (n, classes) one-hot.
            truncation: psi: 1.0 leaves w as it is, 0.0 makes it the mean.
        """
        w = self.mapping(z) if classes is None else self.mapping(z, classes)
        return self.draw(self.w_plus(w, truncation))

    @abstractmethod
    def draw(self, styles: Tensor) -> Tensor:
        """The images of one w for each style, (n, styles, w)."""


class StyleLayer(nn.Module):
    """From w (n, w) to one w for each style (n, styles, w), pulled towards the mean.

    Args:
        mean: (w,), which is not known before it is set.
    """

    def __init__(self, n_styles: int, mean: Tensor | None) -> None:
        super().__init__()
        self.n_styles = n_styles
        self.cutoff = n_styles
        self.register_buffer("mean", None if mean is None else mean.detach().clone())
        self.mean: Tensor | None

    def forward(self, w: Tensor, truncation: float) -> Tensor:
        styles = w.unsqueeze(1).repeat(1, self.n_styles, 1)  # (n, styles, w)
        if truncation == 1.0:
            return styles
        assert self.mean is not None  # style_generator has set it
        pulled = self.mean + truncation * (styles[:, : self.cutoff] - self.mean)
        return torch.cat([pulled, styles[:, self.cutoff :]], dim=1)


class SplitStyleGenerator(StyleGenerator):
    """NVIDIA's: mapping(z, c) and synthesis(ws, noise_mode=...)."""

    def __init__(self, network: Any, noise: LayerNoise) -> None:
        average = getattr(network.mapping, "w_avg", None)
        is_known = average is not None and bool(average.any())  # 0: it was never updated
        super().__init__(
            _FirstOfStyles(network.mapping),
            network.synthesis,
            n_styles=int(_first(network, network.mapping, network.synthesis, name="num_ws")),
            z_size=int(_first(network, network.mapping, name="z_dim")),
            n_classes=int(_first(network, network.mapping, name="c_dim", default=0)),
            noise=noise,
            mean=average if is_known else None,
        )

    def draw(self, styles: Tensor) -> Tensor:
        keywords = {"noise_mode": _MODES[self.noise], "force_fp32": not styles.is_cuda}
        images: Tensor = self.synthesis(styles, **_accepted(self.synthesis, keywords))
        return images


class _FirstOfStyles(nn.Module):
    """A mapping network of NVIDIA's, which returns the same w for each style."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.training = network, network.training

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        w: Tensor = self.network(z, classes)
        return w if w.ndim == 2 else w[:, 0]


class JointStyleGenerator(StyleGenerator):
    """Rosinality's: one module, which takes w for each style where it is told so."""

    def __init__(self, network: Any, noise: LayerNoise) -> None:
        mapping = _first(network, name=("style_mlp", "style"))
        super().__init__(
            mapping,
            network,
            n_styles=int(_first(network, name=("num_latent", "n_latent"))),
            z_size=int(_first(network, name=("num_style_feat", "style_dim"))),
            n_classes=0,
            noise=noise,
        )

    def draw(self, styles: Tensor) -> Tensor:
        noise = None
        if self.noise == "none":
            n_layers = int(_first(self.synthesis, name="num_layers"))
            noise = [styles.new_zeros(1, 1, 1, 1)] * n_layers
        returned = self.synthesis(
            [styles], input_is_latent=True, noise=noise, randomize_noise=self.noise == "random"
        )
        images: Tensor = returned[0] if isinstance(returned, tuple | list) else returned
        return images


def _kind(network: nn.Module) -> type[SplitStyleGenerator | JointStyleGenerator] | None:
    children = {name for name, _ in network.named_children()}
    if {"mapping", "synthesis"} <= children and hasattr(network.mapping, "num_ws"):
        return SplitStyleGenerator
    arguments = inspect.signature(network.forward).parameters
    takes_w = {"input_is_latent", "randomize_noise"} <= arguments.keys()
    return JointStyleGenerator if takes_w and children & {"style_mlp", "style"} else None


def _first(*holders: Any, name: str | tuple[str, ...], default: Any = None) -> Any:
    """What the first of these is called so by that has it."""
    names = (name,) if isinstance(name, str) else name
    for holder in holders:
        for one in names:
            if hasattr(holder, one):
                return getattr(holder, one)
    if default is None:
        kinds = " and ".join(type(holder).__name__ for holder in holders)
        raise UsageError(f"{kinds} should say {' or '.join(names)}, as a StyleGAN does")
    return default


def _accepted(module: nn.Module, keywords: Mapping[str, object]) -> dict[str, object]:
    """Those that a module takes."""
    parameters = inspect.signature(module.forward).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return dict(keywords)
    return {name: value for name, value in keywords.items() if name in parameters}


def _checked_classes(classes: Classes | None, n_classes: int) -> Classes | None:
    n_given = 0 if classes is None else classes.count
    if classes is not None and n_given != n_classes:
        raise ParameterError(f"the network has {n_classes} classes, got {n_given}")
    return Classes(n_classes) if classes is None and n_classes else classes


def _set_truncation(
    module: StyleGenerator, w_mean: Tensor | None, classes: Classes | None, cutoff: int | None
) -> tuple[str, ...]:
    """Have the mean and the cutoff known; what is to be said about them."""
    styles, notes = module.w_plus, tuple[str, ...]()
    styles.cutoff = _checked_cutoff(cutoff, styles.n_styles)
    if w_mean is not None:
        styles.mean = _checked_mean(w_mean)
    elif styles.mean is None:
        styles.mean = _mean_w(module, classes)
        notes = (
            f"the mean w, which truncation pulls to, is that of {_MEAN_SAMPLES:,} samples of seed"
            f" {_MEAN_SEED}",
        )
    return notes


def _mean_w(module: StyleGenerator, classes: Classes | None) -> Tensor:
    """(w,) of the first samples of a seed, of all classes in turn.

    In float64, so that rounded to float32 it is the same on every machine.
    """
    like = next(module.mapping.parameters(), torch.zeros(()))
    mapping = copy.deepcopy(module.mapping).double()
    space, sums = LatentSpace((module.z_size,)), []
    for start in range(0, _MEAN_SAMPLES, _MEAN_BATCH):
        indices = range(start, min(start + _MEAN_BATCH, _MEAN_SAMPLES))
        given = [space.sample(indices, seed=_MEAN_SEED).z.to(like.device, torch.float64)]
        if classes is not None:
            labels = Classes(classes.count).labels(indices).to(like.device)
            given.append(functional.one_hot(labels, classes.count).double())
        with torch.no_grad():
            sums.append(mapping(*given).double().sum(0))
    return (torch.stack(sums).sum(0) / _MEAN_SAMPLES).to(like.dtype)


def _checked_mean(given: Tensor) -> Tensor:
    if given.ndim > 1 and given.numel() == given.shape[-1]:  # (1, w), as rosinality's code has it
        given = given.reshape(-1)
    if given.ndim != 1:
        raise ShapeError(f"a mean w is (w,), got {tuple(given.shape)}")
    return given.detach().clone()


def _checked_cutoff(cutoff: int | None, n_styles: int) -> int:
    if cutoff is not None and not 0 <= cutoff <= n_styles:
        raise ParameterError(f"a cutoff is from 0 to {n_styles} styles, got {cutoff}")
    return n_styles if cutoff is None else cutoff
