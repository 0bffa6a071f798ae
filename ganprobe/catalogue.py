"""What the installed plugins offer, looked up by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ganprobe.errors import UnknownNameError
from ganprobe.plugins import plugins

if TYPE_CHECKING:
    from ganprobe.analysis import Analysis
    from ganprobe.generators import Generator
    from ganprobe.loaders import GeneratorLoader
    from ganprobe.measures import Measure
    from ganprobe.normalisation import Normalisation

__all__ = ["every_measure", "find_analysis", "find_generator", "find_measure", "load"]


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
    """The measure of this name, or `UnknownNameError`."""
    offered = [measure for plugin in plugins() for measure in plugin.measures]
    return _find("measure", name, offered, "list them: ganprobe plugins")


def every_measure() -> list[Measure]:
    """All measures that the installed plugins offer, each name once."""
    offered = [measure for plugin in plugins() for measure in plugin.measures]
    return list({measure.name: measure for measure in offered}.values())


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
