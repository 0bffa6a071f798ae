from __future__ import annotations

import errno
import logging
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ganprobe import (
    Ablate,
    ActivationStore,
    Generator,
    OutputExistsError,
    Probe,
    Site,
    StoreError,
)
from ganprobe.store import Compression, merge_stores
from ganprobe.store.disk import DiskFile
from ganprobe.store.reading import block_reader
from killing import Conditions, Ended, WarmProcess
from recipes import Recipe, WideNetwork
from subjects import probe_of, random_network
from tape import Tape, recorded
from truth import Truth

COMPRESSIONS: tuple[Compression, ...] = ("none", "zstd", "lz4")
LOG = logging.getLogger("durability")  # pytest --log-cli-level=INFO
QUICK = Conditions(exits_at_once=True)
DIGITS = ("record", "digits", "--site", "conv2", "--samples", 64, "--batch-size", 8, "--output")


def slow(*values: object) -> Any:
    """Parameters for those who have minutes."""
    return pytest.param(*values, marks=pytest.mark.slow)


each_compression = pytest.mark.parametrize("compression", ["none", "zstd", slow("lz4")])


@pytest.fixture(scope="module")
def wide() -> Recipe:
    probe = probe_of(WideNetwork())
    return Recipe(probe, WideNetwork.SITES, n_samples=40, batch_size=7)


@pytest.fixture
def small() -> Recipe:
    return Recipe(probe_of(random_network(0)), ("2", "0", "4#5,1"), n_samples=40, batch_size=7)


