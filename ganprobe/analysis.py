"""Analysis: a plugin's verb, and the context that it runs in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ganprobe.errors import PluginError, UnknownNameError, blaming
from ganprobe.params import Params
from ganprobe.progress import Progress, silent
from ganprobe.results import Result
from ganprobe.sample_choices import SampleChoice, split_column
from ganprobe.surroundings import Surroundings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganprobe.activation_source import ActivationSource
    from ganprobe.generators import Generator
    from ganprobe.latents import Latents
    from ganprobe.measures import Measure
    from ganprobe.probe import Probe
    from ganprobe.runs import Run
    from ganprobe.segmenters import Segmenter
    from ganprobe.sites import Site
    from ganprobe.spaces import Space

__all__ = ["Analysis", "Context", "run_analysis"]

P = TypeVar("P", bound=Params)
_MOST_CHANGES = 3  # in one sentence


@dataclass(frozen=True)
class Context:
    """What an analysis may touch.

    Args:
        probe: of the generator that is analysed.
        seed: of every random choice.
        find_measure: looks a measure up by name.
        progress: shows how far long work is: ``with context.progress(100, "walks") as bar``.
        activations_file: an activation store that `activations` reads; None: there is none.
        list_measures: all measures that there are, also those that do not fit the images.
        chosen: the samples that `sample` gives instead of those of the seed; None: no others.
        find_segmenter: looks a segmenter up by name, as ``"scenes"`` or ``"luminance:5"``.
        list_segmenters: all segmenters that there are, also those that do not fit the images.
    """

    probe: Probe
    seed: int
    find_measure: Callable[[str], Measure]
    progress: Progress = silent
    activations_file: Path | None = None
    list_measures: Callable[[], Sequence[Measure]] = tuple
    chosen: SampleChoice | None = None
    find_segmenter: Callable[[str], Segmenter] | None = None
    list_segmenters: Callable[[], Sequence[Segmenter]] = tuple

    def sample(self, n_samples: int, *, start: int = 0, fewest: int | None = None) -> Latents:
        """Samples start, start + 1, ... of those that the analysis is to look at.

        They are those of the seed; or, with ``--latents``, the ones that it names.

        Args:
            fewest: so many are enough where ``--latents`` names no more; None: all are needed.

        Raises:
            ParameterError: it names too few; and as `latents`.
        """
        if self.chosen is None:
            return self.generator.sample(n_samples, seed=self.seed, start=start)
        return self.latents(self.chosen, n_samples, skip=start, fewest=fewest)

    def space(self, name: str) -> Space:
        """Where points are walked or added: ``"z"``, ``"w"`` or a site, as ``"conv2"``.

        Raises:
            ParameterError: ``"w"``, and the generator does not say where that is.
            UnknownNameError, SiteError: there is no such site, or it is no space.
        """
        from ganprobe.spaces import Space

        return Space.of(self.probe, name)

    def measures(self) -> list[Measure]:
        """All measures that take this generator's images, in the order of their names."""
        fitting = [one for one in self.list_measures() if one.fits(self.probe.image_shape)]
        return sorted(fitting, key=lambda measure: measure.name)

    def segmenters(self) -> list[Segmenter]:
        """All segmenters that take this generator's images, in the order of their names."""
        fitting = [one for one in self.list_segmenters() if one.fits(self.probe.image_shape)]
        return sorted(fitting, key=lambda segmenter: segmenter.name)

    def activations(
        self,
        sites: str | Site | Sequence[str | Site],
        n_samples: int,
        *,
        images: bool = False,
        batch_size: int = 64,
    ) -> Iterator[Run]:
        """Samples 0 to `n_samples` - 1 of the seed: latents, activations and, if asked, images.

        They come from the activation store that was given, else from the generator; with the
        batch size that the store was recorded with, the values are the same to the last bit. A
        store in another dtype (``ganprobe record --dtype``) holds rounded values.

        Returns:
            A `Run` for each batch, on the probe's device: ``run.latents``, ``run["conv2"]``,
            ``run.images``.

        Raises:
            StoreError: the store is of other weights, another seed, or does not hold all of it.
            UnknownNameError, SiteError: the generator has no such site.
        """
        return self._source.batches(sites, n_samples, images=images, batch_size=batch_size)

    def chosen_activations(
        self,
        sites: str | Site | Sequence[str | Site],
        samples: Sequence[int],
        n_samples: int,
        *,
        images: bool = False,
        batch_size: int = 64,
    ) -> Iterator[Run]:
        """Only these of the samples that `activations` gives, in the order of their numbers.

        A store is read where they are; without one they alone are generated again.

        Args:
            samples: their numbers, each once, below `n_samples`.

        Raises:
            ParameterError: there is no such sample.
            StoreError, UnknownNameError, SiteError: as `activations`.
        """
        return self._source.chosen(sites, samples, n_samples, images=images, batch_size=batch_size)

    def latents(
        self,
        choice: SampleChoice | str,
        n_samples: int | None = None,
        *,
        skip: int = 0,
        fewest: int | None = None,
    ) -> Latents:
        """The latents that a choice of samples stands for, as ``"5"``, ``"digit=1"``, ``"@file"``.

        Args:
            choice: as a parameter of type `Samples` holds it, or as it is written.
            n_samples: how many; None: all that it names, or one where that is open.
            skip: how many of them are left out first: others than an earlier call gave.
            fewest: so many are enough where it stands for no more; None: all are needed.

        Raises:
            ParameterError: it cannot be read, or stands for too few; or the file does not fit.
            UnknownNameError: there is no such measure, or column of it.
        """
        from ganprobe.chosen_samples import choose_latents

        read = SampleChoice.parse(choice)
        find = self.measure
        return choose_latents(
            self.probe,
            read,
            n_samples,
            skip=skip,
            seed=self.seed,
            find_measure=find,
            fewest=fewest,
            progress=self.progress,
        )

    def meets(self, choice: SampleChoice | str, images: Tensor) -> Tensor:
        """(n,) booleans: which images meet the conditions of a choice, as ``digit=1 & crossed``.

        Args:
            images: (n, channels, y, x), black 0 and white 1, as `Generator.to_unit_range` gives.

        Raises:
            ParameterError: the choice is no conditions, but names samples.
            UnknownNameError: there is no such measure, or column of it.
        """
        from ganprobe.chosen_samples import meets

        return meets(SampleChoice.parse(choice), images, self.measure)

    def quiet(self) -> Context:
        """The same without progress bars: for steps of work that has a bar of its own."""
        return replace(self, progress=silent)

    def column(self, text: str) -> tuple[Measure, int]:
        """A measure and the place of one of its columns, written ``digit=1`` or ``digit.1``.

        A measure of one column may stand alone: ``digit-realness``. ``area:luminance:3=dark`` is
        the share of the image that a class of a segmenter covers.

        Raises:
            UnknownNameError: there is no such measure or column.
            ParameterError: it has several columns, and none was named.
            PluginError: it does not take this generator's images.
        """
        name, sign, column = text.partition("=")
        if not sign:
            name, column = split_column(text)
        measure = self.measure(name.strip())
        return measure, measure.column(column.strip() or None)

    def close(self) -> None:
        """Close the activation store, if there is one."""
        if "_source" in self.__dict__:
            self._source.close()

    @cached_property
    def _source(self) -> ActivationSource:
        from ganprobe.activation_source import ActivationSource

        return ActivationSource(self.probe, self.seed, self.activations_file)

    def activations_json(self) -> dict[str, Any] | None:
        """Which store served, for the provenance; None: none was given."""
        return None if self.activations_file is None else self._source.to_json()

    @property
    def generator(self) -> Generator:
        """The generator that is analysed."""
        return self.probe.generator

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.probe.device

    def measure(self, name: str) -> Measure:
        """The measure of this name; ``area:scenes`` is that of a segmenter.

        Raises:
            UnknownNameError: no plugin offers it; names the nearest.
            PluginError: it does not take this generator's images.
        """
        measure = self.find_measure(name)
        self._check_fits(measure, "measure", name)
        return measure

    def segmenter(self, name: str) -> Segmenter:
        """The segmenter of this name, as ``"scenes"`` or ``"luminance:5"``.

        Raises:
            UnknownNameError: no plugin offers it; names the nearest.
            ParameterError: what stands behind its colon does not fit.
            PluginError: it does not take this generator's images.
        """
        if self.find_segmenter is None:
            raise UnknownNameError("segmenter", name, (), hint="this context knows none")
        segmenter = self.find_segmenter(name)
        self._check_fits(segmenter, "segmenter", name)
        return segmenter

    def _check_fits(self, given: Measure | Segmenter, kind: str, name: str) -> None:
        shape = self.probe.image_shape
        if given.fits(shape):
            return
        maker = f"generator {self.generator.name!r}"
        if given.image_shape is None:
            raise PluginError(f"{kind} {name!r} does not take the images {shape} of {maker}")
        raise PluginError(
            f"{kind} {name!r} takes images {given.image_shape}, but {maker} makes {shape}"
        )


