"""Versions: which ganprobe a plugin was written for, and what to say where it is another.

A plugin says so where every Python project does, in the dependencies of its distribution:
``ganprobe>=0.1``. Where the installed one is another the plugin is not even imported.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import ganprobe
from ganprobe.errors import PluginError, nearest_names

__all__ = ["missing_name", "needed_ganprobe", "refuse_other_version"]

_MISSING = re.compile(
    r"cannot import name '(?P<imported>\w+)' from '(?P<home>ganprobe[\w.]*)'"
    r"|module 'ganprobe' has no attribute '(?P<asked>\w+)'"
)


def needed_ganprobe(distribution: Distribution | None) -> str:
    """What a distribution asks for, as ``ganprobe>=0.1``; "" where it does not say.

    Example:
        >>> from importlib.metadata import distribution
        >>> needed_ganprobe(distribution("ganprobe"))
        ''
    """
    for text in (distribution.requires if distribution else None) or []:
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue
        is_meant = canonicalize_name(needed.name) == "ganprobe" and needed.specifier
        if is_meant and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            return f"ganprobe{needed.specifier}"
    return ""


def refuse_other_version(needed: str, distribution: str) -> None:
    """Raise `PluginError` unless this ganprobe is the one that is needed.

    Args:
        needed: as `needed_ganprobe` gives it.
        distribution: that needs it, with its version.
    """
    if needed and not Requirement(needed).specifier.contains(
        ganprobe.__version__, prereleases=True
    ):
        own = distribution.split()[0]
        raise PluginError(
            f"{distribution} needs {needed}, and this is ganprobe {ganprobe.__version__}; install"
            f" that one, or a version of {own} made for this one (pip install '{needed}')"
        )


def missing_name(error: BaseException, message: str, needed: str) -> str:
    """What to say where a plugin asks for a public name that this ganprobe has not; else "".

    Args:
        message: of the error.
        needed: what its distribution asks for, or "".
    """
    is_of_names = isinstance(error, ImportError | AttributeError)
    missing = _MISSING.search(message) if is_of_names else None
    if missing is None:
        return ""
    name = missing["imported"] or missing["asked"]
    home = missing["home"] or "ganprobe"
    if home != "ganprobe":
        return f"{home} has no {name!r}, and only names of ganprobe itself are public"
    nearest = ", ".join(nearest_names(name, ganprobe.__all__))
    asked = f"the plugin asks for {needed}" if needed else "the plugin does not say which it needs"
    return f"ganprobe {ganprobe.__version__} has no {name!r}; nearest: {nearest}; {asked}"
