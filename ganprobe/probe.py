"""Probe: the face of the engine."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ganprobe.engine import DRY_RUN_SAMPLES, Hooks, Plan, Recording, dry_run, make_plan
from ganprobe.errors import ParameterError, SiteError
from ganprobe.generators import Generator
from ganprobe.interventions import Intervention
from ganprobe.latents import Latents
from ganprobe.progress import Progress, silent
from ganprobe.provenance import Provenance
from ganprobe.sites import LayerTable, Site, SiteTensor
from ganprobe.store import RecordingSpec, write_store

__all__ = ["Probe", "Run"]

DEFAULT_BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Run:
    """One forward: its latents, images (n, channels, height, width) and what was recorded."""

    latents: Latents
    images: Tensor
    recording: Recording

    def __getitem__(self, site: str | Site) -> Tensor:
        """The activation recorded at a site, as the site was written."""
        return self.recording[site]


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
        reference = _reference_tensor(generator)
        self.device = reference.device if device is None else _checked_device(device)
        self.dtype = reference.dtype if dtype is None else _checked_dtype(dtype)
        self.generator = generator
        if (self.device, self.dtype) != (reference.device, reference.dtype):
            moved = copy.deepcopy(generator.module).to(device=self.device, dtype=self.dtype)
            self.generator = replace(generator, module=moved)

    def layers(self) -> LayerTable:
        """Every layer in order, with its sites, from one dry run of two samples."""
        return self._table

    @torch.no_grad()
    def run(
        self,
        latents: Latents | Tensor,
        interventions: Intervention | Iterable[Intervention] = (),
        *,
        record: str | Site | Iterable[str | Site] = (),
    ) -> Run:
        """One forward of these latents, edited and recorded as asked.

        Args:
            latents: drawn with `Generator.sample`, or a tensor (n, \\*latent shape).
            interventions: done in the order given; several may be at one site.
            record: sites whose activations are kept, on the device, as the next layer saw them.

        Raises:
            UnknownNameError, SiteError, ParameterError: a site does not fit the generator.
            ForwardError: the generator raised, or a site was not reached.
        """
        plan = self._plan(record, interventions)
        with Hooks(self.generator.module, plan) as hooks:
            return self._forward(self._ready(latents), hooks)

    def runs(
        self,
        samples: int | Latents,
        interventions: Intervention | Iterable[Intervention] = (),
        *,
        record: str | Site | Iterable[str | Site] = (),
        seed: int = 0,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Iterator[Run]:
        """Runs over many samples, one batch at a time, in constant memory.

        The plan is made and checked before the first batch; hooks are on the module only while
        a batch runs.

        Args:
            samples: how many of `seed`, counted from 0; or latents, whose own seed it then is.

        Raises:
            ParameterError: fewer than one sample or a batch size below 1; and as `run`.
        """
        _check_counts(samples, batch_size)
        plan = self._plan(record, interventions)
        return self._batches(plan, self._latents(samples, seed, batch_size))

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
        overwrite: bool = False,
        progress: Progress = silent,
        command: str | None = None,
    ) -> Path:
        """Stream the activations of many samples into an HDF5 file.

        Memory stays constant whatever their number is. The file appears under its name only
        when it is whole.

        Args:
            samples: how many of `seed`, counted from 0; or latents, whose own seed it then is.
            sites: what is recorded.
            output: the file.
            images: also keep the images.
            overwrite: replace an existing file.
            progress: shows how far it is.
            command: the command line, for the provenance.

        Returns:
            The path of the file.

        Raises:
            OutputExistsError: the file exists, and `overwrite` is False.
            StoreError: the file cannot be written, or the disk is too small.
            ParameterError: no site or no sample was asked for; and as `run`.
            SiteError: a site has no batch axis, so that it has no samples to store.
        """
        samples = Latents(samples) if isinstance(samples, Tensor) else samples
        recorded = [Site.parse(site) for site in _sites(sites)]
        _check_counts(samples, batch_size)
        if not recorded:
            raise ParameterError("no site was given; name at least one")
        edits = _interventions(interventions)
        spec = RecordingSpec(
            path=Path(output),
            samples=_indices(samples),
            sites={site: self._batched(site) for site in recorded},
            latent_space=self.generator.latent_space,
            image_shape=self.image_shape if images else None,
            latent_dtype=self.dtype,
            image_dtype=self._image_dtype,
            provenance=self.provenance(
                {
                    "sites": [str(site) for site in recorded],
                    "interventions": [repr(edit) for edit in edits],
                    "n_samples": len(_indices(samples)),
                    "batch_size": batch_size,
                },
                seed=samples.seed if isinstance(samples, Latents) else seed,
                command=command,
            ),
            overwrite=overwrite,
        )
        batches = self.runs(samples, edits, record=recorded, seed=seed, batch_size=batch_size)
        return write_store(spec, batches, progress)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of its images, from the dry run."""
        self.layers()
        return self._image_shape

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

    @cached_property
    def _table(self) -> LayerTable:
        latents = self._ready(self.generator.sample(DRY_RUN_SAMPLES))
        images: list[Tensor] = []

        def forward() -> None:
            images.append(self.generator.forward(latents))

        table = dry_run(self.generator.module, forward, name=self.generator.name)
        self._image_shape = tuple(images[0].shape[1:])
        self._image_dtype = images[0].dtype
        return table

    def _batched(self, site: Site) -> SiteTensor:
        tensor = self._table.resolve_one(site)
        if not tensor.is_batched:
            raise SiteError(
                f"{site} has no batch axis, so that it cannot be stored by sample; leave that"
                " site out"
            )
        return tensor

    @torch.no_grad()
    def _batches(self, plan: Plan, batches: Iterable[Latents]) -> Iterator[Run]:
        for batch in batches:
            latents = self._ready(batch)
            with Hooks(self.generator.module, plan) as hooks:
                run = self._forward(latents, hooks)
            yield run

    def _plan(
        self,
        record: str | Site | Iterable[str | Site],
        interventions: Intervention | Iterable[Intervention],
    ) -> Plan:
        return make_plan(
            self._table, record=_sites(record), interventions=_interventions(interventions)
        )

    def _latents(self, samples: int | Latents, seed: int, batch_size: int) -> Iterator[Latents]:
        if isinstance(samples, Latents):
            yield from samples.split(batch_size)
            return
        for start in range(0, samples, batch_size):
            n = min(batch_size, samples - start)
            yield self.generator.sample(n, seed=seed, start=start)

    def _forward(self, latents: Latents, hooks: Hooks) -> Run:
        recording = hooks.begin()
        images = self.generator.forward(latents)
        hooks.check()
        return Run(latents, images, recording)

    def _ready(self, latents: Latents | Tensor) -> Latents:
        given = latents if isinstance(latents, Latents) else Latents(latents)
        shape = self.generator.latent_space.shape
        if tuple(given.z.shape[1:]) != shape or not len(given):
            raise ParameterError(
                f"latents of generator {self.generator.name!r} are (n, {_sizes(shape)}) with at"
                f" least one sample, got {tuple(given.z.shape)}"
            )
        return given.to(self.device, self.dtype)


