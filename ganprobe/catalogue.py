"""What the installed plugins offer, looked up by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ganprobe.errors import (
    ParameterError,
    PluginError,
    UnknownNameError,
    blaming,
)
from ganprobe.plugins import DISABLE_VARIABLE, PluginRecord, plugins
from ganprobe.segmenters import AREA, AreaMeasure, Segmenter, check_segmenter

if TYPE_CHECKING:
    from ganprobe.analysis import Analysis
    from ganprobe.generators import Generator
    from ganprobe.latents import LatentSpace
    from ganprobe.loaders import GeneratorLoader
    from ganprobe.measures import Measure
    from ganprobe.nested import Path as NestedPath
    from ganprobe.normalisation import Normalisation
    from ganprobe.weight_files import Trust

__all__ = [
    "FoundMeasures",
    "every_measure",
    "every_segmenter",
    "find_analysis",
    "find_generator",
    "find_measure",
    "find_segmenter",
    "load",
    "working_measures",
]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def load(
    spec: str,
    *,
    weights: Path | str | None = None,
    weights_key: str | None = None,
    arguments: Mapping[str, object] | None = None,
    factory: str | None = None,
    part: str | None = None,
    method: str | None = None,
    latent: int | tuple[int, ...] | LatentSpace | None = None,
    image_range: tuple[float, float] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    output: NestedPath | str | int | None = None,
    unit_axes: Mapping[str, int] | None = None,
    chosen_class: int | str | None = None,
    truncation: float | None = None,
    normalisation: Normalisation | None = None,
    code: Path | str | None = None,
    trust: bool | Trust = False,
) -> Generator:
    """Anybody's generator, in eval mode on the CPU.

    What is not said is looked up in the ``ganprobe.toml`` of its folder, or else found out by a
    few forwards, or asked for; `Generator.notes` tells what was found out.

    Args:
        spec: a registered name (``"digits"``); ``"package.module:factory"`` or
            ``"file.py:factory"``; a checkpoint, an archive of TorchScript or ``torch.export``, an
            NVIDIA pickle; a model folder; ``"hf:owner/name"``; ``"hub:owner/repo:entry"``.
        weights: a checkpoint, for a factory that gives none.
        weights_key: the entry of it that is meant, as ``"g_ema"``, where it holds several.
        arguments: of the factory.
        factory: ``"package.module:name"`` or ``"file.py:name"``, for a checkpoint or folder that
            names none.
        part: of what the factory returns, as ``"generator"`` or ``"models.g_ema"``.
        method: that makes images, as ``"decode"``, where it is not forward.
        latent: its size, its shape, or a `LatentSpace`.
        image_range: the values of black and white.
        image_shape: (channels, height, width), where images come flat.
        output: where the images are in what the module returns.
        unit_axes: by site or pattern, which axis its units are on.
        chosen_class: of a class-conditional generator, by number or name; ``"all"``: all in turn;
            None: as the generator says, else all in turn.
        truncation: as for `Generator.with_truncation`.
        normalisation: which statistics its batch normalisation goes by, as for
            `Generator.with_normalisation`; None: as described, else ``"eval"``.
        code: the folder of the code that a pickle needs.
        trust: whether code may run that you did not name yourself: of a model folder, a
            pickle, or torch.hub. What runs, and its SHA-256, stands in `Generator.source`;
            with a `Trust` it is said before it runs.

    Raises:
        UnknownNameError: there is no such generator, class, argument; names the nearest.
        UsageError: something has to be given; `ParameterError`, something given does not fit;
            `UntrustedError`, code would run that is not trusted.
        WeightsError: a file of weights cannot be read, or does not fit.
        FactoryError, PluginError, ForwardError: code that makes it, or its forward, raised.

    Example:
        >>> load("digits").latent_space.distribution
        'normal'
    """
    from ganprobe.loading import LoadOptions, load_spec, what_else
    from ganprobe.weight_files import Trust as _Trust

    options = LoadOptions(
        weights=None if weights is None else Path(weights),
        weights_key=weights_key,
        arguments=dict(arguments or {}),
        factory=factory,
        part=part,
        method=method,
        latent=(latent,) if isinstance(latent, int) else latent,
        image_range=image_range,
        image_shape=image_shape,
        output=(output,) if isinstance(output, str | int) else output,
        unit_axes=unit_axes,
        normalisation=normalisation,
        code=None if code is None else Path(code),
        trust=_Trust(trust) if isinstance(trust, bool) else trust,
    )
    try:
        generator = load_spec(spec, options=options)
    except UnknownNameError as error:
        if error.kind != "generator":
            raise
        names = [loader.name for plugin in plugins() for loader in plugin.generators]
        raise _unknown("generator", spec, names, what_else(spec)) from None
    if chosen_class is not None:
        named = () if generator.classes is None else generator.classes.names
        is_all = chosen_class == "all" and "all" not in named
        generator = generator.with_class(None if is_all else chosen_class)
    return generator if truncation is None else generator.with_truncation(truncation)


def find_generator(name: str) -> GeneratorLoader:
    """The loader of this name, or `UnknownNameError`."""
    offered = [loader for plugin in plugins() for loader in plugin.generators]
    return _find("generator", name, offered, "list them: ganprobe generators")


def find_measure(name: str, *, trust: bool | Trust = False) -> Measure:
    """The measure of this name, as ``digit``, ``area:scenes`` or ``network:models/lenet``.

    Args:
        trust: whether files that execute code may be read, as for `load`.

    Raises:
        UnknownNameError: no plugin offers it; names the nearest.
        ParameterError: what stands behind its colon does not fit, or has to stand there.
        UntrustedError: code would run that is not trusted.
        PluginError: it raised something else, or what it made of its argument is no measure.
    """
    return FoundMeasures(trust)(name)


class FoundMeasures:
    """Finds measures by name, each once, and knows which came from somebody's files.

    Args:
        trust: as for `find_measure`.
    """

    def __init__(self, trust: bool | Trust = False) -> None:
        from ganprobe.weight_files import Trust as _Trust

        self._trust = _Trust(trust) if isinstance(trust, bool) else trust
        self._found: dict[str, Measure] = {}

    def __call__(self, name: str) -> Measure:
        """As `find_measure`."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def to_json(self) -> dict[str, Any]:
        """Where those that have a source came from, by name, as provenance keeps it."""
        return {name: dict(one.source) for name, one in self._found.items() if one.source}

    def _find(self, name: str) -> Measure:
        if name.startswith(AREA):
            return AreaMeasure(find_segmenter(name.removeprefix(AREA), find_measure=self))
        offered = [measure for plugin in plugins() for measure in plugin.measures]
        own_name, colon, argument = name.partition(":")
        measure = _find("measure", own_name, offered, "list them: ganprobe plugins")
        if not argument:
            _check_colon("measure", measure, name, colon, measure.columns)
            return measure
        with blaming(f"measure {name!r}", type(measure).__module__):
            made = measure.with_argument(argument, self._trust)
        if not made.columns:
            raise PluginError(f"measure {name!r} has no columns")
        return made


