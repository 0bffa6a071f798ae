"""Models of Hugging Face: fetched, pinned to a revision, and their layouts on disk.

A repository is loaded that has a ``ganprobe.toml``, or an autoencoder of diffusers, whose decoder
is the generator; with a factory named, any class whose arguments are in ``config.json``.

An autoencoder's latents are those that a diffusion model makes, standard normal: they are divided
by ``scaling_factor`` and moved by ``shift_factor`` of the configuration before they are decoded,
as diffusers' pipelines do. An autoencoder whose own latents are standard normal is loaded with
``--set scaling_factor=1``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganprobe.errors import UsageError, WeightsError
from ganprobe.loading.assembly import Parts
from ganprobe.loading.description import Description, GeneratorSection, ImagesSection
from ganprobe.loading.factory_parts import named_factory, parts_of_factory
from ganprobe.loading.method_module import MethodModule
from ganprobe.loading.model_folders import parts_of_folder
from ganprobe.loading.snapshot import fetch_snapshot
from ganprobe.loading.specs import HuggingFaceSpec
from ganprobe.loading.task import Task

__all__ = ["LatentDecoder", "parts_of_hugging_face", "parts_of_layout"]

CONFIG, PIPELINE = "config.json", "model_index.json"

_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
_MOST_LISTED = 6


class LatentDecoder(MethodModule):
    """The decoder of an autoencoder, given latents as a diffusion model makes them.

    Args:
        model: an autoencoder of diffusers.
        scale, shift: it decodes latents / scale + shift.
    """

    def __init__(self, model: nn.Module, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__(model, "decode")
        self.scale, self.shift = scale, shift

    def forward(self, latents: Tensor) -> Any:
        """What the autoencoder's ``decode`` returns."""
        return self.model.decode(latents / self.scale + self.shift)  # type: ignore[operator]

    def extra_repr(self) -> str:
        """The method's name, and what is done to latents."""
        return f"{super().extra_repr()}, scale={self.scale:g}, shift={self.shift:g}"


def parts_of_hugging_face(task: Task, spec: HuggingFaceSpec) -> Parts:
    """The parts of a generator in a repository, of which only the files that it needs are fetched.

    Raises:
        UsageError: there is no such repository, revision or folder, it may not be read, or
            huggingface_hub is not installed.
        WeightsError: it cannot be fetched for want of a network.
        As `parts_of_layout`.
    """
    snapshot = fetch_snapshot(spec)
    task.record["repository"] = spec.repository
    task.record["revision"] = snapshot.revision
    name = (spec.subfolder or spec.repository).rpartition("/")[2]
    return parts_of_folder(task, snapshot.folder, name)


