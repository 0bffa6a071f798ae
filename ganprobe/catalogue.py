"""What the installed plugins offer, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ganprobe.errors import (
    GanprobeError,
    ParameterError,
    PluginError,
    UnknownNameError,
    line_of_plugin,
)
from ganprobe.plugins import plugins
from ganprobe.segmenters import AREA, AreaMeasure, Segmenter, check_segmenter

if TYPE_CHECKING:
    from ganprobe.analysis import Analysis
    from ganprobe.generators import Generator
    from ganprobe.loaders import GeneratorLoader
    from ganprobe.measures import Measure
    from ganprobe.normalisation import Normalisation

__all__ = [
    "every_measure",
    "every_segmenter",
    "find_analysis",
    "find_generator",
    "find_measure",
    "find_segmenter",
    "load",
]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def load(name: str, *, normalisation: Normalisation = "eval") -> Generator:
    """The generator of this name, in eval mode on the CPU.

    Args:
        normalisation: which statistics its batch normalisation goes by, as for
            `Generator.with_normalisation`.

    Raises:
        UnknownNameError: no plugin offers it; names the nearest.
        ParameterError, UsageError: as `Generator.with_normalisation`.

    Example:
        >>> load("digits").latent_space.distribution
        'normal'
    """
    return find_generator(name).make().with_normalisation(normalisation)


def find_generator(name: str) -> GeneratorLoader:
    """The loader of this name, or `UnknownNameError`."""
    offered = [loader for plugin in plugins() for loader in plugin.generators]
    return _find("generator", name, offered, "list them: ganprobe generators")


def find_measure(name: str) -> Measure:
    """The measure of this name, or `UnknownNameError`; ``area:scenes`` is that of a segmenter."""
    if name.startswith(AREA):
        return AreaMeasure(find_segmenter(name.removeprefix(AREA)))
    offered = [measure for plugin in plugins() for measure in plugin.measures]
    return _find("measure", name, offered, "list them: ganprobe plugins")


def find_segmenter(name: str) -> Segmenter:
    """The segmenter of this name, as ``scenes`` or ``luminance:5``, or `UnknownNameError`.

    Raises:
        UnknownNameError: no plugin offers it; names the nearest.
        ParameterError: what stands behind its colon does not fit, or has to stand there.
        PluginError: it raised something else, or what it made of its argument is no segmenter.

    Example:
        >>> find_segmenter("luminance:3").classes
        ('dark', 'medium', 'bright')
    """
    offered = [segmenter for plugin in plugins() for segmenter in plugin.segmenters]
    own_name, colon, argument = name.partition(":")
    segmenter = _find("segmenter", own_name, offered, "list them: ganprobe plugins")
    if argument:
        return _with_argument(segmenter, argument)
    if colon or not segmenter.classes:
        fault = "needs something behind its colon" if segmenter.argument else "takes no colon"
        raise ParameterError(f"segmenter {name!r} {fault}; write {segmenter.written}")
    return segmenter


def _with_argument(segmenter: Segmenter, argument: str) -> Segmenter:
    written = f"{segmenter.name}:{argument}"
    try:
        made = segmenter.with_argument(argument, find_measure)
    except GanprobeError:
        raise
    except Exception as error:
        where = line_of_plugin(error, type(segmenter).__module__)
        raise PluginError(
            f"segmenter {written!r} raised {type(error).__name__}: {error}{where}"
        ) from error
    check_segmenter(made)
    if not made.classes:
        raise PluginError(f"segmenter {written!r} has no classes")
    return made


def every_measure() -> list[Measure]:
    """All measures that the installed plugins offer, each name once.

    With them the areas of each segmenter that is made for images of one shape.
    """
    offered = [measure for plugin in plugins() for measure in plugin.measures]
    segmenters = [segmenter for plugin in plugins() for segmenter in plugin.segmenters]
    areas = [AreaMeasure(one) for one in segmenters if one.image_shape is not None]
    return list({measure.name: measure for measure in [*offered, *areas]}.values())


def every_segmenter() -> list[Segmenter]:
    """All segmenters that the installed plugins offer, each name once."""
    offered = [segmenter for plugin in plugins() for segmenter in plugin.segmenters]
    return list({segmenter.name: segmenter for segmenter in offered}.values())


def find_analysis(name: str) -> type[Analysis[Any]]:
    """The analysis of this name, or `UnknownNameError`."""
    for plugin in plugins():
        for analysis in plugin.analyses:
            if analysis.name == name:
                return analysis
    known = [analysis.name for plugin in plugins() for analysis in plugin.analyses]
    raise UnknownNameError("analysis", name, known, hint="list them: ganprobe run --help")


def _find(kind: str, name: str, offered: Iterable[N], hint: str) -> N:
    by_name = {offer.name: offer for offer in offered}
    if name not in by_name:
        raise UnknownNameError(kind, name, by_name, hint=hint)
    return by_name[name]
