"""Reading weights out of whatever file holds them, safely.

Costs reading the file twice, once for its SHA-256; memory holds its tensors once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganprobe.errors import UnknownNameError, WeightsError
from ganprobe.weight_files.entries import Entries, entries_in, modules_in
from ganprobe.weight_files.kinds import FileKind, file_kind
from ganprobe.weight_files.nvidia import is_nvidia
from ganprobe.weight_files.pytorch_files import read_pytorch
from ganprobe.weight_files.safetensors_files import read_safetensors
from ganprobe.weight_files.trust import Trust, sha256_of
from ganprobe.weight_files.weights import WeightFormat, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["read_module", "read_weights"]


def read_weights(
    path: Path | str, *, key: str | None = None, trust: Trust | None = None
) -> Weights:
    """The named tensors of a safetensors file or of what ``torch.save`` wrote, on the CPU.

    Nothing in the file is executed, unless trust is given and it cannot be read otherwise. Where
    a checkpoint holds several state dicts, the likeliest generator's is taken, averaged over
    training if there is such a one; `fit_weights` looks at all of them. Weights spread over
    several files are read through the ``.index.json`` that lists them.

    Args:
        key: the entry of the checkpoint to take, as ``"g_ema"`` or ``"netG.params"``, or what
            its tensors' names begin with, as ``"generator"`` for ``generator.conv.weight``.

    Raises:
        UsageError: there is no such file; `UnknownNameError`, no such entry; `UntrustedError`,
            it holds more than tensors and plain values.
        WeightsError: it is empty, truncated, damaged, of another kind, or holds no tensors.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     torch.save({"step": 3, "g_ema": {"weight": torch.ones(2)}}, file.name)
        ...     weights = read_weights(file.name)
        >>> weights.key, weights.tensors["weight"]
        ('g_ema', tensor([1., 1.]))
    """
    path, trust = Path(path), trust or Trust()
    kind = file_kind(path)
    if kind == "index":
        return _of_index(path, key, trust)
    _refuse_networks(path, kind)
    held, trusted = _held(path, kind, trust)
    entries = entries_in(held)
    if not entries:
        raise WeightsError(
            f"{path} holds no tensors by name, but {_spoken(held)}; give a state dict, as"
            " torch.save(module.state_dict(), ...) writes"
        )
    digest = sha256_of(path)
    form: WeightFormat = "safetensors" if kind == "safetensors" else "pytorch"
    return _chosen(entries, key, path, digest, form, {str(path): digest}, trusted)


def read_module(path: Path | str, *, trust: Trust, key: str | None = None) -> nn.Module:
    """The whole module that ``torch.save(module, ...)`` or ``pickle.dump`` wrote, on the CPU.

    Such a file names the classes of its layers, which must be importable, so it needs trust.

    Raises:
        As `read_weights`; also `WeightsError` where the file holds no module.
    """
    path = Path(path)
    kind = file_kind(path)
    if kind in ("safetensors", "index"):
        raise WeightsError(f"{path} holds tensors only; say which factory makes the module")
    _refuse_networks(path, kind)
    held, _ = _held(path, kind, trust)
    modules = modules_in(held)
    if not modules:
        raise WeightsError(
            f"{path} holds no module, but {_spoken(held)}; say which factory makes the module"
        )
    if key is not None and key not in modules:
        raise UnknownNameError("module", key, modules, where=str(path))
    module: nn.Module = modules[next(iter(modules)) if key is None else key]
    return module


def _held(path: Path, kind: FileKind, trust: Trust) -> tuple[Any, str]:
    if kind == "safetensors":
        return read_safetensors(path), ""
    return read_pytorch(path, kind, trust)


def _refuse_networks(path: Path, kind: FileKind) -> None:
    """Raise for files that are a network rather than weights of one."""
    if kind in ("torchscript", "export"):
        what = "TorchScript" if kind == "torchscript" else "torch.export"
        raise WeightsError(
            f"{path} is a {what} archive, a network by itself; give it as the generator, not as"
            " the weights of one"
        )
    if kind == "pickle" and is_nvidia(path):
        raise WeightsError(
            f"{path} is a network as NVIDIA pickles them, with its source; give it as the"
            " generator, with --code and the folder of a clone of their repository"
        )


def _chosen(
    entries: Entries,
    key: str | None,
    path: Path,
    digest: str,
    form: WeightFormat,
    files: dict[str, str],
    trusted: str,
) -> Weights:
    taken = next(iter(entries)) if key is None else key
    if taken not in entries:
        begun = _beginning_with(entries, taken)
        if not begun:
            raise UnknownNameError(
                "entry", taken, entries, where=str(path), hint=f"it holds: {_listed(entries)}"
            )
        entries = {**entries, taken: begun}
    others = {name: tensors for name, tensors in entries.items() if name != taken}
    return Weights(
        entries[taken],
        path,
        digest,
        form,
        taken,
        tuple(others),
        others,
        key is not None,
        files,
        trusted,
    )


def _beginning_with(entries: Entries, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it, of the first entry with such."""
    start = f"{prefix}."
    for tensors in entries.values():
        begun = {n.removeprefix(start): one for n, one in tensors.items() if n.startswith(start)}
        if begun:
            return begun
    return {}


def _listed(entries: Entries) -> str:
    return ", ".join(f"{key!r}" if key else "its own tensors" for key in entries)


def _of_index(path: Path, key: str | None, trust: Trust) -> Weights:
    """Weights in several files, by the JSON beside them that says which tensor is in which."""
    places: dict[str, object] = json.loads(path.read_bytes())["weight_map"]
    names = sorted({str(name) for name in places.values()})
    shards = [_beside(path, name) for name in names]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing or not names:
        raise WeightsError(
            f"{path} lists {len(names)} files of weights, of which {len(missing)} are not beside"
            f" it (first: {missing[0] if missing else 'none listed'}); put all of them there"
        )
    tensors: dict[str, Tensor] = {}
    files = {str(path): sha256_of(path)}
    parts = [read_weights(shard, key="", trust=trust) for shard in shards]
    for part in parts:
        tensors.update(part.tensors)
        files.update(part.files)
    absent = [name for name in places if name not in tensors]
    if absent:
        raise WeightsError(
            f"{len(absent)} of {len(places)} tensors that {path} lists are not in its files"
            f" (first: {absent[0]!r} should be in {places[absent[0]]}); download them again"
        )
    trusted = next((part.trusted for part in parts if part.trusted), "")
    return _chosen({"": tensors}, key, path, files[str(path)], parts[0].format, files, trusted)


def _beside(path: Path, name: str) -> Path:
    """A file of weights in the folder of its index, and nowhere else."""
    if Path(name).name != name or name.endswith(".json"):
        raise WeightsError(f"{path} lists {name!r}, which is no file of weights beside it")
    return path.with_name(name)


def _spoken(held: object) -> str:
    kind = type(held).__name__
    if isinstance(held, dict):
        keys = ", ".join(str(key) for key in list(held)[:3])
        return f"a dict of {keys}" if keys else "an empty dict"
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