def _sites(given: str | Site | Iterable[str | Site]) -> list[str | Site]:
    """As a list: a single site need not be wrapped in one."""
    return [given] if isinstance(given, str | Site) else list(given)


def _interventions(given: Intervention | Iterable[Intervention]) -> list[Intervention]:
    """As a list: a single intervention need not be wrapped in one."""
    return [given] if isinstance(given, Intervention) else list(given)


def _checked_device(name: torch.device | str) -> torch.device:
    there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.ones(1, device=name).device
        torch.ones(1, device=device).cpu()  # "meta" has no values to copy
    except (RuntimeError, AssertionError) as error:
        raise ParameterError(f"no device {str(name)!r} here; there is: {there}") from error
    return device


def _checked_dtype(dtype: torch.dtype) -> torch.dtype:
    if not dtype.is_floating_point:
        raise ParameterError(f"a generator runs in a dtype of floating point, got {dtype}")
    return dtype


def _reference_tensor(generator: Generator) -> Tensor:
    """A floating-point tensor of the module, whose device and dtype stand for the module's."""
    module = generator.module
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor
    return torch.empty(0)


def _indices(samples: int | Latents) -> Sequence[int]:
    """The sample indices; positions where latents were not drawn from a seed."""
    if isinstance(samples, Latents):
        return samples.indices if samples.indices is not None else range(len(samples))
    return range(samples)


def _check_counts(samples: int | Latents, batch_size: int) -> None:
    n_samples = len(samples) if isinstance(samples, Latents) else samples
    for count, what in ((n_samples, "number of samples"), (batch_size, "batch size")):
        if count < 1:
            raise ParameterError(f"the {what} is at least 1, got {count}")


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