def parts_of_layout(
    task: Task, folder: Path, name: str, description: Description | None = None
) -> Parts:
    """The parts of a generator in a folder as diffusers or huggingface_hub write it.

    Raises:
        UsageError: it is no layout that is known, or holds no generator; says what is there.
        WeightsError: its weights cannot be read, or do not fit.
    """
    said = description or Description(folder=folder)
    if (folder / PIPELINE).is_file() and not (folder / CONFIG).is_file():
        part = _decoder_of_pipeline(folder)
        task.notes.append(f"of the pipeline in {folder}, its {part} was taken")
        return parts_of_layout(task, folder / part, name, description)
    config = _read(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    code = named_factory(task, said)
    if code is not None:
        own = {key: value for key, value in config.items() if not key.startswith("_")}
        weights = task.options.weights or _only_weights(folder, said)
        arguments = {**own, **said.arguments}
        return parts_of_factory(
            task, code, name, description=said, arguments=arguments, weights=weights
        )
    if "_class_name" not in config:
        raise _unknown(folder, config)
    return _autoencoder(task, folder, config, name, said)


def _read(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not isinstance(held, dict):
        raise UsageError(f"{path} holds a {type(held).__name__} and no configuration")
    return held


def _unknown(folder: Path, config: Mapping[str, Any]) -> UsageError:
    inside = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    listed = ", ".join(inside[:_MOST_LISTED]) + (", ..." if len(inside) > _MOST_LISTED else "")
    kind = config.get("architectures") or config.get("model_type")
    what = f" of {kind if isinstance(kind, str) else kind[0]}" if kind else ""
    if config:
        return UsageError(
            f"{folder} has a {CONFIG}{what} that names no class of diffusers; name the class that"
            " takes its entries as arguments: --factory package.module:NAME (in it:"
            f" {listed})"
        )
    return UsageError(
        f"{folder} holds no generator that is known: no ganprobe.toml, no {CONFIG}, no {PIPELINE};"
        f" name the code that makes it with --factory package.module:NAME, or write a ganprobe.toml"
        f" (in it: {listed or 'nothing'})"
    )


def _decoder_of_pipeline(folder: Path) -> str:
    held = _read(folder / PIPELINE)
    parts = {key: kind[1] for key, kind in held.items() if isinstance(kind, list) and kind[1:]}
    decoders = [key for key, kind in parts.items() if _is_autoencoder_name(kind)]
    if len(decoders) == 1:
        return decoders[0]
    listed = ", ".join(f"{key} ({kind})" for key, kind in parts.items())
    what = "several autoencoders" if decoders else "no autoencoder"
    raise UsageError(
        f"{folder} is a pipeline with {what}; name the folder of one that turns latents into"
        f" images, as {folder}/{(decoders or ['vae'])[0]} or hf:owner/name/vae (in it: {listed})"
    )


def _is_autoencoder_name(kind: object) -> bool:
    return isinstance(kind, str) and ("Autoencoder" in kind or kind.startswith("VQ"))


def _only_weights(folder: Path, description: Description) -> Path | None:
    """The weights that the description names, or that lie in the folder under a usual name."""
    if description.generator.weights is not None:
        return description.path(description.generator.weights)
    usual = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES for stem in _STEMS)
    found = next((path for path in usual if path.is_file()), None)
    others = sorted(folder.glob("*.safetensors")) or sorted(
        path for suffix in ("*.pt", "*.pth", "*.bin", "*.ckpt") for path in folder.glob(suffix)
    )
    if found is None and len(others) > 1:
        listed = ", ".join(path.name for path in others[:_MOST_LISTED])
        raise UsageError(
            f"{folder} has more than one file of weights: {listed}; say --weights FILE"
        )
    return found or next(iter(others), None)


def _autoencoder(
    task: Task, folder: Path, config: Mapping[str, Any], name: str, description: Description
) -> Parts:
    kind = _class_of_diffusers(str(config["_class_name"]), folder)
    config = {**config, **description.arguments, **task.options.arguments}
    model = _with_weights(task, kind, config, folder, description)
    scale, shift = config.get("scaling_factor") or 1.0, config.get("shift_factor") or 0.0
    if (scale, shift) != (1.0, 0.0):
        task.notes.append(
            f"latents are divided by the scaling factor {scale:g} of its configuration"
            + (f" and moved by its shift factor {shift:g}" if shift else "")
            + ", as diffusion models need; --set scaling_factor=1 decodes them as they are"
        )
    task.record["factory"] = f"diffusers:{kind.__name__}"
    shape = _latent_shape(config)
    if shape is None and task.options.latent is None and description.latent.sizes is None:
        raise UsageError(
            f"the configuration in {folder} does not say how large images are; say how large the"
            f" latents are, as --latent {config.get('latent_channels', 4)}x32x32"
        )
    decoder = LatentDecoder(model.eval(), scale, shift)
    return Parts(decoder, name, _with_conventions(description), latent_shape=shape)


def _with_conventions(description: Description) -> Description:
    """The description with what holds for every autoencoder of diffusers, where it says nothing."""
    usual = {"range": (-1.0, 1.0), "output": "sample"}
    images = {**usual, **description.images.model_dump(exclude_unset=True)}
    generator = description.generator.model_dump(exclude_unset=True, exclude={"method"})
    changed = {"images": ImagesSection(**images), "generator": GeneratorSection(**generator)}
    return description.model_copy(update=changed)


def _class_of_diffusers(written: str, folder: Path) -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise UsageError(
            f"{folder} holds a {written} of diffusers, which is not installed: pip install"
            " 'ganprobe[hf]'"
        ) from error
    kind = getattr(diffusers, written, None) if written.isidentifier() else None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise UsageError(
            f"{folder}/{CONFIG} names the class {written!r}, which diffusers"
            f" {diffusers.__version__} does not have; name the class that takes its entries as"
            " arguments with --factory"
        )
    if not _is_autoencoder_name(written) or not hasattr(kind, "decode"):
        raise UsageError(
            f"{folder} holds a {written}, which turns no latents into images; ganprobe reads the"
            " autoencoders of diffusers, and with --factory what makes images in one call"
        )
    return kind


def _with_weights(
    task: Task, kind: Any, config: Mapping[str, Any], folder: Path, description: Description
) -> nn.Module:
    path = task.options.weights or _only_weights(folder, description)
    if path is None:
        raise UsageError(f"{folder} has a {CONFIG} and no weights; say --weights FILE")
    with torch.random.fork_rng(devices=[]), _quiet():
        model: nn.Module = kind.from_config(dict(config))
    try:
        task.fit(None, model, path, task.options.weights_key)
        return model
    except WeightsError:
        renamed = _with_older_names(kind, folder, path)
        if renamed is None:
            raise
        task.keep_file(path)
        return renamed


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what diffusers says about entries of its own configurations."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _with_older_names(kind: Any, folder: Path, path: Path) -> nn.Module | None:
    """The model if its weights have names that diffusers gave to layers earlier, else None."""
    if path.parent != folder:
        return None
    try:
        model, told = kind.from_pretrained(
            str(folder),
            local_files_only=True,
            low_cpu_mem_usage=False,
            use_safetensors=".safetensors" in path.name,
            output_loading_info=True,
        )
    except Exception:  # what does not fit is told by the first attempt
        return None
    is_whole = not any(told[key] for key in ("missing_keys", "mismatched_keys", "error_msgs"))
    return model if is_whole else None


def _latent_shape(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    """(channels, height, width) of latents, where the configuration says how large images are."""
    size, blocks = config.get("sample_size"), config.get("block_out_channels")
    channels = config.get("latent_channels")
    if not (size and channels and isinstance(blocks, Sequence)):
        return None
    sides = [size, size] if isinstance(size, int) else list(size)
    return (channels, *(math.ceil(side / 2 ** (len(blocks) - 1)) for side in sides))
