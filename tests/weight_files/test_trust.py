"""Trust, and the SHA-256 that comes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ganprobe import Trust, UntrustedError, UsageError, WeightsError
from ganprobe.progress import Bar
from ganprobe.weight_files import sha256_of


class Counting:
    """A bar that counts."""

    n = 0

    def advance(self, n: int = 1) -> None:
        self.n += n


def test_a_hash_is_that_of_all_bytes_and_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = bytes(range(256)) * 9_000  # a little over two pieces
    path.write_bytes(content)
    bar = Counting()

    @contextmanager
    def progress(total: int, what: str) -> Iterator[Bar]:
        assert (total, what) == (3, "MiB hashed")
        yield bar

    assert sha256_of(path, progress=progress) == hashlib.sha256(content).hexdigest()
    assert bar.n == 3


def test_without_trust_the_error_names_file_reason_hash_and_way_out(tmp_path: Path) -> None:
    path = tmp_path / "code.pt"
    path.write_bytes(b"code")
    with pytest.raises(UntrustedError) as raised:
        Trust().require(path, "imports os.system")
    told = str(raised.value)
    assert isinstance(raised.value, UsageError)
    assert told.startswith(f"{path} would execute code when it is read: it imports os.system;")
    assert hashlib.sha256(b"code").hexdigest() in told
    assert "--trust" in told


def test_with_trust_path_and_hash_are_said_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "code.pt"
    path.write_bytes(b"code")
    heard: list[str] = []
    digest = Trust(is_given=True, say=heard.append).require(path, "imports os.system")
    assert digest == hashlib.sha256(b"code").hexdigest()
    assert len(heard) == 1
    assert str(path) in heard[0]
    assert digest in heard[0]


def test_a_file_that_is_not_there_cannot_be_hashed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*none\.pt: No such file"):
        sha256_of(tmp_path / "none.pt")
