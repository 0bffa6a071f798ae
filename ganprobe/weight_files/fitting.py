"""Fitting weights to a module: all of them or none, whatever wrapper they were saved from.

Costs one copy of the module's tensors while they are written, so that a write which fails in the
middle can be taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ganprobe.errors import WeightsError
from ganprobe.weight_files.entries import rank_of
from ganprobe.weight_files.misfit import Misfit, misfit_of
from ganprobe.weight_files.naming import Naming, namings
from ganprobe.weight_files.weights import Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Fitted", "fit_weights"]


@dataclass(frozen=True)
class Fitted:
    """How weights were fitted to a module.

    Args:
        key: the entry of the file that was taken; "" for the file itself.
        prefix: what was taken off its names, as ``"module."``; "" for nothing.
        notes: what was found out or tolerated, one sentence each.
    """

    key: str = ""
    prefix: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Attempt:
    """One entry of the file read in one way, and how it fits."""

    key: str
    naming: Naming
    tensors: Mapping[str, Tensor]  # under the module's names
    misfit: Misfit

    def better_first(self) -> tuple[int, int, int, int]:
        rank = rank_of(f"{self.key}.{self.naming.prefix}")
        return (self.misfit.n, rank, self.naming.n_left, self.naming.n_renamed)


def fit_weights(
    module: nn.Module, weights: Weights, *, name: str, dtype: torch.dtype | None = None
) -> Fitted:
    """Write weights into a module, every tensor of it, or raise and leave it as it was.

    Of several entries in the file, that one is taken which fits, averages over training before
    others, unless one was chosen as it was read. A prefix that all names have (``module.``,
    ``_orig_mod.``), or that of a generator among other networks (``generator.``), is taken off
    where the rest fits; weight and spectral normalisation are taken in both of torch's ways.
    Counts of batches (``num_batches_tracked``) and names of shared tensors may be missing.

    Args:
        name: what the module is called in messages.
        dtype: of the module from then on; None: as it is, whatever the file has.

    Raises:
        WeightsError: it does not fit; with counts, the first missing and unexpected names, the
            nearest ones, and the first shapes.

    Example:
        >>> import tempfile, torch
        >>> from ganprobe.weight_files import read_weights
        >>> module = torch.nn.Linear(2, 1)
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     saved = {"module.weight": torch.ones(1, 2), "module.bias": torch.zeros(1)}
        ...     torch.save(saved, file.name)
        ...     fit_weights(module, read_weights(file.name), name="mine").prefix
        'module.'
    """
    wanted = _state(module)
    best = min(_attempts(wanted, weights), key=_Attempt.better_first)
    if best.misfit.n:
        if _has_own_way_of_loading(module) and _is_taken_by(module, weights):
            notes = (*_about_entry(weights, weights.key), f"{name!r} read older names by itself")
            return Fitted(weights.key, "", notes)
        raise WeightsError(_told(best, weights, name))
    _write(module, best.tensors, weights, dtype)
    return Fitted(best.key, best.naming.prefix, _notes(best, _state(module), weights))


def _state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers that are saved, by name; one tensor may have several names."""
    import torch

    state = module.state_dict(keep_vars=True)
    return {name: one for name, one in state.items() if isinstance(one, torch.Tensor)}


def _attempts(wanted: Mapping[str, Tensor], weights: Weights) -> list[_Attempt]:
    entries = {weights.key: weights.tensors}
    if not weights.is_chosen:
        entries.update(weights.others)
    return [
        _attempt(key, tensors, naming, wanted)
        for key, tensors in entries.items()
        for naming in namings(tensors, wanted)
    ]


def _attempt(
    key: str, tensors: Mapping[str, Tensor], naming: Naming, wanted: Mapping[str, Tensor]
) -> _Attempt:
    given = {name: tensors[source] for name, source in naming.sources.items()}
    misfit = misfit_of(wanted, given)
    there = {id(wanted[name]) for name in given if name in wanted}
    missing = [
        name for name in misfit.missing if not _is_counter(name) and id(wanted[name]) not in there
    ]
    return _Attempt(key, naming, given, replace(misfit, missing=tuple(missing)))


