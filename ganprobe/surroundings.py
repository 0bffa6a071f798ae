"""What code shares with everything else in its process: torch's settings, the working folder.

`Surroundings.now` remembers it, and `Surroundings.put_back` undoes what was changed since and says
what that was, so that the work of one plugin does not reach into that of the next. The state of
random number generators is left alone. Costs a tenth of a millisecond; libraries that are not
imported yet are not imported for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Surroundings"]


class _Setting(NamedTuple):
    """One thing that is shared.

    Args:
        library: that has to be imported for it to be there at all.
        untouched: its value where the library has only just been imported.
    """

    what: str
    library: str
    untouched: Callable[[Any], object]
    read: Callable[[Any], object]
    write: Callable[[Any, Any], object]


def _setting(
    what: str,
    untouched: object,
    read: Callable[[Any], object],
    write: Callable[[Any, Any], object],
) -> _Setting:
    return _Setting(f"torch's {what}", "torch", lambda torch: untouched, read, write)


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        return None


_SETTINGS = (
    _Setting(
        "the working folder",
        "os",
        lambda os: _working_folder(),
        lambda os: _working_folder(),
        lambda os, folder: folder is None or os.chdir(folder),
    ),
    _Setting(
        "torch's default dtype",
        "torch",
        lambda torch: torch.float32,
        lambda torch: torch.get_default_dtype(),
        lambda torch, dtype: torch.set_default_dtype(dtype),
    ),
    _setting(
        "gradient mode",
        True,
        lambda torch: torch.is_grad_enabled(),
        lambda torch, enabled: torch.set_grad_enabled(enabled),
    ),
    _setting(
        "deterministic algorithms",
        (False, False),
        lambda torch: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda torch, held: torch.use_deterministic_algorithms(held[0], warn_only=held[1]),
    ),
    _setting(
        "default device",
        "cpu",
        lambda torch: str(torch.get_default_device()),
        lambda torch, device: torch.set_default_device(None if device == "cpu" else device),
    ),
    _setting(
        "autocasting",
        (False, False),
        lambda torch: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        lambda torch, held: [
            torch.set_autocast_enabled(device, enabled)
            for device, enabled in zip(("cpu", "cuda"), held, strict=True)
        ],
    ),
    _setting(
        "precision of matrix products",
        "highest",
        lambda torch: torch.get_float32_matmul_precision(),
        lambda torch, precision: torch.set_float32_matmul_precision(precision),
    ),
    _setting(
        "choice of convolutions",
        (False, False),
        lambda torch: (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        lambda torch, held: torch.backends.cudnn.set_flags(
            _benchmark=held[0], _deterministic=held[1]
        ),
    ),
    _Setting(
        "numpy's handling of floating-point errors",
        "numpy",
        lambda numpy: numpy.geterr(),
        lambda numpy: numpy.geterr(),
        lambda numpy, held: numpy.seterr(**held),
    ),
    _Setting(
        "matplotlib's style",
        "matplotlib",
        lambda matplotlib: _style(matplotlib.rcParamsOrig),
        lambda matplotlib: _style(matplotlib.rcParams),
        lambda matplotlib, held: matplotlib.rcParams.update(
            {name: value for name, value in held.items() if _differs(matplotlib, name, value)}
        ),
    ),
)


def _style(held: Any) -> dict[str, object]:
    """All of it but the backend, which matplotlib chooses when it first draws."""
    return {name: value for name, value in dict.items(held) if "backend" not in name}


def _differs(matplotlib: Any, name: str, value: object) -> bool:
    return bool(dict.get(matplotlib.rcParams, name) != value)


def _loaded() -> Iterator[tuple[_Setting, Any]]:
    for setting in _SETTINGS:
        library = sys.modules.get(setting.library)
        if library is not None:
            yield setting, library


@dataclass(frozen=True)
class Surroundings:
    """What was shared at one moment.

    Example:
        >>> import torch
        >>> surroundings = Surroundings.now()
        >>> torch.set_default_dtype(torch.float64)
        >>> surroundings.put_back()
        ["torch's default dtype"]
        >>> torch.get_default_dtype()
        torch.float32
    """

    held: Mapping[str, object]

    @classmethod
    def now(cls) -> Surroundings:
        """What is shared now."""
        held: dict[str, object] = {}
        for setting, library in _loaded():
            with suppress(RuntimeError):  # two ways of one setting were mixed: torch cannot tell
                held[setting.what] = setting.read(library)
        return cls(held)

    def put_back(self) -> list[str]:
        """Undo what was changed since then, and name it."""
        return [setting.what for setting, library in _loaded() if self._undo(setting, library)]

    def _undo(self, setting: _Setting, library: Any) -> bool:
        try:
            before = self.held.get(setting.what, setting.untouched(library))
            if setting.read(library) == before:
                return False
            setting.write(library, before)
        except (RuntimeError, OSError, AttributeError):  # a library half imported, a folder gone
            return False
        return True
