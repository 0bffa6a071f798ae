"""Snapshots: those files of a repository at Hugging Face that a generator needs, on this disk.

Of a repository with a ``ganprobe.toml``: that, the weights it names, and code beside it, which is
not run. Of any other: configurations, and weights as safetensors; as ``.bin`` only where there
are none. What is in the cache is not fetched again, and with ``HF_HUB_OFFLINE=1`` nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganprobe.errors import GanprobeError, UsageError, WeightsError
from ganprobe.loading.description import DESCRIPTION_FILE, read_description
from ganprobe.loading.specs import HuggingFaceSpec

__all__ = ["Snapshot", "fetch_snapshot"]

_CONFIGURATIONS = (DESCRIPTION_FILE, "config.json", "model_index.json")
_SAFE = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "*.safetensors.index.json",
    "*-of-*.safetensors",
)
_PICKLED = ("diffusion_pytorch_model.bin", "pytorch_model.bin", "*.bin.index.json", "*-of-*.bin")


@dataclass(frozen=True)
class Snapshot:
    """A folder with the files of a repository, or of a folder of it, at one revision."""

    folder: Path
    revision: str


def fetch_snapshot(spec: HuggingFaceSpec) -> Snapshot:
    """Fetch what a generator needs.

    Raises:
        UsageError: there is no such repository, revision or folder, it may not be read, or
            huggingface_hub is not installed.
        WeightsError: it is not on this disk, and there is no way to the network.
    """
    root = _fetch(spec, spec.revision, _under(spec.subfolder, _CONFIGURATIONS))
    revision = root.name  # of a snapshot's folder
    folder = root / spec.subfolder
    if not folder.is_dir():
        raise UsageError(
            f"{_spoken(spec)} has no folder {spec.subfolder!r} with a configuration"
            if spec.subfolder
            else f"{_spoken(spec)} has none of {', '.join(_CONFIGURATIONS)}, which say what is in"
            " it; fetch it yourself, and write a ganprobe.toml"
        )
    if (folder / DESCRIPTION_FILE).is_file():
        weights = read_description(folder).generator.weights
        names = ["*.py", *([weights] if weights else _SAFE)]
        if not (_has_weights(folder) if weights is None else (folder / weights).is_file()):
            _fetch(spec, revision, _under(spec.subfolder, names))
        return Snapshot(folder, revision)
    for name in _places_of_weights(folder):
        inner = "/".join(filter(None, (spec.subfolder, name)))
        for patterns in ([*_CONFIGURATIONS, *_SAFE], _PICKLED):
            if not _has_weights(root / inner):
                _fetch(spec, revision, _under(inner, patterns))
    return Snapshot(folder, revision)


def _has_weights(folder: Path) -> bool:
    """Whether all weights are there, so that nobody need be asked for them."""
    for index in folder.glob("*.index.json"):
        held = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return all((folder / name).is_file() for name in held)
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def _places_of_weights(folder: Path) -> list[str]:
    """The folders under it that weights are in: it itself, or the decoders of a pipeline."""
    if (folder / "config.json").is_file() or not (folder / "model_index.json").is_file():
        return [""]
    held = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    kinds = {key: kind[1] for key, kind in held.items() if isinstance(kind, list) and kind[1:]}
    return [key for key, kind in kinds.items() if "Autoencoder" in str(kind) or "VQ" in str(kind)]


def _under(folder: str, names: Sequence[str]) -> list[str]:
    return [f"{folder}/{name}" if folder else name for name in names]


def _spoken(spec: HuggingFaceSpec) -> str:
    return f"{spec.repository!r} of Hugging Face" + (
        f" at {spec.revision}" if spec.revision else ""
    )


def _fetch(spec: HuggingFaceSpec, revision: str | None, patterns: Sequence[str]) -> Path:
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise UsageError(
            f"{_spoken(spec)} needs huggingface_hub, which is not installed: pip install"
            " 'ganprobe[hf]' (if you mean a file, there is none of this name)"
        ) from error
    try:
        return Path(
            huggingface_hub.snapshot_download(
                spec.repository, revision=revision, allow_patterns=list(patterns)
            )
        )
    except Exception as error:  # requests, httpx, or its own, by version
        raise _in_a_sentence(error, spec, errors) from error


def _in_a_sentence(error: Exception, spec: HuggingFaceSpec, errors: Any) -> GanprobeError:
    what = _spoken(spec)
    if isinstance(error, errors.GatedRepoError):
        return UsageError(
            f"{what} is gated: ask for access on its page, and sign in with `hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UsageError(
            f"there is no repository {what} (or it is private: sign in with `hf auth login`)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"there is no revision {spec.revision!r} of {spec.repository!r}")
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"{spec.repository!r} is no name of a repository: {error}")
    if isinstance(error, errors.LocalEntryNotFoundError | ConnectionError | TimeoutError):
        return WeightsError(
            f"{what} is not on this disk and cannot be fetched, as there is no way to the network"
            " (or HF_HUB_OFFLINE is set); fetch it where there is one with `hf download"
            f" {spec.repository}`, and give the folder"
        )
    told = " ".join(str(error).split())[:300]
    return WeightsError(f"{what} cannot be fetched: {type(error).__name__}: {told}")
