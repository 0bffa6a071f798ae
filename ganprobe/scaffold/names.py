"""Names of a new plugin: all that follow from the one that its author gives."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, get_args

import ganprobe
from ganprobe.errors import ParameterError
from ganprobe.plugins import PluginRecord

__all__ = ["KINDS", "Kind", "PluginNames"]

Kind = Literal["analysis", "generator", "measure", "segmenter"]
"""What a plugin can offer."""

KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MOST_LETTERS = 40


@dataclass(frozen=True)
class PluginNames:
    """The names of a plugin that offers one thing.

    Args:
        name: of the plugin and of what it offers, as ``edge-density``.

    Example:
        >>> names = PluginNames.of("edge-density")
        >>> names.distribution, names.module, names.class_name
        ('ganprobe-edge-density', 'ganprobe_edge_density', 'EdgeDensity')
    """

    name: str

    @classmethod
    def of(cls, name: str) -> PluginNames:
        """Read a name.

        Raises:
            ParameterError: it is no name, or Python or ganprobe have another use for it.
        """
        if not _NAME.fullmatch(name) or len(name) > _MOST_LETTERS:
            nearest = _nearest(name)
            hint = f"; nearest: {nearest}" if nearest else ""
            raise ParameterError(
                f"{name!r} cannot name a plugin: it is words of small letters and digits with -"
                f" between, {_MOST_LETTERS} characters at most, as edge-density{hint}"
            )
        names = cls(name)
        if names.class_name in ganprobe.__all__ or keyword.iskeyword(names.class_name):
            raise ParameterError(
                f"{name!r} cannot name a plugin: its class would be {names.class_name}, which is"
                f" another thing already; say more, as my-{name}"
            )
        return names

    @property
    def distribution(self) -> str:
        """What is installed, and the folder's name."""
        return f"ganprobe-{self.name}"

    @property
    def module(self) -> str:
        """What is imported."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class, where there is one."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    def refuse_taken(self, kind: Kind, records: Collection[PluginRecord]) -> None:
        """Raise `ParameterError` where somebody has one of the names.

        Args:
            records: of the plugins that are installed.
        """
        for record in records:
            if (kind, self.name) in record.claimed:
                self._refuse(f"the {kind} {self.name!r} is there already, from {record.spoken}")
            if record.name == self.name:
                self._refuse(f"{record.spoken} is there already")
        try:
            held = version(self.distribution)
        except PackageNotFoundError:
            held = ""
        if held:
            self._refuse(f"{self.distribution} {held} is installed already")
        if importlib.util.find_spec(self.module) is not None:
            self._refuse(f"there is a Python module {self.module} already")

    def _refuse(self, reason: str) -> None:
        raise ParameterError(f"{reason}; choose another name, as my-{self.name}")


def _nearest(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
    nearest = "-".join(words).lstrip("0123456789-")[:_MOST_LETTERS].rstrip("-")
    return nearest if _NAME.fullmatch(nearest) else ""