@pytest.fixture
def shattered(small: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Many chunks of few values, so that records and the index of chunks take several pages."""
    monkeypatch.setattr("ganprobe.store.layout._SMALLEST_CHUNK", 128)
    monkeypatch.setattr("ganprobe.store.layout._LARGEST_CHUNK", 256)
    return small


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is committed, also where blocks are filled up later and written again."""
    monkeypatch.setattr("ganprobe.store.writer._SECONDS_UNCOMMITTED", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a recording is made."""
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    with WarmProcess(tmp_path_factory.mktemp("printed")) as process:
        yield process


@pytest.fixture(scope="module")
def digits(warm: WarmProcess, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """What `DIGITS` holds."""
    path = tmp_path_factory.mktemp("digits") / "truth.h5"
    assert warm.run(*DIGITS, path, conditions=QUICK).status == 0
    return Truth.of(path)


@dataclass(frozen=True)
class SmallDisk:
    """A file system of a few MiB."""

    folder: Path

    def remount(self, options: str) -> None:
        """With other options: ``size=8m``, ``ro``."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)

    def take_away(self) -> None:
        """The disk is gone, also for those who write to it."""
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self) -> Path:
        """A file that takes all its room."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        assert not shutil.disk_usage(self.folder).free
        return ballast


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    disk.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "ganprobe-test", str(disk.folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk.folder], capture_output=True)


def check_every_place(
    tape: Tape, folder: Path, name: str, truth: Truth, *, n: int = 0, page: int = 4096
) -> int:
    """A file is whole and right wherever the tape stops.

    HDF5's index of compressed chunks may be torn in the midst of being written, and be so from
    the beginning on where a recording that was killed there goes on.

    Args:
        folder: where the tape is played.
        n: how many samples there are in the beginning.
        page: bytes between which a write may be cut off.

    Returns:
        At how many places the file was there.
    """
    n_places, begins_torn = 0, n > 0
    for is_torn in tape.played(folder, page=page):
        if (folder / name).exists():
            may_be_torn = is_torn or begins_torn
            n_before, n = n, truth.is_begun_in(folder / name, may_be_torn=may_be_torn)
            assert n >= n_before, f"{n_before - n} samples were lost"
            is_readable = truth.is_read_by_h5py(folder / name, n)
            begins_torn = begins_torn and not is_readable
            assert is_readable or may_be_torn
            n_places += 1
        assert n_places or not n, "the file is gone"
    assert truth.is_whole_in(folder / name)
    return n_places


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_is_one_sentence(ended: Ended, match: str, *, status: int = 1) -> None:
    """It failed as commands fail, and said why."""
    assert ended.status == status, f"{ended}"
    assert ended.out == ""
    assert re.fullmatch(r"ganprobe: [^\n]+\n", ended.err), ended.err
    assert re.search(match, ended.err), ended.err


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "dtype", "compression"),
    [
        (23, 7, None, "none"),
        (40, 24, "float16", "none"),
        (40, 7, None, "zstd"),
        (40, 1, "bfloat16", "lz4"),
        slow(70, 5, None, "none"),
    ],
)
def test_a_recording_cut_off_at_any_write_is_whole(
    wide: Recipe,
    folder: Path,
    eager: None,
    n_samples: int,
    batch_size: int,
    dtype: str | None,
    compression: Compression,
) -> None:
    recipe = replace(
        wide, n_samples=n_samples, batch_size=batch_size, dtype=dtype, compression=compression
    )
    truth, played = recipe.truth(folder.parent), folder.parent / "played"
    with recorded(folder, folder.parent / "before") as tape:
        recipe.record(folder / "a.h5")
    n_places = check_every_place(tape, played, "a.h5", truth)
    LOG.info("%d places", n_places)
    assert n_places > 100
    assert names_in(played) == names_in(folder) == ["a.h5"]
    assert (played / "a.h5").read_bytes() == (folder / "a.h5").read_bytes()  # all was on the tape


@pytest.mark.parametrize("compression", ["none", slow("zstd"), slow("lz4")])
@pytest.mark.parametrize(("n_samples", "page"), [(16, 64), slow(200, 4096)])
def test_a_recording_in_small_parts_cut_off_at_any_write_is_whole(
    shattered: Recipe,
    folder: Path,
    eager: None,
    compression: Compression,
    n_samples: int,
    page: int,
) -> None:
    recipe = replace(shattered, compression=compression, n_samples=n_samples)
    truth = recipe.truth(folder.parent)
    with recorded(folder, folder.parent / "before") as tape:
        recipe.record(folder / "a.h5")
    LOG.info(
        "%d places", check_every_place(tape, folder.parent / "played", "a.h5", truth, page=page)
    )


@pytest.mark.parametrize("compression", ["none", slow("zstd"), slow("lz4")])
@pytest.mark.parametrize("n_cuts", [2, slow(12)])
def test_a_recording_that_goes_on_is_whole_wherever_it_is_cut_off_again(
    shattered: Recipe,
    folder: Path,
    eager: None,
    compression: Compression,
    n_cuts: int,
) -> None:
    recipe, n_places = replace(shattered, compression=compression), 0
    truth = recipe.truth(folder.parent)
    with recorded(folder, folder.parent / "before") as tape:
        recipe.record(folder / "a.h5")
    n_all = sum(1 for _ in tape.played(folder.parent / "played"))
    for cut in range(n_cuts):
        again = folder.parent / f"cut-{cut}"
        tape.play_to(again, n_all // 2 + random.Random(cut).randrange(n_all // 2))
        n = truth.is_begun_in(again / "a.h5", may_be_torn=True)
        with recorded(again, folder.parent / f"before-{cut}") as going_on:
            recipe.record(again / "a.h5", resume=True)
        played = folder.parent / f"played-{cut}"
        n_places += check_every_place(going_on, played, "a.h5", truth, n=n)
    LOG.info("%d places", n_places)


def test_a_file_that_replaces_another_does_so_at_once(
    small: Recipe, folder: Path, eager: None
) -> None:
    older = replace(small, n_samples=9)
    older.record(folder / "a.h5")
    truths = {9: Truth.of(folder / "a.h5"), small.n_samples: small.truth(folder.parent)}
    with recorded(folder, folder.parent / "before") as tape:
        small.record(folder / "a.h5", overwrite=True)
    n_planned = older.n_samples
    for _ in tape.played(folder.parent / "played"):
        path = folder.parent / "played" / "a.h5"
        with ActivationStore(path) as store:
            is_new = store.n_planned == small.n_samples
            assert is_new or n_planned == older.n_samples
            n_planned = store.n_planned
        assert truths[n_planned].is_begun_in(path) > 0
    assert n_planned == small.n_samples
    assert names_in(folder.parent / "played") == ["a.h5"]


@each_compression
def test_shards_are_joined_and_merged_whole_or_not_at_all(
    small: Recipe, folder: Path, eager: None, compression: Compression
) -> None:
    recipe, played = replace(small, compression=compression), folder.parent / "played"
    truth = recipe.truth(folder.parent)
    recipe.record(folder / "a.h5", share=(1, 2))
    with recorded(folder, folder.parent / "before") as tape:
        recipe.record(folder / "a.h5", share=(2, 2))
    for _ in tape.played(played):
        if (played / "a.h5").exists():
            assert truth.is_whole_in(played / "a.h5")
    assert names_in(played) == ["a.h5", "a.shard-1-of-2.h5", "a.shard-2-of-2.h5"]
    with recorded(folder, folder.parent / "before-merge") as tape:
        merge_stores([folder / "a.h5"], folder / "whole.h5")
    assert check_every_place(tape, folder.parent / "merged", "whole.h5", truth) > 10


@each_compression
@pytest.mark.parametrize("n_failures", [25, slow(1000)])
def test_whichever_write_fails_what_is_committed_is_whole(
    wide: Recipe,
    folder: Path,
    eager: None,
    monkeypatch: pytest.MonkeyPatch,
    compression: Compression,
    n_failures: int,
) -> None:
    recipe, pwrite = replace(wide, compression=compression), os.pwrite
    truth, path = recipe.truth(folder.parent), folder / "a.h5"
    n_writes, failing = 0, -1

    def write(descriptor: int, values: Any, offset: int) -> int:
        nonlocal n_writes
        n_writes += 1
        if n_writes == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pwrite(descriptor, values, offset)

    monkeypatch.setattr(os, "pwrite", write)
    recipe.record(path)
    path.unlink()
    all_writes = range(1, n_writes + 1)
    for chosen in random.Random(0).sample(all_writes, min(n_failures, len(all_writes))):
        n_writes, failing = 0, chosen
        try:
            recipe.record(path)
            n_least = truth.n_samples  # it found another way
        except StoreError as error:
            assert re.match(r"cannot write .*a\.h5: Input/output error", str(error))  # noqa: PT017
            n_least = 1
        failing = -1
        if path.exists():
            n = truth.is_begun_in(path)
            assert n >= n_least
            assert truth.is_read_by_h5py(path, n)
        recipe.record(path, resume=True)
        assert truth.is_begun_in(path) == truth.n_samples
        assert names_in(folder) == ["a.h5"]
        path.unlink()


def test_a_disk_that_takes_less_than_it_is_given_is_given_the_rest(
    wide: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, pwrite = wide.truth(tmp_path), os.pwrite

    def write(descriptor: int, values: Any, offset: int) -> int:
        return pwrite(descriptor, values[:999], offset)

    monkeypatch.setattr(os, "pwrite", write)
    assert truth.is_whole_in(wide.record(tmp_path / "a.h5"))


def test_nothing_counts_that_comes_after_a_value_too_large_for_its_dtype(
    eager: None, tmp_path: Path
) -> None:
    probe, path = probe_of(random_network(0)), tmp_path / "a.h5"
    z = torch.randn(40, 5)
    z[20] *= 1e6
    with pytest.raises(StoreError, match="beyond the range of float16"):
        probe.record(z, ["0"], path, batch_size=2, dtype="float16")
    with ActivationStore(path) as store:
        assert store.n_samples == 20
        assert not store.check()
        expected = probe.run(z[:20], record=["0"])["0"].half()
        assert torch.allclose(store.activations("0"), expected, atol=1e-3)


def test_a_disk_that_cannot_keep_what_was_written_is_one_sentence(
    small: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", flush)
    with pytest.raises(StoreError, match=r"cannot write .*a\.h5: Input/output error"):
        small.record(tmp_path / "a.h5")


def kill_moments(n: int, begun: float, ended: float, seed: int) -> list[float]:
    """One in each part of the seconds of a recording; one in five before there is a file."""
    draw = random.Random(seed)
    n_before = n // 5
    before = [(part + draw.random()) * begun / n_before for part in range(n_before)]
    n_after, rest = n - n_before, ended - begun
    return before + [begun + (part + draw.random()) * rest / n_after for part in range(n_after)]


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where kills tear writes apart more often than on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield Path(made)


@pytest.mark.parametrize(
    ("compression", "dtype", "batch_size"),
    [
        ("none", None, 24),
        slow("none", None, 7),
        slow("none", None, 1),
        slow("none", "float16", 16),
        slow("none", "bfloat16", 24),
        slow("zstd", None, 24),
        slow("zstd", None, 7),
        slow("zstd", "bfloat16", 1),
        slow("lz4", None, 24),
        slow("lz4", "float16", 7),
        slow("lz4", None, 64),
    ],
)
def test_a_recording_killed_at_any_moment_is_whole_and_goes_on(
    warm: WarmProcess,
    memory_disk: Path,
    compression: str,
    dtype: str | None,
    batch_size: int,
) -> None:
    n_kills, n_samples = 20, 96 if compression == "none" else 200  # whole blocks are committed
    own = ["--compression", compression, *(["--dtype", dtype] if dtype else [])]
    asked = [
        "record",
        "digits",
        "--site",
        "conv2",
        "--site",
        "conv3",
        "--samples",
        n_samples,
        "--batch-size",
        batch_size,
        "--images",
        *own,
        "--output",
    ]
    conditions = replace(QUICK, commits_eagerly=True)
    for name in ("truth.h5", "again.h5"):  # the first time it takes longer
        start = time.monotonic()
        recording = warm.start(*asked, memory_disk / name, conditions=conditions)
        while not (memory_disk / name).exists() and time.monotonic() < start + 60:
            time.sleep(0.001)
        begun = time.monotonic() - start
        assert recording.end().status == 0
        ended_after = time.monotonic() - start
    truth, path = Truth.of(memory_disk / "truth.h5"), memory_disk / "a.h5"
    found: list[int | None] = []
    for moment in kill_moments(n_kills, begun, ended_after, seed=batch_size):
        ended = warm.run_killed(*asked, path, after=moment, conditions=conditions)
        assert ended.status in (0, -9), ended
        n = truth.is_begun_in(path, may_be_torn=True) if path.exists() else None
        if n is not None and truth.is_read_by_h5py(path, n):
            truth.is_read_by_xarray(path, n)
        found.append(n)
        resumed = warm.run(*asked, path, "--resume", conditions=conditions)
        assert resumed.status == 0, resumed
        assert truth.is_begun_in(path) == n_samples
        assert truth.is_read_by_h5py(path, n_samples)
        path.unlink()
    LOG.info("whole after each kill: %s", found)
    assert any(n is not None and n < n_samples for n in found), found


def test_a_share_that_was_killed_goes_on_and_is_joined(
    warm: WarmProcess, digits: Truth, folder: Path
) -> None:
    path = folder / "a.h5"
    killed = warm.start(*DIGITS, path, "--shard", "2/2", conditions=replace(QUICK, stops_before=2))
    killed.wait_for_stop()
    killed.kill()
    assert killed.end().status == -9
    own = folder / "a.shard-2-of-2.h5"
    with ActivationStore(own) as store:
        assert 0 < store.n_samples < store.n_planned == 32
        assert not store.check()
    assert warm.run(*DIGITS, path, "--shard", "1/2", conditions=QUICK).status == 0
    assert not path.exists()
    check_is_one_sentence(
        warm.run(
            "merge",
            own,
            folder / "a.shard-1-of-2.h5",
            "--output",
            folder / "m.h5",
            conditions=QUICK,
        ),
        r"a\.shard-2-of-2\.h5 holds 16 of its 32 samples; go on with it: --shard 2/2 --resume",
    )
    ended = warm.run(*DIGITS, path, "--shard", "2/2", "--resume", conditions=QUICK)
    assert "joining 2 shards" in ended.out
    assert digits.is_whole_in(path)


def test_what_a_killed_recording_left_is_gone_after_the_next(small: Recipe, folder: Path) -> None:
    with recorded(folder, folder.parent / "before") as tape:
        small.record(folder / "a.h5")
    left: dict[bool, int] = {}
    for place, _ in enumerate(tape.played(folder.parent / "played")):
        names = names_in(folder.parent / "played")
        if any(name.endswith(".partial") for name in names):
            left["a.h5" in names] = place  # under no name of its own yet; under both
    assert False in left
    for place in left.values():
        again = folder.parent / f"again-{place}"
        tape.play_to(again, place)
        small.record(again / "a.h5", resume=True)
        assert names_in(again) == ["a.h5"]


@each_compression
def test_a_disk_that_is_too_small_is_refused_before_the_first_sample(
    warm: WarmProcess, small_disk: SmallDisk, compression: str
) -> None:
    asked = ["--samples", 2000, "--compression", compression]
    ended = warm.run(*DIGITS, small_disk.folder / "a.h5", *asked)
    needs = r"needs [\d,]+ bytes" if compression == "none" else r"needs about [\d,]+ bytes more"
    check_is_one_sentence(ended, rf"a\.h5 {needs}.* but its disk has [\d,]+ free; record fewer")
    assert names_in(small_disk.folder) == []


@each_compression
def test_a_disk_that_fills_up_is_one_sentence_and_loses_nothing(
    warm: WarmProcess, digits: Truth, small_disk: SmallDisk, compression: str
) -> None:
    path = small_disk.folder / "a.h5"
    asked = [*DIGITS, path, "--compression", compression]
    recording = warm.start(*asked, conditions=Conditions(claims_space=False, stops_before=3))
    recording.wait_for_stop()
    ballast = small_disk.fill()
    recording.go_on()
    check_is_one_sentence(recording.end(), r"cannot write .*a\.h5: No space left .*make room")
    n = digits.is_begun_in(path)
    assert 0 < n < digits.n_samples
    assert digits.is_read_by_h5py(path, n)
    check_is_one_sentence(
        warm.run(*asked, "--resume", conditions=Conditions(claims_space=False)),
        "No space left|but its disk has",
    )
    assert digits.is_begun_in(path) == n
    ballast.unlink()
    assert warm.run(*asked, "--resume", conditions=QUICK).status == 0
    assert digits.is_whole_in(path)


def test_a_recording_without_samples_leaves_room_for_the_one_that_goes_on(
    warm: WarmProcess, digits: Truth, small_disk: SmallDisk
) -> None:
    path = small_disk.folder / "a.h5"
    small_disk.remount("size=2m")
    recording = warm.start(*DIGITS, path, conditions=replace(QUICK, stops_before=1))
    recording.wait_for_stop()
    recording.kill()
    recording.end()
    assert digits.is_begun_in(path) == 0
    ended = warm.run(*DIGITS, path, "--resume", conditions=QUICK)
    assert ended.status == 0, ended
    assert digits.is_whole_in(path)
    assert names_in(small_disk.folder) == ["a.h5"]


def test_a_limit_on_file_sizes_is_refused_before_the_first_sample(
    warm: WarmProcess, folder: Path
) -> None:
    ended = warm.run(*DIGITS, folder / "a.h5", conditions=Conditions(file_limit=1_000_000))
    check_is_one_sentence(ended, r"needs [\d,]+ bytes but files may have 1,000,000 \(ulimit -f\)")
    assert names_in(folder) == []


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_limit_on_file_sizes_that_is_met_on_the_way_loses_nothing(
    warm: WarmProcess, digits: Truth, folder: Path, compression: str
) -> None:
    path = folder / "a.h5"
    asked = [*DIGITS, path, "--compression", compression]
    assert warm.run(*asked, conditions=QUICK).status == 0
    limit = path.stat().st_size * 3 // 4
    path.unlink()
    ended = warm.run(*asked, conditions=Conditions(file_limit=limit))
    check_is_one_sentence(ended, r"cannot write .*a\.h5: File too large; raise the limit")
    n = digits.is_begun_in(path)
    assert 0 < n < digits.n_samples
    assert digits.is_read_by_h5py(path, n)
    assert warm.run(*asked, "--resume", conditions=QUICK).status == 0
    assert digits.is_whole_in(path)


def test_a_read_only_folder_is_one_sentence(
    warm: WarmProcess, digits: Truth, small_disk: SmallDisk
) -> None:
    path = small_disk.folder / "a.h5"
    assert warm.run(*DIGITS, path, conditions=QUICK).status == 0
    small_disk.remount("ro")
    for output, *options in (
        [path, "--force"],
        [path, "--resume"],
        [small_disk.folder / "b.h5"],
        [small_disk.folder / "deeper" / "b.h5"],
        ["/proc/b.h5"],
    ):
        ended = warm.run(*DIGITS, output, *options, conditions=QUICK)
        check_is_one_sentence(ended, r"Read-only file system; choose another|/proc/b\.h5")
    assert names_in(small_disk.folder) == ["a.h5"]
    assert digits.is_whole_in(path)


@pytest.mark.parametrize("event", ["deleted", "moved", "replaced", "swapped"])
@each_compression
def test_a_file_that_goes_while_it_is_written_is_one_sentence(
    warm: WarmProcess, digits: Truth, folder: Path, event: str, compression: str
) -> None:
    path, elsewhere = folder / "a.h5", folder / "elsewhere.h5"
    recording = warm.start(
        *DIGITS, path, "--compression", compression, conditions=replace(QUICK, stops_before=3)
    )
    recording.wait_for_stop()
    n = digits.is_begun_in(path)
    if event == "deleted":
        path.unlink()
    elif event == "replaced":
        elsewhere.write_text("precious")
        elsewhere.replace(path)
    else:
        path.rename(elsewhere)
        if event == "swapped":
            path.write_text("precious")
    recording.go_on()
    ended = recording.end()
    check_is_one_sentence(ended, r"a\.h5 has vanished while it was written")
    assert "--resume" not in ended.err, "there is nothing to go on with"
    assert not path.exists() or path.read_text() == "precious"
    if event in ("moved", "swapped"):
        assert digits.is_begun_in(elsewhere) == n > 0


def test_a_disk_that_vanishes_is_one_sentence(
    warm: WarmProcess, digits: Truth, small_disk: SmallDisk
) -> None:
    path = small_disk.folder / "a.h5"
    recording = warm.start(*DIGITS, path, conditions=replace(QUICK, stops_before=3))
    recording.wait_for_stop()
    small_disk.take_away()
    recording.go_on()
    check_is_one_sentence(recording.end(), r"a\.h5 has vanished while it was written")
    assert names_in(small_disk.folder) == []


def test_batches_smaller_than_a_block_fit_beside_sites_with_blocks_of_other_sizes(
    shattered: Recipe, tmp_path: Path
) -> None:
    truth = shattered.truth(tmp_path)
    for compression in COMPRESSIONS:
        for batch_size in (1, 2, 3, 5, 8, 16, 24):
            recipe = replace(shattered, compression=compression, batch_size=batch_size)
            path = recipe.record(tmp_path / f"{compression}-{batch_size}.h5")
            with ActivationStore(path) as store:
                for site in store.sites:
                    stored = store.activations(site)
                    name = f"sites/{site}/activation"
                    assert torch.allclose(stored, truth.values[name], atol=1e-6)
                assert not store.check()


@pytest.mark.parametrize("option", [(), ("--force",), ("--resume",)])
def test_a_second_writer_is_refused_and_does_no_harm(
    warm: WarmProcess, digits: Truth, folder: Path, option: tuple[str, ...]
) -> None:
    path = folder / "a.h5"
    first = warm.start(*DIGITS, path, conditions=replace(QUICK, stops_before=3))
    first.wait_for_stop()
    before = path.read_bytes()
    second = warm.run(*DIGITS, path, *option, conditions=QUICK)
    reason = "is being written by another process" if option else "exists; give --force"
    status = 1 if option else 2
    check_is_one_sentence(second, rf"{re.escape(str(path))} {reason}", status=status)
    assert path.read_bytes() == before
    first.go_on()
    assert first.end().status == 0
    assert digits.is_whole_in(path)
    assert names_in(folder) == ["a.h5"]


@pytest.mark.parametrize("option", ["--force", "--resume"])
def test_a_file_that_is_being_replaced_has_one_writer(
    warm: WarmProcess, digits: Truth, folder: Path, option: str
) -> None:
    path = folder / "a.h5"
    assert warm.run(*DIGITS, path, conditions=QUICK).status == 0
    first = warm.start(*DIGITS, path, "--force", conditions=replace(QUICK, stops_before=1))
    first.wait_for_stop()
    second = warm.run(*DIGITS, path, option, conditions=QUICK)
    check_is_one_sentence(second, "is being written by another process")
    assert digits.is_whole_in(path)
    first.go_on()
    assert first.end().status == 0
    assert digits.is_whole_in(path)


@pytest.mark.parametrize("option", ["--force", "--resume"])
def test_the_lock_of_a_killed_writer_is_gone(
    warm: WarmProcess, digits: Truth, folder: Path, option: str
) -> None:
    path = folder / "a.h5"
    first = warm.start(*DIGITS, path, conditions=replace(QUICK, stops_before=3))
    first.wait_for_stop()
    first.kill()
    first.end()
    assert warm.run(*DIGITS, path, option, conditions=QUICK).status == 0
    assert digits.is_whole_in(path)


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_that_begin_at_once_one_is_refused(
    small: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    path, allocate, other = tmp_path / "a.h5", DiskFile.allocate, replace(small, n_samples=9)

    def beginning(self: DiskFile, size: int) -> None:
        monkeypatch.setattr(DiskFile, "allocate", allocate)
        other.record(path)
        allocate(self, size)

    monkeypatch.setattr(DiskFile, "allocate", beginning)
    with pytest.raises(OutputExistsError, match=r"a\.h5 exists by now"):
        small.record(path, overwrite=overwrite)
    with ActivationStore(path) as store:
        assert (store.n_samples, store.n_planned) == (9, 9)
    assert names_in(tmp_path) == ["a.h5"]


def test_a_link_to_another_disk_is_followed(small: Recipe, small_disk: SmallDisk) -> None:
    link, target = small_disk.folder.parent / "link.h5", small_disk.folder / "a.h5"
    replace(small, n_samples=9).record(target)
    link.symlink_to(target)
    small.record(link, overwrite=True)
    assert link.is_symlink()
    assert small.truth(small_disk.folder.parent).is_whole_in(target)


@each_compression
def test_readers_beside_the_writer_see_what_is_committed(
    wide: Recipe, tmp_path: Path, eager: None, compression: Compression
) -> None:
    recipe, path = replace(wide, compression=compression), tmp_path / "a.h5"
    truth, seen = recipe.truth(tmp_path), [0]

    class Reading:
        """A bar that reads what is there, while the writer's thread goes on."""

        def advance(self, n: int = 1) -> None:
            n_seen = truth.is_begun_in(path, may_be_torn=True)
            assert n_seen >= seen[-1]
            if truth.is_read_by_h5py(path, n_seen):
                truth.is_read_by_xarray(path, n_seen)
            seen.append(n_seen)

    recipe.record(path, progress=lambda total, what: nullcontext(Reading()))
    assert 0 < seen[-1] < recipe.n_samples or len(set(seen)) > 2
    assert truth.is_whole_in(path)


@each_compression
def test_an_open_store_grows_with_its_writer(
    warm: WarmProcess, digits: Truth, folder: Path, compression: str
) -> None:
    path, deadline = folder / "a.h5", time.monotonic() + 120
    conditions = replace(QUICK, stops_before=1, commits_eagerly=True)
    recording = warm.start(*DIGITS, path, "--compression", compression, conditions=conditions)
    recording.wait_for_stop()
    maps, seen = digits.values["sites/conv2/activation"], [0]
    with ActivationStore(path) as store:
        assert store.n_samples == 0
        recording.go_on()
        while seen[-1] < digits.n_samples and time.monotonic() < deadline:
            n = store.n_samples
            assert n >= seen[-1]
            assert torch.equal(store.activations("conv2", slice(seen[-1], n)), maps[seen[-1] : n])
            assert store.indices[:n] == tuple(range(n))
            seen.append(n)
        assert store.is_complete
        assert not store.check()
    assert recording.end().status == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 4}, r"seed 3 \(now 4\)"),
        ({"samples": 41}, r"samples 40 \(now 41\)"),
        ({"samples": torch.zeros(40, 5)}, r"seed 3 \(now null\); samples 40 \(now [0-9a-f]{12}\)"),
        ({"sites": ["2", "4"]}, r'sites \["2", "0", "4#5,1"\] \(now \["2", "4"\]\)'),
        ({"sites": ["0", "2", "4#5,1"]}, r"sites "),
        ({"dtype": "float16"}, r"dtype null \(now float16\)"),
        ({"images": False}, r"images true \(now false\)"),
        ({"compression": "zstd"}, r"compression none \(now zstd\)"),
        ({"batch_size": 8}, r"batch size 7 \(now 8\)"),
        ({"interventions": [Ablate("2#1")]}, r"interventions \[\] \(now .*Ablate"),
        ({"seed": 4, "batch_size": 8}, r"seed 3 \(now 4\); batch size 7 \(now 8\);"),
    ],
)
def test_other_settings_are_not_gone_on_with_and_named(
    small: Recipe, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    path = tmp_path / "a.h5"
    small.begin(path, 21)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"a\.h5 was begun with other settings.*: {told}"):
        small.record(path, resume=True, **change)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["a.h5"]
    small.record(path, resume=True)
    assert small.truth(tmp_path).is_whole_in(path)


