"""Naming: the ways in which the names in a file may stand for those of a module.

Wrappers put a prefix before every name (``module.``, ``_orig_mod.``) or within names, where they
wrap a layer; training code keeps several networks under one prefix each (``generator.``); weight
and spectral normalisation are written in two ways. Pure: looks at names alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from ganprobe.weight_files.entries import is_of_generator

__all__ = ["Naming", "namings"]

_N_TRIED = 8  # names from which prefixes are guessed: one of them may be misnamed

_NORMALISED = (
    (r"_g", r".original0"),  # weight normalisation: torch.nn.utils, .parametrizations
    (r"_v", r".original1"),
    (r"_orig", r".original"),  # spectral normalisation
    (r"_u", r".0._u"),
    (r"_v", r".0._v"),
)
_WRAPPER = re.compile(
    r"(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_OLD = re.compile(r"(.*\.|)(\w+?)(_g|_v|_orig|_u)")
_NEW = re.compile(r"(.*\.|)parametrizations\.(\w+)(\.original[01]?|\.0\._[uv])")


@dataclass(frozen=True)
class Naming:
    """Which name in the file stands for each of the module's, and what was done to get there.

    Args:
        sources: by the name in the module (or none of its), the name in the file.
        prefix: taken off the names in the file; "" for none.
        added: put before the names in the file; "" for none.
        n_left: how many tensors of the file are not under the prefix, and left aside.
        n_renamed: how many are written in another way: within wrappers, or in the other one of
            weight or spectral normalisation.
    """

    sources: Mapping[str, str]
    prefix: str = ""
    added: str = ""
    n_left: int = 0
    n_renamed: int = 0


def namings(names: Iterable[str], wanted: Iterable[str]) -> list[Naming]:
    """The ways to read the names in a file as those of a module, plainest first.

    Tensors are left aside only where what remains is under the prefix of a generator.

    Example:
        >>> [naming.prefix for naming in namings(["module.fc.bias"], ["fc.bias"])]
        ['', 'module.']
    """
    names, wanted = list(names), list(wanted)
    known = frozenset(wanted)
    found = [_naming(names, known)]
    for prefix in _prefixes(wanted, names):
        under = [name for name in names if name.startswith(prefix)]
        if len(under) == len(names) or is_of_generator(prefix):
            found.append(_naming(under, known, prefix=prefix, n_left=len(names) - len(under)))
    found += [_naming(names, known, added=added) for added in _prefixes(names, wanted)]
    return found


def _naming(
    names: list[str], wanted: frozenset[str], *, prefix: str = "", added: str = "", n_left: int = 0
) -> Naming:
    plain = {added + name.removeprefix(prefix): name for name in names}
    sources = {name: source for name, source in plain.items() if name in wanted}
    n_plain = len(sources)
    strange = [name for name in plain if name not in wanted]
    n_unknown = 0
    for name in strange:
        free = (other for other in _spellings(name) if other in wanted and other not in sources)
        meant = next(free, name)
        n_unknown += meant == name
        sources[meant] = plain[name]
    return Naming(sources, prefix, added, n_left, len(sources) - n_plain - n_unknown)


def _spellings(name: str) -> Iterator[str]:
    """The names that the same tensor has without wrappers, or otherwise normalised."""
    unwrapped = _WRAPPER.sub("", name)
    yield from _normalised_otherwise(name)
    if unwrapped != name:
        yield unwrapped
        yield from _normalised_otherwise(unwrapped)


def _normalised_otherwise(name: str) -> Iterator[str]:
    if match := _OLD.fullmatch(name):
        for old, new in _NORMALISED:
            if match[3] == old:
                yield f"{match[1]}parametrizations.{match[2]}{new}"
    elif match := _NEW.fullmatch(name):
        for old, new in _NORMALISED:
            if match[3] == new:
                yield f"{match[1]}{match[2]}{old}"


def _prefixes(endings: list[str], names: list[str]) -> list[str]:
    """What stands before one of `endings` in `names`, such as ``"module."``, shortest first."""
    found = {
        name.removesuffix(ending)
        for given in islice(endings, _N_TRIED)
        for ending in (given, *_spellings(given))
        for name in names
        if name.endswith(f".{ending}")
    }
    return sorted(found, key=lambda prefix: (prefix.count("."), prefix))
