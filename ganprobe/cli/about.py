"""What commands say about a generator: its latents, images, classes, and where its w are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ganprobe.classes import Classes
    from ganprobe.generators import Generator
    from ganprobe.probe import Probe

__all__ = ["conditions", "summary", "times"]

_MOST_NAMES = 6


def summary(probe: Probe) -> str:
    """Latents, images and size, in a line."""
    generator = probe.generator
    low, high = generator.image_range
    n_parameters = sum(parameter.numel() for parameter in generator.module.parameters())
    return (
        f"{generator.name}: {_prior(generator)} latents {times(generator.latent_space.shape)} ->"
        f" images {times(probe.image_shape)} in [{low:g}, {high:g}], {n_parameters:,} parameters"
        f"{', draws noise in its forward' if probe.layers().draws_noise else ''}"
    )


def conditions(probe: Probe) -> Iterator[str]:
    """The summary, then what there is of classes, intermediate latents, truncation."""
    generator = probe.generator
    yield summary(probe)
    if generator.classes is not None:
        yield f"classes: {_spoken(generator.classes)}"
    if generator.w_site is not None:
        at = f", w_plus at {generator.w_plus_site}" if generator.w_plus_site else ""
        yield f"intermediate latents: w at {generator.w_site}{at}"
    if generator.truncation is not None:
        yield f"truncation: {generator.truncation:g}"
    elif generator.call is not None and "$truncation" in generator.call.places:
        yield "truncation: none (1); choose one with --truncation"
    if generator.normalisation != "eval":
        yield f"normalisation: {generator.normalisation}"


def times(shape: Iterable[int]) -> str:
    """A shape as it is read: 1 x 28 x 28."""
    return " x ".join(map(str, shape))


def _prior(generator: Generator) -> str:
    space = generator.latent_space
    if space.distribution == "normal":
        return "normal"
    return f"{space.distribution} (±{space.bound:g})"


def _spoken(classes: Classes) -> str:
    names = f" ({', '.join(classes.names[:_MOST_NAMES])}" if classes.names else ""
    if names:
        names += ", ...)" if classes.count > _MOST_NAMES else ")"
    if classes.chosen is None:
        return f"{classes.count}{names}, all in turn; choose one with --class"
    return f"{classes.count}{names}, chosen: {classes.name(classes.chosen)}"
