"""Offers: what a plugin's hooks gave, checked one by one; and who holds which name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ganprobe.analysis import Analysis
from ganprobe.errors import PluginError
from ganprobe.loaders import GeneratorLoader
from ganprobe.measures import Measure
from ganprobe.params import Params, check_params, flag_name
from ganprobe.segmenters import AREA, Segmenter, check_segmenter

__all__ = ["CHECKS", "RESERVED_FLAGS", "Claims", "Offers"]

RESERVED_FLAGS = frozenset(
    {
        *("generator", "output", "seed", "device", "force", "help", "schema"),
        *("activations", "latents", "normalisation"),
        *("weights", "weights_key", "set", "arguments", "factory", "part", "forward", "latent"),
        *(
            "image_range",
            "image_shape",
            "class",
            "chosen_class",
            "truncation",
            "unit_axis",
            "unit_axes",
        ),
        *("code", "trust"),
    }
)
"""Names that the command line gives to every analysis itself."""

_WORD = re.compile(r"\w[\w-]*")


class Offers(NamedTuple):
    """All that one plugin offers."""

    generators: tuple[GeneratorLoader, ...]
    analyses: tuple[type[Analysis[Any]], ...]
    measures: tuple[Measure, ...]
    segmenters: tuple[Segmenter, ...]

    def names(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of everything offered."""
        return (
            *(("generator", loader.name) for loader in self.generators),
            *(("analysis", analysis.name) for analysis in self.analyses),
            *(("measure", measure.name) for measure in self.measures),
            *(("segmenter", segmenter.name) for segmenter in self.segmenters),
        )


@dataclass
class Claims:
    """Which plugin holds which name, so that a second claim fails instead of hiding the first."""

    holders: dict[tuple[str, str], str] = field(default_factory=dict)

    def check(self, plugin: str, names: Iterable[tuple[str, str]]) -> None:
        """Raise `PluginError` where a name is taken, saying by which plugin of which distribution.

        Args:
            plugin: as it is spoken of, ``plugin 'zoo' (ganprobe 0.1.0)``.
        """
        own = set[tuple[str, str]]()
        for kind, name in names:
            holder = self.holders.get((kind, name), plugin if (kind, name) in own else None)
            if holder is not None:
                raise PluginError(
                    f"the {kind} name {name!r} is taken by {holder}; give yours another name"
                )
            own.add((kind, name))

    def take(self, plugin: str, names: Iterable[tuple[str, str]]) -> None:
        """The names are this plugin's from now on."""
        self.holders.update(dict.fromkeys(names, plugin))


def _check_loader(offer: object) -> None:
    if not isinstance(offer, GeneratorLoader):
        raise PluginError(f"register_generators gave {offer!r}, which is no GeneratorLoader")
    _check_attributes(offer, "a GeneratorLoader", {"name": str, "summary": str})
    if not callable(offer.make):
        raise PluginError(f"generator {offer.name!r} needs a function make, got {offer.make!r}")


def _check_analysis(offer: object) -> None:
    if not (isinstance(offer, type) and issubclass(offer, Analysis)):
        raise PluginError(f"register_analyses gave {offer!r}, which is no Analysis class")
    if inspect.isabstract(offer):
        raise PluginError(f"analysis {offer.__name__} does not define run")
    _check_attributes(offer, offer.__name__, {"name": str, "summary": str})
    if not _WORD.fullmatch(offer.name):
        raise PluginError(f"analysis {offer.name!r} is no word of letters, digits, - and _")
    params = getattr(offer, "Params", None)
    if not (isinstance(params, type) and issubclass(params, Params)):
        raise PluginError(f"analysis {offer.__name__} needs a class Params, got {params!r}")
    check_params(params, offer.name)
    flags = {flag_name(name).replace("-", "_"): name for name in params.model_fields}
    if taken := sorted(RESERVED_FLAGS & flags.keys()):
        name = flags[taken[0]]
        raise PluginError(f"analysis {offer.__name__} has a parameter {name!r}, which is ours")


def _check_measure(offer: object) -> None:
    if not isinstance(offer, Measure):
        raise PluginError(f"register_measures gave {offer!r}, which is no Measure")
    kinds = {"name": str, "summary": str, "columns": tuple}
    _check_attributes(offer, type(offer).__name__, kinds)
    _check_image_shape(offer, f"measure {offer.name!r}")
    if offer.name.startswith(AREA):
        raise PluginError(f"measure {offer.name!r} starts with {AREA!r}, which is ours")
    takes_one = type(offer).with_argument is not Measure.with_argument
    if takes_one != bool(offer.argument):
        raise PluginError(
            f"measure {offer.name!r} needs both, or neither: with_argument, and 'argument', which"
            " says what it takes"
        )
    if not offer.columns and not takes_one:
        raise PluginError(f"measure {offer.name!r} has no columns")


def _check_segmenter(offer: object) -> None:
    if not isinstance(offer, Segmenter):
        raise PluginError(f"register_segmenters gave {offer!r}, which is no Segmenter")
    check_segmenter(offer)
    _check_image_shape(offer, f"segmenter {offer.name!r}")
    if not _WORD.fullmatch(offer.name):
        raise PluginError(
            f"segmenter {offer.name!r} has more in its name than letters, digits, - and _; its"
            " argument comes behind a colon, its class behind = or a dot"
        )


def _check_image_shape(offer: Measure | Segmenter, spoken: str) -> None:
    shape: object = offer.image_shape
    is_shape = isinstance(shape, tuple) and [type(size) for size in shape] == [int, int, int]
    if shape is not None and not is_shape:
        raise PluginError(
            f"{spoken} takes images of image_shape {shape!r}; it is (channels, height, width), or"
            " None for any"
        )


def _check_attributes(offer: object, spoken: str, kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        if not isinstance(getattr(offer, name, None), kind):
            raise PluginError(f"{spoken} needs an attribute {name!r}, a {kind.__name__}")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "register_generators": _check_loader,
    "register_analyses": _check_analysis,
    "register_measures": _check_measure,
    "register_segmenters": _check_segmenter,
}
"""For each hook, what looks at one thing that it gave and raises `PluginError` where it is wrong;
in the order of `Offers`."""
