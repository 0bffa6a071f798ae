"""Trust: whether files that execute code when they are read may do so, and their SHA-256.

A hash takes about a second for each gigabyte. Imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ganprobe.errors import UntrustedError, WeightsError
from ganprobe.progress import Progress, silent

__all__ = ["Trust", "sha256_of"]

_PIECE = 1 << 20


def _unsaid(sentence: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Trust:
    """Whether the user said that files which execute code may be read.

    Args:
        is_given: whether the user said so.
        say: told, before a trusted file is read, its path and SHA-256.

    Example:
        >>> heard = []
        >>> digest = Trust(is_given=True, say=heard.append).require(__file__, "holds a function")
        >>> digest in heard[0]
        True
    """

    is_given: bool = False
    say: Callable[[str], None] = _unsaid

    def require(self, path: Path | str, why: str) -> str:
        """The file's SHA-256, once it is clear that it may execute code.

        Args:
            why: what follows "it" in a sentence: ``"holds the function os.system"``.

        Raises:
            UntrustedError: trust was not given; names file, reason, SHA-256 and way out.
            WeightsError: the file cannot be read.
        """
        digest = sha256_of(path)
        if not self.is_given:
            raise UntrustedError(
                f"{path} would execute code when it is read: it {why}; its SHA-256 is {digest};"
                " if you trust where it comes from, say so with --trust (in Python: trust=True)"
            )
        self.say(f"trusting {path}, which executes code: it {why}; SHA-256 {digest}")
        return digest


def sha256_of(path: Path | str, *, progress: Progress = silent) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, in constant memory.

    Args:
        progress: told of mebibytes.

    Raises:
        WeightsError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     sha256_of(file.name)[:16]
        'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    try:
        n_pieces = -(-Path(path).stat().st_size // _PIECE)
        with Path(path).open("rb") as file, progress(n_pieces, "MiB hashed") as bar:
            while piece := file.read(_PIECE):
                digest.update(piece)
                bar.advance()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()