class Analysis(ABC, Generic[P]):
    """A question that can be asked of any generator. Subclass it and register the class.

    Attributes:
        name: the word after ``ganprobe run``.
        summary: one sentence for listings.
        Params: its parameters, declared once; they become flags, checks and provenance.
        examples: command lines that its ``--help`` shows.
        uses_activations: it asks for `Context.activations`, so that it takes ``--activations``.
        uses_latents: it asks for `Context.sample`, so that it takes ``--latents``.

    Example::

        class Brightness(Analysis[Params]):
            name = "brightness"
            summary = "How bright the generator's images are."
            Params = Params

            def run(self, context: Context, params: Params) -> Result:
                images = context.probe.images(context.generator.sample(64, seed=context.seed))
                mean = float(context.generator.to_unit_range(images).mean())
                return Result(findings=[f"The mean brightness is {mean:.3f} (n = 64)."])
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Params: ClassVar[type[Params]]
    examples: ClassVar[tuple[str, ...]] = ()
    uses_activations: ClassVar[bool] = False
    uses_latents: ClassVar[bool] = False

    @abstractmethod
    def run(self, context: Context, params: P) -> Result:
        """Do the work; everything that it needs is in the context and the parameters."""


def run_analysis(analysis: type[Analysis[P]], context: Context, params: P) -> Result:
    """Run an analysis, and put back what it changed of the generator's module and of the process.

    What counts: hooks, train mode, ``requires_grad``, layers, the values of weights and buffers;
    the working folder and the settings of torch, numpy and matplotlib. Costs one reading of the
    weights before and one after, some 30 ms each for 30 million of them.

    Raises:
        GanprobeError: as the analysis raised it.
        PluginError: the analysis raised anything else, or returned no `Result`; says what, and
            on which line of the plugin. Or it did not leave everything as it was; says what. Only
            the values of weights cannot be put back: load the generator again.
    """
    from ganprobe.engine import ModuleState

    surroundings, state = Surroundings.now(), ModuleState.of(context.generator.module)
    try:
        result = _result_of(analysis, context, params)
    except BaseException:
        surroundings.put_back()
        state.put_back()
        raise
    settings = [f"{what} was changed" for what in surroundings.put_back()]
    changes = state.put_back(lambda: context.probe.images(context.generator.sample(1)))
    if changes or settings:
        raise PluginError(_accusation(analysis.name, [*changes, *settings]))
    return result


def _accusation(name: str, changes: Sequence[str]) -> str:
    told = "; ".join(changes[:_MOST_CHANGES])
    more = len(changes) - _MOST_CHANGES
    rest = f"; and {more} more" if more > 0 else ""
    return (
        f"analysis {name!r} did not leave everything as it was: {told}{rest} (what can be was put"
        " back, its result is not kept; hook with context.probe, and change a copy of the module)"
    )


def _result_of(analysis: type[Analysis[P]], context: Context, params: P) -> Result:
    with blaming(f"analysis {analysis.name!r}", analysis.__module__):
        result = analysis().run(context, params)
    if not isinstance(result, Result):
        raise PluginError(
            f"analysis {analysis.name!r} returned a {type(result).__name__}; it must return a"
            " Result"
        )
    return result