def test_other_generators_are_not_gone_on_with_and_named(small: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    small.begin(path, 21)
    before = path.read_bytes()
    module = small.probe.generator.module
    double = Probe(small.probe.generator, dtype=torch.float64)
    named = Probe(Generator.from_module(module, latent=5, name="other"))
    for probe, told in (
        (probe_of(random_network(1)), r"recordings: weights [0-9a-f]{12} \(now [0-9a-f]{12}\);"),
        (named, r"recordings: generator subject \(now other\);"),
        (double, r"dtype of the weights float32 \(now float64\)"),
    ):
        with pytest.raises(StoreError, match=told):
            replace(small, probe=probe).record(path, resume=True)
    assert path.read_bytes() == before


def test_other_threads_are_not_gone_on_with_and_named(small: Recipe, tmp_path: Path) -> None:
    path, n_threads = tmp_path / "a.h5", torch.get_num_threads()
    small.begin(path, 21)
    before = path.read_bytes()
    torch.set_num_threads(n_threads + 1)
    try:
        with pytest.raises(StoreError, match=rf"threads {n_threads} \(now {n_threads + 1}\)"):
            small.record(path, resume=True)
    finally:
        torch.set_num_threads(n_threads)
    assert path.read_bytes() == before


def test_another_share_is_not_gone_on_with_and_named(small: Recipe, tmp_path: Path) -> None:
    small.record(tmp_path / "a.h5", share=(1, 2))
    (tmp_path / "a.shard-1-of-2.h5").rename(tmp_path / "a.shard-2-of-2.h5")
    with pytest.raises(StoreError, match=r"share 1/2 \(now 2/2\)"):
        small.record(tmp_path / "a.h5", share=(2, 2), resume=True)


def test_a_complete_file_is_left_as_it_is_and_that_is_said(warm: WarmProcess, folder: Path) -> None:
    path = folder / "a.h5"
    assert warm.run(*DIGITS, path, conditions=QUICK).status == 0
    before = path.read_bytes(), path.stat().st_mtime_ns
    ended = warm.run(*DIGITS, path, "--resume", conditions=QUICK)
    assert ended.status == 0
    assert "already" in ended.out
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def place_of(path: Path, site: str, row: int) -> int:
    """The offset of a byte of a chunk that holds this row."""
    with ActivationStore(path) as store:
        extent, compression = store.stored(Site.parse(site)).extent, store.compression
    block = row // extent.tiling.n_rows
    if extent.index is None:
        return extent.block_offset(block)
    file = DiskFile.open(path, writing=False)
    try:
        record = block_reader(file, site, extent, compression).record(block)
    finally:
        file.close()
    return int(record.addresses[0] + record.sizes[0] // 2)


@each_compression
def test_what_is_damaged_at_the_end_is_recorded_anew(
    wide: Recipe, folder: Path, eager: None, compression: Compression
) -> None:
    recipe, path = replace(wide, compression=compression), folder / "a.h5"
    truth, played = recipe.truth(folder.parent), folder.parent / "played"
    recipe.begin(path, 36)
    n = truth.is_begun_in(path)
    assert n >= 32
    file = DiskFile.open(path, writing=True)
    place = place_of(path, "maps", n - 1)
    file.write(place, bytes([file.read(place, 1)[0] ^ 1]))
    file.close()
    with ActivationStore(path) as store:
        (damage,) = store.check()
        assert (damage.dataset, n - 1 in damage.rows) == ("maps", True)
    with recorded(folder, folder.parent / "before") as tape:
        recipe.record(path, resume=True)
    assert truth.is_whole_in(path)
    places = tape.played(played)
    next(places)  # there it is damaged, and one step on it says so itself
    for is_torn in places:
        n = truth.is_begun_in(played / "a.h5", may_be_torn=is_torn)
        assert truth.is_read_by_h5py(played / "a.h5", n) or is_torn
    assert (played / "a.h5").read_bytes() == path.read_bytes()
