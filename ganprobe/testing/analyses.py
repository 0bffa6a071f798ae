"""Tests that any analysis passes: subclass `AnalysisTests` in a test file of yours.

Each runs the analysis on a `tiny_generator` a few times: about a second in all for one that takes
50 ms, so give small parameters.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np

from ganprobe.analysis import Analysis, Context
from ganprobe.catalogue import (
    every_measure,
    every_segmenter,
    find_measure,
    find_segmenter,
    load,
)
from ganprobe.errors import GanprobeError, ParameterError, UsageError
from ganprobe.generators import Generator
from ganprobe.measures import Measure
from ganprobe.params import Params
from ganprobe.probe import Probe
from ganprobe.results import Result, plain_row
from ganprobe.sample_choices import SampleChoice
from ganprobe.testing.comparing import agree, first_difference
from ganprobe.testing.conformance import (
    ConformanceTests,
    check,
    check_nothing,
    check_sentence,
    fail,
    refusal_of_plugin,
    skip,
)
from ganprobe.testing.failing import Calls, failing_generator, failing_measure
from ganprobe.testing.tiny import tiny_generator
from ganprobe.testing.traces import scrambled_noise
from ganprobe.testing.watching import WatchedRun, watch
from ganprobe.testing.written import Picture, WrittenResult, write

if TYPE_CHECKING:
    import click

__all__ = ["AnalysisTests"]

_COUNTS = ("n_samples", "samples", "n_images", "images", "n")
_NOISE_SEED = 1_000_003  # where the global random states are
_ODD, _ODD_BATCH = 7, 3
_OTHER_SAMPLES = (5_000, 10_000)
_MOST_TRIED = 1000
_ROUNDING = 1e-4  # in shares of the largest value of an array: what other batches may change
_FEWEST_PIXELS, _MOST_PIXELS = 32, 30_000
_BLANK = 0.5  # standard deviation of a picture's colours, of 255
_NOT_A_NUMBER = re.compile(r"(?<![\w.-])[-+]?(nan|inf)(?![\w-])")


class AnalysisTests(ConformanceTests):
    """The tests of an analysis. Subclass it, with a name that starts with ``Test``.

    Attributes:
        analysis: the class.
        params: its parameters, as written on the command line or in Python, small ones.
        generator: that it is run on: a name, or a `Generator`; None: `tiny_generator()`, whose
            sites are fc, grid, norm1, act1, conv1, norm2, act2, conv2 and squash, with images
            (3, 16, 16) and latents (8,). For one of your own define `make_generator`.
        seed: that it is run with.
        depends_on_seed: another seed gives other numbers. False: it gives the same.
        tolerance: how far numbers of two runs may be apart, in shares of the largest: 0 for none;
            1e-4 where `Probe.sweep` chooses how many variants go together by the time it takes.
        fewest: parameters for the fewest samples; None: the first of `n_samples`, `samples`,
            `n_images` and `n` that it has, at the least that it may be.
        odd: parameters for an odd number of samples; None: the same one, at 7.
        excused: tests that do not hold for it, each with the reason why.

    Example::

        from ganprobe.testing import AnalysisTests
        from my_module import Brightness

        class TestBrightness(AnalysisTests):
            analysis = Brightness
            params = {"n_samples": 5}
    """

    analysis: ClassVar[type[Analysis[Any]]]
    params: ClassVar[Mapping[str, object]] = {}
    generator: ClassVar[str | Generator | None] = None
    seed: ClassVar[int] = 0
    depends_on_seed: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0
    fewest: ClassVar[Mapping[str, object] | None] = None
    odd: ClassVar[Mapping[str, object] | None] = None

    _kept: ClassVar[dict[str, WatchedRun]] = {}
    _files: ClassVar[dict[str, WrittenResult]] = {}

    def __init_subclass__(cls) -> None:
        cls._kept, cls._files = {}, {}

    def make_generator(self) -> Generator:
        """The generator that it is run on; define it for one of your own."""
        if isinstance(self.generator, Generator):
            return self.generator
        return tiny_generator() if self.generator is None else load(self.generator)

    def make_context(self, generator: Generator, seed: int) -> Context:
        """What it runs in; define it for measures or segmenters that no plugin registers."""
        return Context(
            Probe(generator, device="cpu"),
            seed,
            find_measure,
            list_measures=every_measure,
            find_segmenter=find_segmenter,
            list_segmenters=every_segmenter,
        )

    # What it says of itself

    def test_it_can_be_registered(self) -> None:
        """Its plugin would load."""
        reason = refusal_of_plugin("register_analyses", self._analysis)
        check(
            reason is None, f"a plugin that gives {self._analysis.__name__} does not load: {reason}"
        )

    def test_its_name_and_summary_can_be_listed(self) -> None:
        """Its name can be typed, and its summary is one line."""
        name, summary = self._analysis.name, self._analysis.summary
        check(
            re.fullmatch(r"[a-z][a-z0-9-]*", name) is not None,
            f"the name {name!r} is typed after `ganprobe run`; take lower-case letters, digits, -",
        )
        check_sentence(summary, f"the summary of analysis {name!r}")

    def test_its_help_tells_what_it_does_and_how_to_ask(self) -> None:
        """Its ``--help`` can be made, and its examples are of it."""
        import click

        name = self._analysis.name
        check(
            bool((self._analysis.__doc__ or "").strip()),
            f"analysis {name!r} has no docstring, which is what `ganprobe run {name} --help` tells",
        )
        command = click.Command(name, params=list(self._flags()), help=self._analysis.__doc__)
        told = command.get_help(click.Context(command, info_name=name))
        check("--help" in told, f"the help of analysis {name!r} cannot be made")
        for example in self._analysis.examples:
            check(example.startswith("ganprobe "), f"the example {example!r} is no command of ours")
        is_shown = any(one.startswith(f"ganprobe run {name} ") for one in self._analysis.examples)
        check(
            is_shown or not self._analysis.examples,
            f"none of the examples of analysis {name!r} starts with 'ganprobe run {name} '",
        )

    def test_its_parameters_are_described(self) -> None:
        """Each has a description, which is its flag's help and a form's label."""
        fields = self._analysis.Params.model_fields
        bare = [name for name, one in fields.items() if not (one.description or "").strip()]
        check_nothing(
            bare, "parameters without a description; write Field(..., description='One sentence.')"
        )

    def test_its_parameters_are_read_back_from_what_the_provenance_keeps(self) -> None:
        """Defaults pass their own checks, and JSON holds all that is needed to run it again."""
        read = self._params()
        held = json.dumps(read.to_json(), allow_nan=False)
        again = self._analysis.Params.parse(json.loads(held))
        check(
            again == read,
            f"parameters read back from provenance are {again!r}, and were {read!r}; give the field"
            " a serializer and a validator that fit, as ganprobe.params does for Units",
        )

    def test_its_parameters_can_be_given_on_the_command_line(self) -> None:
        """Each of `params` has a flag, and written as one it is read as the same."""
        from ganprobe.cli.flags import values_of

        kind, words, read_here = self._analysis.Params, list[str](), self._params()
        flags = {str(flag.name): flag for flag in self._flags()}
        for name, value in self.params.items():
            words += _as_words(flags[name], value)
        given = _parsed(list(flags.values()), words)
        read = kind.parse(values_of(kind, given))
        check(
            read == read_here,
            f"`{' '.join(words)}` on the command line is read as {read!r}, and in Python as"
            f" {read_here!r}; let the field read text, too",
        )

    # What it finds

    def test_it_runs_and_finds_something(self) -> None:
        """On the CPU, with sentences that say something."""
        result = self._first()
        check(
            bool(result.findings),
            f"analysis {self._analysis.name!r} has no findings; give Result(findings=[...]) a"
            " sentence or more, the most important first",
        )
        for finding in result.findings:
            _check_finding(finding)

    def test_it_can_be_made_again_from_its_provenance_alone(self) -> None:
        """With what result.json says, and other global random states, it finds the same."""
        first = self._first()
        made = self._written().record["provenance"]
        params = self._analysis.Params.parse(made["parameters"])
        generator = self._fresh_generator()
        check(
            generator.weights_sha256() == made["generator"]["weights_sha256"],
            "make_generator() gives other weights each time; seed them",
        )
        again = self._finished(self._again(params, generator, made["seed"]))
        differs = first_difference(first, again, tolerance=self.tolerance)
        check(
            differs is None,
            f"two runs with the same seed and parameters differ in {differs}; draw random numbers"
            " from context.seed alone, and keep time out of findings",
        )

    def test_another_seed_gives_other_numbers(self) -> None:
        """The seed that the user gives is the one that counts."""
        other = self._run(seed=self.seed + 1)
        is_same = first_difference(self._first(), other, tolerance=0.0) is None
        if self.depends_on_seed:
            check(
                not is_same,
                "another seed gives the very same result; pass seed=context.seed where samples and"
                " random numbers are drawn, or say depends_on_seed = False",
            )
        else:
            check(is_same, "another seed gives another result; leave depends_on_seed = False out")

    # What it leaves

    def test_it_leaves_the_generator_as_it_was(self) -> None:
        """No hook, attribute, flag, mode, gradient or other weight is left on the module."""
        check_nothing(list(self._again().left), f"{self._it} leaves on the generator")

    def test_it_leaves_the_process_as_it_was(self) -> None:
        """Random states, modes, settings, folders and figures are as they were."""
        check_nothing(list(self._again().changes), f"{self._it} leaves changed")

    def test_it_prints_nothing(self) -> None:
        """What it has to say is in its findings, and how far it is goes to context.progress."""
        printed = self._again().printed
        check(
            not printed,
            f"{self._it} prints {printed[:200]!r}; put it in findings, or use context.progress",
        )

    def test_what_it_asks_the_context_for_is_declared(self) -> None:
        """`uses_latents` and `uses_activations` say whether it takes ``--latents``, ..."""
        asked = self._again().asked
        for flag, is_asked, method in (
            ("uses_latents", asked.samples, "sample"),
            ("uses_activations", bool(asked.sites), "activations"),
        ):
            is_said = bool(getattr(self._analysis, flag))
            if is_asked and not is_said:
                fail(f"{self._it} calls context.{method}; say {flag} = True on its class")
            if is_said and not is_asked:
                fail(
                    f"{self._it} says {flag} = True and never calls context.{method}, so that what"
                    " the user gives is not looked at"
                )

    def test_it_looks_at_the_samples_that_are_given(self) -> None:
        """Others than those of the seed, where ``--latents`` names others."""
        if not self._analysis.uses_latents:
            skip("it does not say uses_latents = True, and takes no --latents")
        context = self._context(self._fresh_generator(), self.seed)
        others = replace(context, chosen=SampleChoice(tuple(range(*_OTHER_SAMPLES))))
        found = self._finished(watch(self._analysis, others, self._params()))
        check(
            first_difference(self._first(), found) is not None,
            f"{self._it} gives the very same result for other --latents; take what it looks at from"
            " context.sample",
        )

    def test_recorded_activations_serve_as_well_as_the_generator(self) -> None:
        """With ``--activations`` it finds what it finds without."""
        if not self._analysis.uses_activations:
            skip("it does not say uses_activations = True, and takes no --activations")
        asked = self._again().asked
        check(bool(asked.sites), f"{self._it} never calls context.activations")
        context = self._context(self._fresh_generator(), self.seed)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "activations.h5"
            context.probe.record(
                asked.n_samples, asked.sites, path, seed=self.seed, images=asked.images
            )
            recorded = replace(context, activations_file=path)
            found = self._finished(watch(self._analysis, recorded, self._params()))
        differs = first_difference(self._first(), found, tolerance=max(self.tolerance, _ROUNDING))
        check(differs is None, f"from recorded activations {self._it} finds another {differs}")

    def test_a_generator_that_raises_is_told_and_left_as_it_was(self) -> None:
        """Its error comes through as one sentence, and nothing stays on the module."""
        watched = self._watched_failing(begins_at=2)
        if watched is None:  # its one forward is the first
            watched = self._watched_failing(begins_at=1)
        if watched is None:
            skip(f"{self._it} runs no forward with these params")
        _check_told(watched, self._it, "the generator raised")
        check_nothing(list(watched.left), f"{self._it} leaves on a generator that raised")

    def test_a_measure_that_raises_is_told(self) -> None:
        """It is not passed over in silence."""
        context, calls = self._context(self._fresh_generator(), self.seed), Calls()

        def find(name: str) -> Measure:
            return failing_measure(context.find_measure(name), calls)

        def every() -> list[Measure]:
            return [failing_measure(one, calls) for one in context.list_measures()]

        failing = replace(context, find_measure=find, list_measures=every)
        watched = watch(self._analysis, failing, self._params())
        if not calls.n:
            skip(f"{self._it} asks no measure with these params")
        _check_told(watched, self._it, "a measure raised")
        left = f"{self._it} leaves on the generator where a measure raised"
        check_nothing(list(watched.left), left)

    # What it writes

    def test_its_result_is_read_back_from_its_files(self) -> None:
        """Findings, tables and arrays are in the files as they were found."""
        result, written = self._first(), self._written()
        check(
            written.record["findings"] == list(result.findings), "result.json holds other findings"
        )
        for name, table in result.tables.items():
            rows = [plain_row(row) for row in table.rows]
            check(
                written.record["tables"][name]["rows"] == json.loads(json.dumps(rows)),
                f"result.json holds other rows of table {name!r}",
            )
        for name, array in result.arrays.items():
            values, dims = written.arrays[name]
            check(
                agree(np.asarray(array.values), values) and dims == array.dims,
                f"result.h5 holds other values or dimensions of array {name!r}",
            )
        check_nothing(list(written.missing), "files that result.json names are missing or empty")

    def test_its_figures_can_be_looked_at(self) -> None:
        """Each is a picture of some size with something on it, and a caption."""
        for name, picture in self._written().pictures.items():
            check_sentence(self._first().figures[name].caption, f"the caption of figure {name!r}")
            _check_picture(name, picture)

    # What it takes

    def test_it_takes_the_fewest_samples_that_it_allows(self) -> None:
        """One sample, or as few as its parameters allow."""
        way_out = "give the field a higher ge=..., or say in `fewest` what it takes"
        result = self._with(self._fewest(), way_out)
        for finding in result.findings:
            _check_finding(finding)

    def test_it_takes_an_odd_number_of_samples(self) -> None:
        """Seven of them."""
        changes = self.odd
        if changes is None:
            name = self._count()
            if name is None:
                skip(f"none of its parameters is {', '.join(_COUNTS)}; give `odd` = {{name: 7}}")
            odd = (n for n in range(_ODD, _MOST_TRIED, 2) if self._allows(name, n))
            changes = {name: next(odd, _ODD)}
        self._with(changes, "say in `odd` what it takes")

    def test_its_batch_size_changes_nothing_but_rounding(self) -> None:
        """Batches of three give what others give."""
        if "batch_size" not in self._analysis.Params.model_fields:
            skip("it has no parameter batch_size")
        other = self._run(params=self._params(batch_size=_ODD_BATCH))
        tolerance = max(self.tolerance, _ROUNDING)
        differs = first_difference(self._first(), other, tolerance=tolerance)
        check(
            differs is None,
            f"with batches of {_ODD_BATCH} {self._it} finds another {differs}; let no sample depend"
            " on the others of its batch",
        )

    def test_it_takes_grey_images(self) -> None:
        """Images (1, 16, 16)."""
        self._check_takes(lambda: tiny_generator(image_shape=(1, 16, 16)), "grey images")

    def test_it_takes_latents_with_axes_in_space(self) -> None:
        """Latents (8, 1, 1), as a DCGAN has them."""
        self._check_takes(lambda: tiny_generator(latent_shape=(8, 1, 1)), "latents (8, 1, 1)")

    def test_it_takes_a_generator_with_classes(self) -> None:
        """Three of them, in turn."""
        self._check_takes(lambda: tiny_generator(n_classes=3), "a generator with classes")

    def test_it_is_reproducible_where_the_generator_draws_noise(self) -> None:
        """The same noise for the same seed, whatever the global random state."""
        first, second = (
            self._check_takes(_noisy, "a generator that draws noise", noise_seed=seed)
            for seed in (_NOISE_SEED, _NOISE_SEED + 1)
        )
        differs = first_difference(first, second, tolerance=max(self.tolerance, _ROUNDING))
        check(
            differs is None,
            f"where the generator draws noise, two runs differ in {differs}; make images with"
            " context.probe, which gives the same noise each time, not with the module",
        )

    # How that is done

    @property
    def _analysis(self) -> type[Analysis[Any]]:
        if getattr(self, "analysis", None) is None:
            fail(
                f"{type(self).__name__} says nothing of which it tests; write analysis = YourClass"
            )
        return self.analysis

    @property
    def _it(self) -> str:
        return f"analysis {self._analysis.name!r}"

    def _params(self, **changes: object) -> Params:
        __tracebackhide__ = True
        try:
            return self._analysis.Params.parse({**self.params, **changes})
        except GanprobeError as error:
            if changes:
                raise
            fail(f"params of {type(self).__name__} do not fit {self._it}: {error}")

    def _flags(self) -> list[click.Option]:
        from ganprobe.cli.flags import flags_of

        try:
            return list(flags_of(self._analysis.Params))
        except GanprobeError as error:
            fail(f"{self._it} cannot be asked for on the command line: {error}")

    def _fresh_generator(self) -> Generator:
        """One that has run once: what it then sets on itself is its own affair."""
        generator = self.make_generator()
        with scrambled_noise(0):
            Probe(generator).images(generator.sample(2))
        return generator

    def _context(self, generator: Generator, seed: int) -> Context:
        return self.make_context(generator, seed)

    def _watched_with(
        self,
        generator: Generator,
        params: Params,
        seed: int | None = None,
        *,
        noise_seed: int = _NOISE_SEED,
    ) -> WatchedRun:
        context = self._context(generator, self.seed if seed is None else seed)
        return watch(self._analysis, context, params, noise_seed=noise_seed)

    def _watched_failing(self, *, begins_at: int) -> WatchedRun | None:
        """A run on a generator that raises from some forward on; None where that never came."""
        calls = Calls()
        failing = failing_generator(self._fresh_generator(), calls, begins_at=begins_at)
        watched = self._watched_with(failing, self._params())
        return watched if calls.n >= begins_at else None

    def _watched(
        self, key: str, params: Params, generator: Generator, seed: int, noise_seed: int
    ) -> WatchedRun:
        """One that is kept for other tests."""
        if key not in self._kept:
            watched = self._watched_with(generator, params, seed, noise_seed=noise_seed)
            self._kept[key] = watched
        return self._kept[key]

    def _finished(self, watched: WatchedRun) -> Result:
        __tracebackhide__ = True
        if watched.result is None:
            fail(f"{self._it} failed: {watched.error}")
        return watched.result

    def _with(self, changes: Mapping[str, object], way_out: str) -> Result:
        """What it finds with other parameters, which it should not refuse."""
        __tracebackhide__ = True
        watched = self._watched_with(self._fresh_generator(), self._params(**changes))
        if isinstance(watched.error, UsageError):
            fail(f"{self._it} allows {_spoken(changes)} and refuses it: {watched.error}; {way_out}")
        return self._finished(watched)

    def _first(self) -> Result:
        """What it finds, by the first run, in which modules may be imported."""
        __tracebackhide__ = True
        generator = self._fresh_generator()
        return self._finished(
            self._watched("first", self._params(), generator, self.seed, _NOISE_SEED)
        )

    def _again(
        self, params: Params | None = None, generator: Generator | None = None, seed: int = 0
    ) -> WatchedRun:
        """A second run, with nothing left to import, on a generator of its own.

        The global random states are others than in the first.
        """
        __tracebackhide__ = True
        self._first()
        if params is None or generator is None:
            params, generator, seed = self._params(), self._fresh_generator(), self.seed
        watched = self._watched("again", params, generator, seed, _NOISE_SEED + 1)
        self._finished(watched)
        return watched

    def _run(self, *, params: Params | None = None, seed: int | None = None) -> Result:
        used = self._params() if params is None else params
        return self._finished(self._watched_with(self._fresh_generator(), used, seed))

    def _written(self) -> WrittenResult:
        """What is in the files of the first run, written as the command line writes it."""
        if "written" not in self._files:
            probe = Probe(self._fresh_generator(), device="cpu")
            provenance = probe.provenance(self._params().to_json(), seed=self.seed)
            self._files["written"] = write(self._first(), self._analysis.name, provenance)
        return self._files["written"]

    def _count(self) -> str | None:
        """The parameter that says how many samples."""
        kinds = {name: one.annotation for name, one in self._analysis.Params.model_fields.items()}
        numbers = [name for name, kind in kinds.items() if int in (kind, *get_args(kind))]
        return next((name for name in _COUNTS if name in numbers), None)

    def _fewest(self) -> Mapping[str, object]:
        if self.fewest is not None:
            return self.fewest
        name = self._count()
        if name is None:
            skip(f"none of its parameters is {', '.join(_COUNTS)}; give `fewest` = {{name: 1}}")
        allowed = (n for n in range(1, _MOST_TRIED) if self._allows(name, n))
        return {name: next(allowed, _MOST_TRIED)}

    def _allows(self, name: str, value: int) -> bool:
        try:
            self._params(**{name: value})
        except ParameterError:
            return False
        return True

    def _check_takes(
        self, make: Callable[[], Generator], what: str, *, noise_seed: int = _NOISE_SEED
    ) -> Result:
        """What it finds on another tiny generator; skips where it says that it cannot."""
        has_own = type(self).make_generator is not AnalysisTests.make_generator
        if has_own or self.generator is not None:
            skip("it is tested on a generator of its own")
        watched = self._watched_with(make(), self._params(), noise_seed=noise_seed)
        if isinstance(watched.error, UsageError):
            skip(f"it refuses {what}: {watched.error}")
        if watched.error is not None:
            fail(f"{self._it} does not take {what}: {watched.error}")
        return self._finished(watched)


def _noisy() -> Generator:
    return tiny_generator(draws_noise=True)


def _check_finding(finding: object) -> None:
    check_sentence(finding, "a finding")
    found = _NOT_A_NUMBER.search(str(finding))
    check(
        found is None,
        f"a finding tells a number that is none: {finding!r}; say in words what is not known",
    )


def _check_told(watched: WatchedRun, it: str, what: str) -> None:
    check(
        watched.error is not None,
        f"{it} gives a result although {what}; let the error through, or raise one of"
        " ganprobe.errors",
    )
    told = str(watched.error)
    check(
        bool(told.strip()) and "Traceback" not in told,
        f"where {what}, {it} tells {told!r}; say in one sentence what happened",
    )


def _check_picture(name: str, picture: Picture) -> None:
    size = picture.width, picture.height
    check(
        min(size) >= _FEWEST_PIXELS and max(size) <= _MOST_PIXELS,
        f"figure {name!r} is {size[0]} x {size[1]} pixels; set figsize",
    )
    check(
        picture.deviation > _BLANK,
        f"figure {name!r} is blank; draw on the figure that the Result is given",
    )


def _spoken(changes: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in changes.items())


def _as_words(flag: click.Option, value: object) -> list[str]:
    """A parameter as it is written on the command line."""
    if value is None:
        return []
    if flag.is_flag:
        return [flag.opts[0] if value else flag.secondary_opts[0]]
    several = list(value) if isinstance(value, list | tuple | range) else [value]
    if flag.multiple:
        return [word for one in several for word in (flag.opts[0], str(one))]
    return [flag.opts[0], ",".join(map(str, several))]


def _parsed(flags: list[click.Option], words: list[str]) -> dict[str, Any]:
    import click

    command = click.Command("run", params=list(flags))
    try:
        return command.make_context("run", list(words)).params
    except click.ClickException as error:
        fail(f"`{' '.join(words)}` on the command line: {error.format_message()}")
