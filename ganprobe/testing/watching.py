"""Watching an analysis run: what came of it, what it asked for, and what it left behind."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ganprobe.analysis import Analysis, Context, run_analysis
from ganprobe.errors import GanprobeError
from ganprobe.latents import Latents
from ganprobe.measures import Measure
from ganprobe.params import Params
from ganprobe.results import Result
from ganprobe.runs import Run
from ganprobe.sites import Site
from ganprobe.testing.traces import ModuleTraces, ProcessTraces, scrambled_noise

__all__ = ["Asked", "WatchedRun", "watch"]


@dataclass
class Asked:
    """What an analysis asked its context for.

    Args:
        samples: it called `Context.sample`.
        sites: that it asked `Context.activations` for, as written, and
        n_samples: of how many samples at most.
        images: it asked for their images too.
        measures: that it asked for by name, or was given in a list.
    """

    samples: bool = False
    sites: list[str] = field(default_factory=list)
    n_samples: int = 0
    images: bool = False
    measures: set[str] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class WatchedRun:
    """One run of an analysis.

    Args:
        result: None where it raised.
        error: what it raised.
        printed: to standard output and standard error.
        changes: of the process, in words.
        left: on the generator's module, in words.
    """

    result: Result | None
    error: GanprobeError | None
    asked: Asked
    printed: str
    changes: Sequence[str]
    left: Sequence[str]


def watch(
    analysis: type[Analysis[Any]], context: Context, params: Params, *, noise_seed: int = 0
) -> WatchedRun:
    """Run an analysis, and see what it leaves, which is put back where it can be.

    Args:
        noise_seed: where the global random states are meanwhile.
    """
    asked, printed, told = Asked(), io.StringIO(), dict[str, list[str]](left=[], changes=[])
    watched = _watched(analysis, told)
    result, error = None, None
    spied = _listening(context, asked)
    silenced = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with scrambled_noise(noise_seed), contextlib.closing(spied), silenced[0], silenced[1]:
        try:
            result = run_analysis(watched, spied, params)
        except GanprobeError as raised:
            error = raised
    return WatchedRun(result, error, asked, printed.getvalue(), **told)


def _watched(analysis: type[Analysis[Any]], told: dict[str, list[str]]) -> type[Analysis[Any]]:
    """The same analysis, which tells what it leaves before `run_analysis` would."""

    def run(self: Analysis[Any], context: Context, params: Params) -> Result:
        with _somewhere_empty(params):
            on_module = ModuleTraces.before(context.generator)
            in_process = ProcessTraces.before()
            try:
                return analysis.run(self, context, params)
            finally:
                told["changes"] = in_process.left()
                told["left"] = on_module.left()

    return type(analysis.__name__, (analysis,), {"run": run, "__module__": analysis.__module__})


@contextlib.contextmanager
def _somewhere_empty(params: Params) -> Iterator[None]:
    """Work in a new folder, where a file that is written is found; not where files are named."""
    names_files = any(_is_file(value) for value in params.to_json().values())
    if names_files:
        yield
        return
    temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with temporary as folder, contextlib.chdir(folder):
        yield


def _is_file(value: object) -> bool:
    """Whether a parameter, or one of several, is a path from the working directory."""
    if isinstance(value, list | tuple):
        return any(map(_is_file, value))
    return isinstance(value, str) and 0 < len(value) < 1000 and Path(value.lstrip("@")).is_file()


@dataclass(frozen=True)
class _Listening(Context):
    """A context that notes what it is asked for."""

    asked: Asked = field(default_factory=Asked)

    def sample(self, n_samples: int, *, start: int = 0, fewest: int | None = None) -> Latents:
        self.asked.samples = True
        return super().sample(n_samples, start=start, fewest=fewest)

    def activations(
        self, sites: Any, n_samples: int, *, images: bool = False, batch_size: int = 64
    ) -> Iterator[Run]:
        self._note(sites, n_samples, images)
        return super().activations(sites, n_samples, images=images, batch_size=batch_size)

    def chosen_activations(
        self,
        sites: Any,
        samples: Sequence[int],
        n_samples: int,
        *,
        images: bool = False,
        batch_size: int = 64,
    ) -> Iterator[Run]:
        self._note(sites, n_samples, images)
        return super().chosen_activations(
            sites, samples, n_samples, images=images, batch_size=batch_size
        )

    def _note(self, sites: Any, n_samples: int, images: bool) -> None:
        given = [sites] if isinstance(sites, str | Site) else list(sites)
        self.asked.sites += [str(one) for one in given if str(one) not in self.asked.sites]
        self.asked.n_samples = max(self.asked.n_samples, n_samples)
        self.asked.images |= images


def _listening(context: Context, asked: Asked) -> _Listening:
    """The same context, which notes what it is asked for."""
    held = {one.name: getattr(context, one.name) for one in fields(Context)}

    def find_measure(name: str) -> Measure:
        asked.measures.add(name)
        return context.find_measure(name)

    return _Listening(**held | {"find_measure": find_measure}, asked=asked)