def find_segmenter(name: str, *, find_measure: Callable[[str], Measure] | None = None) -> Segmenter:
    """The segmenter of this name, as ``scenes`` or ``luminance:5``, or `UnknownNameError`.

    Args:
        find_measure: finds a measure that it is made of, as ``class:digit``; None: as always.

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
    if not argument:
        _check_colon("segmenter", segmenter, name, colon, segmenter.classes)
        return segmenter
    with blaming(f"segmenter {name!r}", type(segmenter).__module__):
        made = segmenter.with_argument(argument, find_measure or FoundMeasures())
    check_segmenter(made)
    if not made.classes:
        raise PluginError(f"segmenter {name!r} has no classes")
    return made


def _check_colon(
    kind: str, found: Measure | Segmenter, name: str, colon: str, named: tuple[str, ...]
) -> None:
    """Raise if something had to stand behind a colon, or a colon stands for nothing."""
    if colon or not named:
        fault = "needs something behind its colon" if found.argument else "takes no colon"
        raise ParameterError(f"{kind} {name!r} {fault}; write {found.written}")


def every_measure() -> list[Measure]:
    """All measures that the installed plugins offer, each name once, without those to be told more.

    With them the areas of each segmenter that is made for images of one shape.
    """
    offered = [one for plugin in plugins() for one in plugin.measures if one.columns]
    segmenters = [segmenter for plugin in plugins() for segmenter in plugin.segmenters]
    areas = [AreaMeasure(one) for one in segmenters if one.image_shape is not None]
    return list({measure.name: measure for measure in [*offered, *areas]}.values())


def every_segmenter() -> list[Segmenter]:
    """All segmenters that the installed plugins offer, each name once."""
    offered = [segmenter for plugin in plugins() for segmenter in plugin.segmenters]
    return list({segmenter.name: segmenter for segmenter in offered}.values())


def working_measures(
    image_shape: tuple[int, ...], say: Callable[[str], None] = lambda sentence: None
) -> list[Measure]:
    """Those of `every_measure` that take images of a shape, each tried on two of them.

    What an analysis is given that asks for all measures: one that raises must not end it.

    Args:
        image_shape: (channels, height, width).
        say: is told of each that is left out, and why.
    """
    import torch

    black_and_white = torch.zeros(2, *image_shape)
    black_and_white[1] = 1.0
    working = []
    for measure in every_measure():
        try:
            if measure.fits(image_shape):
                measure(black_and_white)
                working.append(measure)
        except Exception as error:
            say(f"measure {measure.name!r} is left out: {error}")
    return working


def find_analysis(name: str) -> type[Analysis[Any]]:
    """The analysis of this name, or `UnknownNameError`."""
    offered = {one.name: one for plugin in plugins() for one in plugin.analyses}
    if name not in offered:
        raise _unknown("analysis", name, offered, "list them: ganprobe run --help")
    return offered[name]


def _find(kind: str, name: str, offered: Iterable[N], hint: str) -> N:
    by_name = {offer.name: offer for offer in offered}
    if name not in by_name:
        raise _unknown(kind, name, by_name, hint)
    return by_name[name]


def _unknown(kind: str, name: str, known: Iterable[str], hint: str) -> UnknownNameError:
    """What to say of a name that nobody offers: why not, where a plugin would that is not loaded.

    That it would is known where it said so before it failed, or where it has that name itself.
    """
    missing = [one for one in plugins() if one.state != "loaded"]
    ours = [one for one in missing if (kind, name) in one.claimed or one.name == name]
    if ours:
        hint = "; ".join(map(_why_missing, ours))
    elif missing:
        names = ", ".join(one.name for one in missing)
        hint = f"{hint}; not loaded, and why: ganprobe plugins: {names}"
    return UnknownNameError(kind, name, known, hint=hint)


def _why_missing(record: PluginRecord) -> str:
    if record.state == "disabled":
        return f"{record.spoken} is switched off by {DISABLE_VARIABLE}"
    return f"{record.spoken} failed: {record.reason}"
