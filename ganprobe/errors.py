"""The exceptions that ganprobe raises.

    GanprobeError                       exit status 1: it was attempted and failed
    ├── ForwardError     (RuntimeError)     the generator raised, or its outcome cannot be used
    │   ├── SiteNotReachedError             a site's layer did not run in this forward
    │   ├── NotATensorError (TypeError)     what stands at a site is no tensor
    │   ├── OverwrittenError                a recorded activation was written into later
    │   ├── NotReplayableError              a forward cannot be resumed from the edited site
    │   ├── NotDifferentiableError          a generator or segmenter has no derivative
    │   └── NotFiniteError (ArithmeticError)  NaN or infinity stands at a site
    ├── StoreError       (OSError)          an activation store cannot be written or read
    ├── PluginError                         a plugin failed while it was doing its work
    ├── FactoryError                        the code that makes a generator failed
    ├── WeightsError                        a file of weights cannot be read, or does not fit
    └── UsageError       (ValueError)   exit status 2: what was asked for cannot be meant
        ├── UnknownNameError (LookupError)  no generator, layer, plugin, measure of that name
        ├── SiteError                       a site that cannot be read, or does not fit
        ├── ShapeError                      values that do not fit the activation at a site
        ├── NotRecordedError (KeyError)     a recording does not hold this site
        ├── ParameterError                  a parameter outside its range or of another type
        ├── UntrustedError                  a file would execute code, and is not trusted to
        └── OutputExistsError (FileExistsError)

Every message is one sentence of fact, the value received, and the way out.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "FactoryError",
    "ForwardError",
    "GanprobeError",
    "NotATensorError",
    "NotDifferentiableError",
    "NotFiniteError",
    "NotRecordedError",
    "NotReplayableError",
    "OutputExistsError",
    "OverwrittenError",
    "ParameterError",
    "PluginError",
    "ShapeError",
    "SiteError",
    "SiteNotReachedError",
    "StoreError",
    "UnknownNameError",
    "UntrustedError",
    "UsageError",
    "WeightsError",
    "blaming",
    "is_out_of_memory",
    "line_of_plugin",
    "nearest_names",
]


class GanprobeError(Exception):
    """Anything that ganprobe raises on purpose; `exit_status` is the command line's."""

    exit_status = 1

    def __str__(self) -> str:
        # OSError and LookupError have forms of their own; a message here is always one sentence.
        return str(self.args[0]) if self.args else type(self).__name__


class ForwardError(GanprobeError, RuntimeError):
    """The generator raised during a forward, or returned something that cannot be used."""


class SiteNotReachedError(ForwardError):
    """A site was asked for whose layer did not run in this forward."""


class NotATensorError(ForwardError, TypeError):
    """What stands at a site is not a tensor."""


class OverwrittenError(ForwardError):
    """A recorded activation was written into, later in the same forward, before it was kept."""


class NotFiniteError(ForwardError, ArithmeticError):
    """NaN or infinity stands at a site, and a check for it was asked for."""


class NotReplayableError(ForwardError):
    """A forward cannot be resumed from the edited site, or its samples not be put in one batch.

    Args:
        kind: what hinders it, in one word: see `Refusal`.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(kind, message)

    def __str__(self) -> str:
        return str(self.args[-1])


class NotDifferentiableError(ForwardError):
    """Derivatives do not go through a generator or a segmenter, or are not finite."""


class StoreError(GanprobeError, OSError):
    """An activation store cannot be written or read."""


class PluginError(GanprobeError):
    """A plugin failed while it was doing its work."""


class FactoryError(GanprobeError):
    """The code that makes a generator raised, or made something else."""


class WeightsError(GanprobeError):
    """A file of weights cannot be read, holds something else, or does not fit the module."""


class UsageError(GanprobeError, ValueError):
    """What was asked for cannot be meant; the message says what can."""

    exit_status = 2


class UnknownNameError(UsageError, LookupError):
    """There is nothing of that name; carries the nearest ones.

    Example:
        >>> print(UnknownNameError("layer", "conv9", ["conv2", "conv3"], hint="try layers()"))
        no layer 'conv9'; nearest: conv3, conv2 (try layers())
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, where: str = "", hint: str = ""
    ) -> None:
        self.kind, self.name, self.where = kind, name, where
        self.nearest = nearest_names(name, known)
        listed = f"; nearest: {', '.join(self.nearest)}" if self.nearest else ""
        there = f" in {where}" if where else ""
        way_out = f" ({hint})" if hint else ""
        super().__init__(f"no {kind} {name!r}{there}{listed}{way_out}")


