"""The command line: one module for each command, imported when it is needed.

Nothing here imports torch before a command does work that needs it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from ganprobe.cli.app import ganprobe
from ganprobe.errors import GanprobeError, interruption_in

__all__ = ["main"]

TRACEBACK_VARIABLE = "GANPROBE_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit status 0 done, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for number in _ENDING_SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        sys.exit(_status_of(given))
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message())
        sys.exit(2)
    except click.UsageError as error:
        _fail(_usage_sentence(error), 2)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except _Ended as ended:
        _fail(_told("ended by a signal", ended), 128 + ended.number)
    except (click.Abort, KeyboardInterrupt) as interrupt:
        _fail(_told("interrupted", interrupt), 130)
    except GanprobeError as error:
        _show_traceback_if_asked()
        _fail("; ".join([str(error), *_notes(error)]), error.exit_status)
    except Exception as error:
        _show_traceback_if_asked()
        _fail(
            f"{type(error).__name__}: {error} (a fault in ganprobe; {TRACEBACK_VARIABLE}=1 shows"
            " where)",
            1,
        )


def _status_of(given: list[str]) -> int:
    """Carry a command out; an interruption stays one, whatever a library made of it."""
    try:
        return ganprobe.main(given, prog_name="ganprobe", standalone_mode=False) or 0
    except Exception as error:
        ended = interruption_in(error)
        if ended is None:
            raise
        raise ended from None


_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Ended(BaseException):
    """A signal asked the process to end; raised so that everything half-written is removed."""

    def __init__(self, number: int) -> None:
        self.number = number


def _end(number: int, frame: object) -> None:
    raise _Ended(number)


def _told(what: str, error: BaseException) -> str:
    return f"{what}; {'; '.join(_notes(error)) or 'nothing unfinished was kept'}"


def _notes(error: BaseException) -> list[str]:
    """What was added to an error on its way, also to the one that it came of."""
    own: list[str] = getattr(error, "__notes__", [])
    cause = error.__context__ if not own else None
    return _notes(cause) if cause is not None else own


def _usage_sentence(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "ganprobe"
    return f"{error.format_message().rstrip('.')} (see: {command} --help)"


def _show_traceback_if_asked() -> None:
    if os.environ.get(TRACEBACK_VARIABLE):
        sys.excepthook(*sys.exc_info())


def _fail(sentence: str, status: int) -> None:
    click.echo(f"ganprobe: {' '.join(sentence.split())}", err=True)
    sys.exit(status)
