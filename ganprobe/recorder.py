"""What a recording will hold, and what its values depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganprobe.errors import ParameterError, UsageError
from ganprobe.forwards import Forwards
from ganprobe.generators import Generator
from ganprobe.interventions import Intervention
from ganprobe.latents import Latents
from ganprobe.provenance import Provenance
from ganprobe.sites import Site, SiteTensor
from ganprobe.store import Compression, RecordingSpec, Share

__all__ = ["STORED_DTYPES", "RecordingOptions", "recording_identity", "recording_spec"]

STORED_DTYPES = ("float32", "float16", "bfloat16")
_COMPRESSIONS = ("none", "zstd", "lz4")
_LONGEST_EDIT = 500


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """How a recording is kept; see `Probe.record`.

    Raises:
        ParameterError: a dtype or a compression that there is not, or a share outside the whole.
    """

    images: bool = False
    dtype: str | None = None
    compression: Compression = "none"
    share: tuple[int, int] | None = None
    overwrite: bool = False
    resume: bool = False

    def to_json(self) -> dict[str, Any]:
        """As provenance keeps it."""
        share = None if self.share is None else list(self.share)
        return {
            "images": self.images,
            "dtype": self.dtype,
            "compression": self.compression,
            "share": share,
        }

    def __post_init__(self) -> None:
        if self.dtype not in (None, *STORED_DTYPES):
            raise ParameterError(
                f"activations are stored in {', '.join(STORED_DTYPES)}, got {self.dtype!r}"
            )
        if self.compression not in _COMPRESSIONS:
            raise ParameterError(
                f"a compression is one of {', '.join(_COMPRESSIONS)}, got {self.compression!r}"
            )
        if self.overwrite and self.resume:
            raise ParameterError("an existing file is either replaced or gone on with, not both")
        if self.share is not None and not 1 <= self.share[0] <= self.share[1]:
            raise ParameterError(
                f"a share is the first to the last of a number of them, as 2/8, got"
                f" {self.share[0]}/{self.share[1]}"
            )


def recording_spec(
    forwards: Forwards,
    samples: int | Latents,
    sites: Mapping[Site, SiteTensor],
    output: Path,
    options: RecordingOptions,
    *,
    seed: int | None,
    interventions: Sequence[Intervention],
    batch_size: int,
    provenance: Provenance,
) -> RecordingSpec:
    """What a store of this recording holds.

    Raises:
        ParameterError: the share has no batch to itself.
    """
    dry = forwards.dry_run
    indices = _indices(samples)
    _check_labels(forwards.generator, samples, indices)
    share = None if options.share is None else Share(*options.share)
    rows = range(len(indices)) if share is None else share.rows(len(indices), batch_size)
    if not rows:
        raise ParameterError(
            f"share {share} of {len(indices)} samples in batches of {batch_size} is empty; take"
            " fewer shares, or smaller batches"
        )
    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    return RecordingSpec(
        path=output,
        samples=indices[rows.start : rows.stop],
        first=rows.start,
        seed=seed,
        batch_size=batch_size,
        sites=sites,
        latent_space=forwards.generator.latent_space,
        image_shape=dry.image_shape if options.images else None,
        latent_dtype=forwards.dtype,
        image_dtype=dry.image_dtype,
        provenance=provenance,
        identity=recording_identity(
            forwards,
            samples,
            sites,
            options,
            generator=provenance.generator,
            seed=seed,
            interventions=interventions,
        )
        | {"batch size": batch_size},
        dtype=dtype,
        compression=options.compression,
        share=share,
        overwrite=options.overwrite,
        resume=options.resume,
    )


def recording_identity(
    forwards: Forwards,
    samples: int | Latents,
    sites: Iterable[Site],
    options: RecordingOptions,
    *,
    generator: Mapping[str, Any],
    seed: int | None,
    interventions: Sequence[Intervention] = (),
) -> dict[str, Any]:
    """Everything that the values of a recording depend on, by the names that users know."""
    return {
        "generator": generator["name"],
        "weights": generator["weights_sha256"],
        "latent space": generator["latent_space"],
        "normalisation": generator["normalisation"],
        "conditions": forwards.generator.conditions() or None,
        "seed": seed,
        "samples": _told_samples(samples),
        "sites": [str(site) for site in sites],
        "interventions": [_told_edit(edit) for edit in interventions],
        "dtype": options.dtype,
        "images": options.images,
        "dtype of the weights": str(forwards.dtype).removeprefix("torch."),
        "kind of device": forwards.device.type,
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads() if forwards.device.type == "cpu" else None,
    }


def _indices(samples: int | Latents) -> Sequence[int]:
    """The sample indices; positions where latents were not drawn from a seed."""
    if isinstance(samples, Latents):
        return samples.indices if samples.indices is not None else range(len(samples))
    return range(samples)


def _check_labels(generator: Generator, samples: int | Latents, indices: Sequence[int]) -> None:
    """Refuse labels that the generator would not give again: a store holds latents alone."""
    if generator.classes is None or isinstance(samples, int):
        return
    labels = generator.labelled(samples).labels
    assert labels is not None
    if not torch.equal(labels.cpu(), generator.classes.labels(indices)):
        raise ParameterError(
            f"these latents have labels of their own, which a store does not keep; record one"
            f" class at a time: generator {generator.name!r} with_class(3)"
        )


def _told_samples(samples: int | Latents) -> int | str:
    """How many of a seed; latents that were given by their values."""
    return samples if isinstance(samples, int) else _sha256(samples.z)


def _told_edit(edit: Intervention) -> str:
    """An edit as JSON, by its hash where that is long; a function by its name."""
    try:
        told = json.dumps(edit.to_json(), sort_keys=True)
    except UsageError:
        return repr(edit)
    is_short = len(told) <= _LONGEST_EDIT
    return told if is_short else f"{edit!r} {hashlib.sha256(told.encode()).hexdigest()}"


def _sha256(tensor: Tensor) -> str:
    values = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()
