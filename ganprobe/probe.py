"""Probe: the face of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from ganprobe.engine import Plan, Session, eager, make_plan
from ganprobe.errors import NotReplayableError, ParameterError, SiteError
from ganprobe.forwards import Forwards, modes
from ganprobe.generators import Generator
from ganprobe.interventions import Intervention, Swap
from ganprobe.latents import Latents
from ganprobe.layers import LayerTable
from ganprobe.placement import placed
from ganprobe.progress import Progress, silent
from ganprobe.provenance import Provenance
from ganprobe.recorder import RecordingOptions, recording_spec
from ganprobe.replay import ReplayPlan
from ganprobe.runs import Run
from ganprobe.sites import Site, SiteTensor
from ganprobe.store import Compression, write_shares
from ganprobe.sweeps import (
    N_TRIAL,
    Base,
    Measured,
    MeasuredSweep,
    Method,
    Objective,
    Options,
    Replays,
    Sweep,
    UnitValues,
    Variant,
    Variants,
    measured_sweep,
    read_variants,
)

__all__ = ["Probe"]

DEFAULT_BATCH_SIZE = 64


class Probe:
    """Runs a generator and looks inside, on a device and in a dtype of your choice.

    The generator's module is used as it is, with hooks only while a call lasts. Where another
    device or dtype is asked for, a copy of the module is moved and the given one stays.

    Args:
        generator: what is probed.
        device: ``"cpu"``, ``"cuda"``, ...; None: where the module is.
        dtype: of weights and latents; None: the module's.

    Raises:
        ParameterError: there is no such device, or the dtype is not of floating point.
        UsageError: the module would have to be copied and cannot be.

    Example:
        >>> import torch, ganprobe
        >>> module = torch.nn.Sequential(
        ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
        >>> probe = Probe(ganprobe.Generator.from_module(module, latent=8))
        >>> run = probe.run(probe.generator.sample(2), [ganprobe.Ablate("0#4")], record=["0"])
        >>> run["0"][:, 4]
        tensor([0., 0.])
    """

    def __init__(
        self,
        generator: Generator,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.generator, self.device, self.dtype = placed(generator, device, dtype)
        self._forwards = Forwards(self.generator, self.device, self.dtype)
        self._replays = Replays(self._forwards)

    def layers(self) -> LayerTable:
        """Every layer in order, with its sites, from one dry run of two samples."""
        return self._forwards.dry_run.table

    def run(
        self,
        latents: Latents | Tensor,
        interventions: Intervention | Iterable[Intervention] = (),
        *,
        record: str | Site | Iterable[str | Site] = (),
        before: bool = False,
        stop_early: bool = False,
        grad: bool = False,
        noise_seed: int | None = 0,
        check_finite: bool = False,
    ) -> Run:
        """One forward of these latents, edited and recorded as asked.

        What a layer returns is edited and goes on; what it was given stays. Only where a layer
        works in place, as `ReLU(inplace=True)`, is the edit written where the layer wrote, so
        that it is there by every name; with gradients autograd forbids that, and there, too, only
        what the layer returns is edited.

        Args:
            latents: drawn with `Generator.sample`, or a tensor (n, \\*latent shape).
            interventions: done in the order given; several may be at one site.
            record: sites whose activations are kept, on the device, as the next layer saw them;
                a pattern (``"block?.*"``) stands for every site that it matches.
            before: keep them as they were ahead of the interventions at their own site.
            stop_early: end the forward when everything is recorded; then there are no images.
            grad: keep the graph, so that gradients reach latents, values and strengths. Without
                it none is kept, whatever the grad mode around the call.
            noise_seed: of the noise that the forward itself draws: sample i of a noise seed has
                the same in every run, whatever is in its batch, so that a base run and an edited
                one have the same; the random state outside is left as it was. None: go on from
                the random state outside, as a plain call of the module does.
            check_finite: raise if NaN or infinity comes out of a layer; the device waits once.

        Raises:
            UnknownNameError, SiteError, ParameterError, ShapeError: a site or a value does not
                fit the generator.
            ForwardError: the generator raised, a site was not reached, or was overwritten.
        """
        edits = self._with_donors(_interventions(interventions), noise_seed, grad=grad)
        plan = self._plan(
            record,
            edits,
            grad=grad,
            before=before,
            stop_early=stop_early,
            check_finite=check_finite,
        )
        return self._forwards.run(latents, plan, grad=grad, noise_seed=noise_seed)

    def runs(
        self,
        samples: int | Latents | Tensor,
        interventions: Intervention | Iterable[Intervention] = (),
        *,
        record: str | Site | Iterable[str | Site] = (),
        seed: int = 0,
        batch_size: int = DEFAULT_BATCH_SIZE,
        before: bool = False,
        stop_early: bool = False,
        noise_seed: int | None = 0,
        check_finite: bool = False,
    ) -> Iterator[Run]:
        """Runs over many samples, one batch at a time, in constant memory.

        The plan is made and checked before the first batch; hooks are on the module only while
        a batch runs. Noise that the forward draws is that of the sample, whatever its batch.

        Args:
            samples: how many of `seed`, counted from 0; or latents, whose own seed it then is.
            interventions, record, before, stop_early, noise_seed, check_finite: as for `run`.

        Raises:
            ParameterError: fewer than one sample or a batch size below 1; and as `run`.
        """
        samples = Latents(samples) if isinstance(samples, Tensor) else samples
        _check_counts(samples, batch_size)
        n_samples = len(samples) if isinstance(samples, Latents) else samples
        return self._runs(
            range(n_samples),
            samples,
            interventions,
            record=record,
            seed=seed,
            batch_size=batch_size,
            noise_seed=noise_seed,
            before=before,
            stop_early=stop_early,
            check_finite=check_finite,
        )

    def _runs(
        self,
        rows: range,
        samples: int | Latents,
        interventions: Intervention | Iterable[Intervention],
        *,
        record: str | Site | Iterable[str | Site],
        seed: int,
        batch_size: int,
        noise_seed: int | None = 0,
        **options: bool,
    ) -> Iterator[Run]:
        """Runs over some of the samples; `rows` begins where a batch does."""
        edits = self._with_donors(_interventions(interventions), noise_seed)
        plan = self._plan(record, edits, **options)
        run = partial(self._forwards.run, plan=plan, noise_seed=noise_seed)
        batches = self._latents(rows, samples, seed, batch_size)
        return (run(batch, start=start) for start, batch in batches)

    @overload
    def sweep(
        self,
        latents: Latents | Tensor,
        variants: Intervention | Iterable[Intervention | Iterable[Intervention]],
        measure: None = None,
        *,
        method: Method | Literal["auto"] = "auto",
        chunk: int | None = None,
        memory_limit: int | None = None,
        noise_seed: int = 0,
        progress: Progress = silent,
    ) -> Sweep: ...

    @overload
    def sweep(
        self,
        latents: Latents | Tensor,
        variants: Intervention | Iterable[Intervention | Iterable[Intervention]],
        measure: Objective,
        *,
        method: Method | Literal["auto"] = "auto",
        chunk: int | None = None,
        memory_limit: int | None = None,
        noise_seed: int = 0,
        progress: Progress = silent,
    ) -> MeasuredSweep: ...

    def sweep(
        self,
        latents: Latents | Tensor,
        variants: Intervention | Iterable[Intervention | Iterable[Intervention]],
        measure: Objective | None = None,
        *,
        method: Method | Literal["auto"] = "auto",
        chunk: int | None = None,
        memory_limit: int | None = None,
        noise_seed: int = 0,
        progress: Progress = silent,
    ) -> Sweep | MeasuredSweep:
        """Many variants of the same latents: what `run` gives for each, to rounding, but faster.

        Variants are evaluated many at once, resuming from the edited sites; which way is taken
        is tried out, and compared with plain forwards before it is trusted and on the way.

        Args:
            latents: (n, latent shape), the same for all variants.
            variants: for each an intervention or a list of them; an empty list edits nothing.
            measure: keep only what it says of the images: a `Measure`, which sees them in [0, 1],
                or a function of images (n, channels, height, width) in the generator's range to
                (n,) or (n, k) numbers. Many samples are then taken a few at a time.
            method: ``"auto"`` takes the fastest that is right; ``"additive"``, ``"replay"``,
                ``"batched"`` or ``"single"`` that one, or none.
            chunk: how many variants are evaluated at once; None: tuned while it works.
            memory_limit: bytes that a chunk may take, about; None: 1 GiB, or on a GPU half of
                what is free.
            noise_seed: as for `run`.
            progress: shows how far it is.

        Returns:
            Without a measure a `Sweep`: iterate over it for images (n, channels, height, width),
            one variant after the other. With one a `MeasuredSweep`, with values (variants, n, k).
            Its `how` tells the method, why, what others were refused for, and how it was checked.

        Raises:
            NotReplayableError: the method that was asked for cannot be used; says why. Or a check
                on the way failed after images had been given out. Or the generator is in
                normalisation ``"batch"``.
            ParameterError: there is no variant, or no such method; and as `run`.

        Example:
            >>> import torch, ganprobe
            >>> module = torch.nn.Sequential(
            ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
            >>> probe = Probe(ganprobe.Generator.from_module(module, latent=8))
            >>> variants = [ganprobe.Ablate("0", units=[unit]) for unit in range(9)]
            >>> sweep = probe.sweep(probe.generator.sample(2), variants,
            ...                     measure=lambda images: (images == 0).flatten(1).sum(1))
            >>> sweep.values.shape, sweep.values.unique()
            (torch.Size([9, 2, 1]), tensor([1]))
        """
        self._refuse_batch_statistics()
        options = Options(method, chunk, memory_limit)
        given = latents if isinstance(latents, Latents) else Latents(latents)
        ready = _of_its_own(self._forwards.ready(given))
        flat = self._with_all_donors(read_variants(variants), noise_seed)
        found = Variants.of(self.layers(), flat)
        base = Base(ready, noise_seed)
        if measure is None:
            return Sweep(self._replays, base, found, options, progress)
        measured = Measured(measure, self.generator)
        return measured_sweep(self._replays, base, found, options, measured, progress)

    def unit_values(
        self,
        latents: Latents | Tensor,
        intervention: Intervention,
        objective: Objective,
        *,
        column: int = 0,
        n_expected: int = 0,
        method: Method | Literal["auto"] = "auto",
        memory_limit: int | None = None,
        noise_seed: int = 0,
    ) -> UnitValues:
        """The values of an objective for an intervention at any sets of units of its site.

        It is what searches are made of: call it with sets of units, as often as you like. How the
        values are evaluated is as for `sweep`, and found out once.

        Args:
            latents: (n, latent shape), all in one batch.
            intervention: at one site.
            objective: as `measure` for `sweep`; the mean over the samples is taken.
            column: of an objective of several numbers.
            n_expected: about how many sets there will be, by which the method is chosen.
            method, memory_limit, noise_seed: as for `sweep`.

        Raises:
            SiteError: the site's layer runs several times and the site does not say which call.
            UnknownNameError, ParameterError, ShapeError: as `run`.

        Example:
            >>> import torch, ganprobe
            >>> module = torch.nn.Sequential(
            ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
            >>> probe = Probe(ganprobe.Generator.from_module(module, latent=8))
            >>> values = probe.unit_values(
            ...     torch.ones(1, 8), ganprobe.Ablate("0"), lambda images: images.flatten(1).sum(1))
            >>> values([(), tuple(range(9))])[1].item()
            0.0
        """
        self._refuse_batch_statistics()
        given = latents if isinstance(latents, Latents) else Latents(latents)
        base = Base(_of_its_own(self._forwards.ready(given)), noise_seed)
        edits = _interventions(intervention)
        if len(edits) != 1:
            raise ParameterError(f"one intervention is made to sets of units, got {len(edits)}")
        (template,) = self._with_donors(edits, noise_seed)
        return UnitValues(
            self._replays,
            base,
            Variants.of_units(self.layers(), template, _first_sets(self.layers(), template)),
            Measured(objective, self.generator),
            Options(method, memory_limit=memory_limit),
            column=column,
            n_expected=n_expected,
        )

    def replay_plan(self, sites: str | Site | Iterable[str | Site]) -> ReplayPlan:
        """What a replay from these sites answers from memory, what it computes, and why: print it.

        Raises:
            NotReplayableError: a forward cannot be resumed there; says why.
            UnknownNameError, SiteError: as `run`.

        Example:
            >>> import torch, ganprobe
            >>> module = torch.nn.Sequential(
            ...     torch.nn.Linear(8, 9), torch.nn.Tanh(), torch.nn.Unflatten(1, (1, 3, 3))).eval()
            >>> probe = Probe(ganprobe.Generator.from_module(module, latent=8))
            >>> print(probe.replay_plan("0"))
            replay from 0: computes 0% of 0.0 million operations a sample
              (all)  computed     the edit reaches it
              0      from memory  before the edit
              1      computed     the edit reaches it
              2      computed     the edit reaches it
        """
        self._refuse_batch_statistics()
        tensors = [tensor for site in _sites(sites) for tensor in self.layers().resolve(site)]
        whole = {tensor.site.whole: tensor for tensor in tensors}
        return self._replays.of(list(whole.values())).plan

    @contextmanager
    def intervening(
        self,
        interventions: Intervention | Iterable[Intervention] = (),
        *,
        record: str | Site | Iterable[str | Site] = (),
        before: bool = False,
        grad: bool = False,
    ) -> Iterator[Session]:
        """Interventions and recordings around your own calls of the generator's module.

        Hooks stay on `probe.generator.module` while the block lasts, for this thread alone. Runs
        of a probe inside the block are edited too. A compiled module runs as it was written.

        Args:
            interventions, record, before: as for `run`.
            grad: recorded activations keep their graph; grad mode itself is yours.

        Returns:
            A `Session`, whose `recording` is what the last forward left.

        Raises:
            UnknownNameError, SiteError, ParameterError, ShapeError: as `run`, ahead of the block;
                `ForwardError` from your call of the module.
            UsageError: a layer is in train mode when the block begins.

        Example:
            >>> import torch, ganprobe
            >>> module = torch.nn.Sequential(
            ...     torch.nn.Linear(8, 9), torch.nn.Unflatten(1, (1, 3, 3))).eval()
            >>> probe = Probe(ganprobe.Generator.from_module(module, latent=8))
            >>> with probe.intervening([ganprobe.Ablate("0#4")], record=["0"]) as session:
            ...     images = module(torch.ones(1, 8))
            >>> session["0"][0, 4].item(), images[0, 0, 1, 1].item()
            (0.0, 0.0)
        """
        edits = self._with_donors(_interventions(interventions), 0)
        plan = self._plan(record, edits, grad=True, before=before)
        self._forwards.refuse_train_mode()
        session = Session(self.generator.module, plan, keeps_graph=grad)
        with eager():  # the module may be called through a compiled wrapper
            try:
                session.open()
                yield session
            finally:
                try:
                    session.close()
                finally:
                    session.close()  # what an interruption left

    def record(
        self,
        samples: int | Latents | Tensor,
        sites: str | Site | Iterable[str | Site],
        output: str | Path,
        *,
        seed: int = 0,
        interventions: Intervention | Iterable[Intervention] = (),
        batch_size: int = DEFAULT_BATCH_SIZE,
        images: bool = False,
        dtype: str | None = None,
        compression: Compression = "none",
        share: tuple[int, int] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress = silent,
        command: str | None = None,
    ) -> Path:
        """Stream the activations of many samples into an HDF5 file.

        Memory stays constant whatever their number is: at most three batches are in flight. What
        is committed stays, also when the process is killed; the file opens at any moment.

        Args:
            samples: how many of `seed`, counted from 0; or latents, whose own seed it then is.
            sites: what is recorded.
            output: the file.
            images: also keep the images.
            dtype: of the stored activations, ``"float32"``, ``"float16"`` or ``"bfloat16"``; None:
                each site's own.
            compression: ``"zstd"`` or ``"lz4"`` make smaller files, more slowly.
            share: (2, 8) records the second of eight shares, into a file of its own beside
                `output`; the process that completes the last one joins them under `output`.
            resume: go on with an existing file of the same recording, at the very same values.
            overwrite: replace an existing file.
            progress: shows how far it is.
            command: the command line, for the provenance.

        Returns:
            The path of the file.

        Raises:
            OutputExistsError: the file exists, and neither `overwrite` nor `resume` is given.
            StoreError: the file cannot be written, or is of another recording, or is being
                written; the disk is too small; a value does not fit `dtype`.
            ParameterError: no site or no sample was asked for; and as `run`.
            SiteError: a site has no batch axis, so that it has no samples to store.
        """
        samples = Latents(samples) if isinstance(samples, Tensor) else samples
        _check_counts(samples, batch_size)
        if not _sites(sites):
            raise ParameterError("no site was given; name at least one")
        options = RecordingOptions(
            images=images,
            dtype=dtype,
            compression=compression,
            share=share,
            overwrite=overwrite,
            resume=resume,
        )
        edits = _interventions(interventions)
        recorded = make_plan(self.layers(), record=_sites(sites)).slots.sites
        of_seed = samples.seed if isinstance(samples, Latents) else seed
        spec = recording_spec(
            self._forwards,
            samples,
            {site: self._batched(site) for site in recorded},
            Path(output),
            options,
            seed=of_seed,
            interventions=edits,
            batch_size=batch_size,
            provenance=self.provenance(
                {
                    "sites": [str(site) for site in recorded],
                    "interventions": [repr(edit) for edit in edits],
                    "n_samples": len(samples) if isinstance(samples, Latents) else samples,
                    "batch_size": batch_size,
                    **options.to_json(),
                },
                seed=of_seed,
                command=command,
            ),
        )

        def batches(first: int) -> Iterator[Run]:
            rows = range(spec.first + first, spec.first + len(spec.samples))
            return self._runs(
                rows,
                samples,
                edits,
                record=recorded,
                seed=seed,
                batch_size=batch_size,
                stop_early=not images,
            )

        return write_shares(spec, batches, progress)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of its images, from the dry run."""
        return self._forwards.dry_run.image_shape

    def images(self, latents: Latents | Tensor) -> Tensor:
        """The images of these latents, with nothing edited and nothing recorded."""
        return self.run(latents).images

    def provenance(
        self, parameters: Mapping[str, object], *, seed: int | None, command: str | None = None
    ) -> Provenance:
        """How something is being made with this probe: versions, weights, device, parameters."""
        return Provenance(
            generator=self.generator.to_json(),
            seed=seed,
            device=str(self.device),
            dtype=str(self.dtype).removeprefix("torch."),
            parameters=parameters,
            command=command,
        )

    def _refuse_batch_statistics(self) -> None:
        """Raise `NotReplayableError` where variants in a batch would influence each other."""
        if self.generator.normalisation == "batch":
            raise NotReplayableError(
                "batch",
                f"generator {self.generator.name!r} is in normalisation 'batch', where each sample"
                " depends on all others of its batch, so that variants cannot be compared; use"
                " 'eval', or 'sample' for each sample's own statistics",
            )

    def _batched(self, site: Site) -> SiteTensor:
        tensor = self.layers().resolve_one(site)
        if not tensor.is_batched:
            raise SiteError(
                f"{site} has no batch axis, so that it cannot be stored by sample; leave that"
                " site out"
            )
        return tensor

    def _plan(
        self,
        record: str | Site | Iterable[str | Site],
        interventions: Sequence[Intervention],
        *,
        grad: bool = False,
        **options: bool,
    ) -> Plan:
        """The plan; made once for the same wishes, where no tensors are among them."""
        sites, edits = tuple(_sites(record)), tuple(interventions)
        if all(edit.is_plain for edit in edits):
            return self._remembered_plan(sites, edits, **options)
        return self._make_plan(sites, edits, grad=grad, **options)

    @cached_property
    def _remembered_plan(self) -> Callable[..., Plan]:
        return lru_cache(maxsize=64)(self._make_plan)

    def _make_plan(
        self,
        record: Sequence[str | Site],
        interventions: Sequence[Intervention],
        *,
        grad: bool = False,
        **options: bool,
    ) -> Plan:
        table = self.layers()
        with modes(grad=grad):
            return make_plan(table, record=record, interventions=interventions, **options)

    def _with_donors(
        self,
        interventions: Sequence[Intervention],
        noise_seed: int | None,
        *,
        grad: bool = False,
    ) -> Sequence[Intervention]:
        """The same, with swaps' donor latents run, unedited; each latents once for all sites."""
        if not any(isinstance(edit, Swap) for edit in interventions):
            return interventions
        wanted: dict[int, tuple[Latents, list[Site]]] = {}
        for edit in interventions:
            if isinstance(edit, Swap) and isinstance(edit.donor, Latents):
                _, sites = wanted.setdefault(id(edit.donor), (edit.donor, []))
                sites += [tensor.site for tensor in self.layers().resolve(edit.site)]
        run = partial(self.run, stop_early=True, grad=grad, noise_seed=noise_seed)
        recordings = {
            key: run(donor, record=sites).recording for key, (donor, sites) in wanted.items()
        }
        return [
            edit.with_recording(recordings[id(edit.donor)])
            if isinstance(edit, Swap) and id(edit.donor) in recordings
            else edit
            for edit in interventions
        ]

    def _with_all_donors(self, variants: Sequence[Variant], noise_seed: int) -> list[Variant]:
        """As `_with_donors`, each donor once for all variants."""
        flat = [intervention for variant in variants for intervention in variant]
        ready = iter(self._with_donors(flat, noise_seed))
        return [tuple(next(ready) for _ in variant) for variant in variants]

    def _latents(
        self, rows: range, samples: int | Latents, seed: int, batch_size: int
    ) -> Iterator[tuple[int, Latents]]:
        """Batches with the position of the first sample of each."""
        for start in range(rows.start, rows.stop, batch_size):
            end = min(start + batch_size, rows.stop)
            if isinstance(samples, Latents):
                yield start, samples[start:end]
            else:
                yield start, self.generator.sample(end - start, seed=seed, start=start)

    def __getstate__(self) -> dict[str, object]:
        """What it was made of; what it has found out is found out again."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name in ("generator", "device", "dtype")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forwards = Forwards(self.generator, self.device, self.dtype)
        self._replays = Replays(self._forwards)


def _sites(given: str | Site | Iterable[str | Site]) -> list[str | Site]:
    """As a list: a single site need not be wrapped in one."""
    return [given] if isinstance(given, str | Site) else list(given)


def _interventions(given: Intervention | Iterable[Intervention]) -> list[Intervention]:
    """As a list: a single intervention need not be wrapped in one."""
    edits = [given] if isinstance(given, Intervention) else list(given)
    for edit in edits:
        if not isinstance(edit, Intervention):
            raise ParameterError(f"interventions are Ablate, Scale, ..., got {edit!r}")
    return edits


def _of_its_own(latents: Latents) -> Latents:
    """The same values, whatever becomes of the tensor that was given."""
    return replace(latents, z=latents.z.clone())


def _first_sets(table: LayerTable, intervention: Intervention) -> list[tuple[int, ...]]:
    """A few single units, on which methods are tried out."""
    units = intervention.site.units or range(table.resolve_one(intervention.site).n_units)
    return [(unit,) for unit in units[:N_TRIAL]]


def _check_counts(samples: int | Latents, batch_size: int) -> None:
    n_samples = len(samples) if isinstance(samples, Latents) else samples
    for count, what in ((n_samples, "number of samples"), (batch_size, "batch size")):
        if count < 1:
            raise ParameterError(f"the {what} is at least 1, got {count}")