class SiteError(UsageError):
    """A site that cannot be read, or that does not fit the generator."""


class ShapeError(UsageError):
    """Values whose shape does not fit the activation at a site."""


class NotRecordedError(UsageError, KeyError):
    """A recording does not hold this site; names those that it holds."""


class ParameterError(UsageError):
    """A parameter outside its range, of another type, or unknown."""


class UntrustedError(UsageError):
    """A file would execute code when it is read, and nobody has said that it may."""


class OutputExistsError(UsageError, FileExistsError):
    """The output is already there and may not be replaced."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that memory ran out."""
    cause: BaseException | None = error
    while cause is not None:
        is_device = type(cause).__name__ == "OutOfMemoryError"  # of torch, not imported for this
        is_host = isinstance(cause, RuntimeError) and "can't allocate memory" in str(cause)
        if is_device or is_host or isinstance(cause, MemoryError):
            return True
        cause = cause.__cause__ if isinstance(cause, ForwardError) else None
    return False


def line_of_plugin(error: BaseException, module: str) -> str:
    """`` (file:line)``, the last line of the plugin's own files that was running, or "".

    Where a file of its could not even be read, the line that is wrong there.
    """
    package = module.split(".")[0]
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).split(".")[0] == package
    ]
    if isinstance(error, SyntaxError) and error.filename:
        own.append((error.filename, error.lineno or 1))
    return f" ({own[-1][0]}:{own[-1][1]})" if own else ""


def interruption_in(error: BaseException) -> BaseException | None:
    """What says that somebody wants the process to end: the error, or what it was raised from.

    A library that is interrupted while it is imported makes an ImportError of that.

    Example:
        >>> failed = ImportError("initialization failed")
        >>> failed.__cause__ = KeyboardInterrupt()
        >>> interruption_in(failed)
        KeyboardInterrupt()
    """
    cause: BaseException | None = error
    while cause is not None and not _is_interruption(cause):
        cause = cause.__cause__
    return cause


def _is_interruption(error: BaseException) -> bool:
    is_of_ganprobe = type(error).__module__.split(".")[0] == "ganprobe"
    is_told = not isinstance(error, Exception) and is_of_ganprobe  # by a signal
    return is_told or isinstance(error, KeyboardInterrupt | GeneratorExit)


@contextmanager
def blaming(what: str, module: str, *, on: str = "", in_batches: bool = False) -> Iterator[None]:
    """While somebody's code runs: what it raises becomes a `PluginError` with its line.

    ganprobe's own errors are passed on.

    Args:
        what: that raised, as ``measure 'brightness'``.
        module: that it is defined in.
        on: what it was given, as `` on images (4, 3, 8, 8)``.
        in_batches: that memory ran out is passed on, too: the caller tries smaller batches.

    Example:
        >>> with blaming("measure 'ink'", "inky"):
        ...     1 / 0
        Traceback (most recent call last):
        ...
        ganprobe.errors.PluginError: measure 'ink' raised ZeroDivisionError: division by zero
    """
    try:
        yield
    except GanprobeError:
        raise
    except BaseException as error:
        if in_batches and is_out_of_memory(error):
            raise
        if (ended := interruption_in(error)) is not None:
            raise ended from None
        where = line_of_plugin(error, module)
        raise PluginError(f"{what} raised {type(error).__name__}{on}: {error}{where}") from error


def nearest_names(name: str, known: Iterable[str], *, n: int = 3) -> list[str]:
    """The at most `n` names of `known` most like `name`, best first; some even if none is close."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=n, cutoff=0.4)
    return close or sorted(names)[:n]