def _is_counter(name: str) -> bool:
    """Whether a buffer only counts batches in training, and plays no part in eval mode."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def _write(
    module: nn.Module, tensors: Mapping[str, Tensor], weights: Weights, dtype: torch.dtype | None
) -> None:
    with _taken_back_on_failure(module, weights):
        if dtype is not None:
            module.to(dtype)
        state = _state(module)
        is_empty = any(one.is_meta for one in state.values())  # has shapes, and no memory
        if is_empty:
            tensors = {key: one.to(state[key].dtype, copy=True) for key, one in tensors.items()}
        module.load_state_dict(dict(tensors), strict=False, assign=is_empty)


@contextmanager
def _taken_back_on_failure(module: nn.Module, weights: Weights) -> Iterator[None]:
    """Whatever raises, the module's tensors are then what they were before."""
    import torch
    from torch.nn.parameter import is_lazy

    known = {name: one for name, one in _state(module).items() if not is_lazy(one)}
    before = {name: one.detach().clone() for name, one in known.items()}
    try:
        yield
    except BaseException as error:
        with torch.no_grad():
            for name, tensor in _state(module).items():
                if name in before:
                    tensor.data = tensor.data.to(before[name].dtype)
                    tensor.copy_(before[name])
        if not isinstance(error, Exception):
            raise
        raise WeightsError(f"writing the weights in {weights.where} failed: {error}") from error


def _has_own_way_of_loading(module: nn.Module) -> bool:
    """Whether a layer that is not torch's may read names or shapes that are not its own."""
    hooks = [
        hook for layer in module.modules() for hook in layer._load_state_dict_pre_hooks.values()
    ]
    methods = [type(layer)._load_from_state_dict for layer in module.modules()]
    return any(not _is_torchs(one) for one in (*hooks, *methods))


def _is_torchs(function: object) -> bool:
    return str(getattr(function, "__module__", "")).split(".")[0] == "torch"


def _is_taken_by(module: nn.Module, weights: Weights) -> bool:
    try:
        with _taken_back_on_failure(module, weights):
            module.load_state_dict(dict(weights.tensors), strict=True)
    except WeightsError:
        return False
    return True


def _told(best: _Attempt, weights: Weights, name: str) -> str:
    where = f"{weights.path} (entry {best.key!r})" if best.key else str(weights.path)
    under = f", without the prefix {best.naming.prefix!r}," if best.naming.prefix else ""
    others = [repr(key) for key in (weights.key, *weights.found) if key and key != best.key]
    way_out = f" or take another entry ({', '.join(others)})" if others else ""
    return (
        f"the weights in {where}{under} do not fit {name!r}: {best.misfit.told()};"
        f" the module is as it was: check the arguments of its factory{way_out}"
    )


def _notes(best: _Attempt, wanted: Mapping[str, Tensor], weights: Weights) -> tuple[str, ...]:
    notes = _about_entry(weights, best.key)
    naming = best.naming
    if naming.prefix:
        left = f", and left the {naming.n_left} others aside" if naming.n_left else ""
        notes.append(
            f"took the {len(naming.sources)} tensors whose names begin {naming.prefix!r}{left}"
        )
    if naming.added:
        notes.append(f"put {naming.added!r} before the names in {weights.path.name}")
    if naming.n_renamed:
        notes.append(
            f"{naming.n_renamed} names in {weights.path.name} are written in another way (by"
            " wrappers of layers, weight or spectral normalisation) than the module's"
        )
    counters = [name for name in wanted if _is_counter(name) and name not in best.tensors]
    if counters:
        notes.append(
            f"{len(counters)} counts of batches (num_batches_tracked) are not in"
            f" {weights.path.name}; they play no part in eval mode"
        )
    return (*notes, *_about_dtypes(best, wanted, weights))


def _about_entry(weights: Weights, key: str) -> list[str]:
    others = [one for one in (weights.key, *weights.found) if one != key]
    if not key and not others:
        return []
    taken = f"entry {key!r}" if key else "its own tensors"
    held = ", ".join(repr(one) if one else "its own tensors" for one in others)
    return [f"took {taken} of {weights.path.name}" + (f"; it also holds {held}" if others else "")]


def _about_dtypes(best: _Attempt, wanted: Mapping[str, Tensor], weights: Weights) -> Iterator[str]:
    """A sentence for each change of dtype."""
    changes = Counter(
        (str(tensor.dtype), str(wanted[name].dtype))
        for name, tensor in best.tensors.items()
        if name in wanted and tensor.dtype != wanted[name].dtype
    )
    for (given, kept), n in changes.items():
        yield (
            f"{n} tensors are {given.removeprefix('torch.')} in {weights.path.name} and"
            f" {kept.removeprefix('torch.')} in the module"
        )
