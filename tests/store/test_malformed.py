"""Malformed files give a typed error or what was written: never wrong values, never a crash.

Every file is examined in a process of its own kind, with little memory: whatever brings that
down, keeps it waiting or makes it swell is told by the change that did it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray
from torch import Tensor, nn

from ganprobe import ActivationStore, ForwardError, GanprobeError, Generator, Probe, StoreError
from ganprobe.store import Compression
from ganprobe.store.records import digest

COMPRESSIONS: list[Compression] = ["none", "zstd", "lz4"]
KINDS = [*COMPRESSIONS, "incomplete", "joined", "shard"]
SITES = ["maps", "vector", "vector#3,1"]
N_SAMPLES, BATCH_SIZE, SEED = 20, 6, 3
COUNTER = "progress/committed"
PAGE, SECTOR = 4096, 512
SECONDS = 20.0
MEMORY = 1 << 30


class Small(nn.Module):
    """Latents (n, 5) to images (n, 1, 12, 12), with maps that take several chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Linear(5, 6)
        self.maps = nn.Sequential(nn.Linear(6, 32 * 144), nn.ReLU(), nn.Unflatten(1, (32, 12, 12)))
        self.fails_at, self.count = 0, 0

    def forward(self, z: Tensor) -> Tensor:
        self.count += 1
        if self.count == self.fails_at:
            raise RuntimeError("broke")
        maps: Tensor = self.maps(self.vector(z))
        return maps.mean(1, keepdim=True)


def small(*, fails_at: int = 0) -> Probe:
    torch.manual_seed(0)
    module = Small().eval()
    module.fails_at = fails_at
    return Probe(Generator.from_module(module, latent=5, name="small"))


def record(path: Path, kind: str, *, fails_at: int = 0, resume: bool = False) -> None:
    """A store, one that broke off, or one in two shards."""
    compression: Compression = next((name for name in COMPRESSIONS if name == kind), "none")
    for share in [(1, 2), (2, 2)] if kind in ("joined", "shard") else [None]:
        small(fails_at=fails_at).record(
            N_SAMPLES,
            SITES,
            path,
            seed=SEED,
            batch_size=BATCH_SIZE,
            images=True,
            compression=compression,
            share=share,
            resume=resume,
            command="ganprobe record small " + "maps " * 1000,  # as from a script
        )


@dataclass(frozen=True)
class Subject:
    """A good store.

    Args:
        opened: the file by which it is read.
        changed: its file that is changed: itself, or a shard.
    """

    opened: Path
    changed: Path

    def copied(self, folder: Path) -> Subject:
        """The same files elsewhere."""
        shutil.copytree(self.opened.parent, folder, dirs_exist_ok=True)
        return Subject(folder / self.opened.name, folder / self.changed.name)


def make_subject(kind: str, folder: Path) -> Subject:
    path = folder / "a.h5"
    if kind == "incomplete":
        with pytest.raises(ForwardError):
            record(path, "none", fails_at=4)  # the first was the dry run
    else:
        record(path, kind)
    return Subject(path, folder / "a.shard-2-of-2.h5" if kind == "shard" else path)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes that go on with them
    try:
        return {kind: make_subject(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
    finally:
        torch.set_num_threads(n_threads)


@dataclass(frozen=True)
class Change:
    """What is done to the bytes of a file."""

    writes: tuple[tuple[int, bytes], ...] = ()
    size: int | None = None
    added: bytes = b""

    def applied(self, raw: bytes) -> bytes:
        """The file after it."""
        changed = bytearray(raw)
        for offset, written in self.writes:
            changed[offset : offset + len(written)] = written
        return bytes(changed[: self.size]) + self.added

    def touches(self, places: range) -> bool:
        """Whether a byte there may be another."""
        is_cut = self.size is not None and self.size < places.stop
        ends = ((offset, offset + len(written)) for offset, written in self.writes)
        return is_cut or any(first < places.stop and places.start < end for first, end in ends)

    def __str__(self) -> str:
        writes = [
            f"{len(w)} bytes at {at}" if len(w) > 1 else f"{w.hex()} at {at}"
            for at, w in self.writes
        ]
        cut = [] if self.size is None else [f"cut off at {self.size}"]
        return ", ".join(writes + cut + ([f"{len(self.added)} added"] if self.added else []))


@dataclass(frozen=True, eq=False)
class Holdings:
    """All that a store says and holds; where it refuses to, the error's words."""

    n_samples: int
    said: dict[str, Any]
    values: dict[str, Tensor]
    refused: list[str] = field(default_factory=list)
    damage: int = 0

    def differences(self, good: Holdings, *, by_values_alone: bool = False) -> Iterator[str]:
        """In what this is not what was written."""
        if not by_values_alone:
            for name, value in self.said.items():
                if good.said[name] != value:
                    yield f"{name} is {value} in place of {good.said[name]}"
        for name, tensor in self.values.items():
            expected = good.values.get(name)
            if expected is None:
                yield f"there is {name}"
            elif not torch.equal(tensor, expected[: self.n_samples]):
                yield f"{name} is wrong"


def holdings(path: Path) -> Holdings:
    """Everything, each part for itself, so that no refusal hides what else is wrong.

    Raises:
        GanprobeError: it cannot be opened, or not be told how many samples there are.
    """
    with ActivationStore(path) as store:
        n = store.n_samples
        found = Holdings(n, said_by(store), {})
        reading: dict[str, Callable[[], Tensor]] = {
            str(site): lambda site=site: store.activations(site)  # type: ignore[misc]
            for site in store.sites
        }
        reading |= {
            "images": store.images,
            "z": lambda: store.latents().z,
            "indices": lambda: torch.tensor(store.latents().indices or ()),
            "seed": lambda: torch.tensor([store.latents().seed or -1] * n),
        }
        for name, read in reading.items():
            try:
                found.values[name] = read()
            except GanprobeError as error:
                found.refused.append(f"{name}: {error}")
        try:
            damage = len(store.check())
        except GanprobeError as error:
            found.refused.append(f"check: {error}")
            damage = 1
    return Holdings(n, found.said, found.values, found.refused, damage)


def said_by(store: ActivationStore) -> dict[str, Any]:
    return {
        "n_planned": store.n_planned,
        "batch size": store.batch_size,
        "sites": [str(site) for site in store.sites],
        "shapes": [(store.shape(site), store.dtype(site)) for site in store.sites],
        "compression": store.compression,
        "has images": store.has_images,
        "provenance": store.provenance,
        "identity": store.identity,
    }


def outcome(path: Path, good: Holdings, *, may_be_shorter: bool = False) -> str:
    """What comes of reading everything.

    Returns:
        ``same``; ``shorter``: the first of the samples, and it says so; ``noticed``: the same, but
        `check` finds damage; ``refused``: some of it or all; or what is wrong.
    """
    try:
        found = holdings(path)
    except GanprobeError:
        return "refused"
    except BaseException as error:
        return f"raised {type(error).__name__}: {error}"
    wrong = list(found.differences(good))
    if found.n_samples > good.n_samples or (
        found.n_samples < good.n_samples and not may_be_shorter
    ):
        wrong.append(f"there are {found.n_samples} samples in place of {good.n_samples}")
    if found.refused and not found.damage:
        wrong.append(f"check finds nothing, but refused is {found.refused}")
    if wrong:
        return "; ".join(wrong)
    if found.refused:
        return "refused"
    if found.damage:
        return "noticed"
    return "same" if found.n_samples == good.n_samples else "shorter"


Examine = Callable[[Path, Sequence[Any]], Iterator[str]]


def examine_changes(subject: Subject, changes: Sequence[Change]) -> Iterator[str]:
    """The outcome of each change, in a process of its own."""
    good = holdings(subject.opened)
    places = counter_places(subject.changed)
    raw = subject.changed.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = subject.copied(Path(folder))
        for change in changes:
            copy.changed.write_bytes(change.applied(raw))
            may_be_shorter = copy.opened == copy.changed and change.touches(places)
            yield outcome(copy.opened, good, may_be_shorter=may_be_shorter)


def counter_places(path: Path) -> range:
    """Where the count of committed samples is."""
    with h5py.File(path) as file:
        if COUNTER not in file:
            return range(0)
        dataset = file[COUNTER]
        offset = dataset.id.get_offset()
        return range(offset, offset + dataset.nbytes)


def resume_changes(subject: Subject, changes: Sequence[Change]) -> Iterator[str]:
    """What comes of going on with the recording after each change."""
    raw = subject.changed.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "whole.h5", "none")
        good = holdings(Path(folder) / "whole.h5")
        path = Path(folder) / "a.h5"
        for change in changes:
            path.write_bytes(change.applied(raw))
            try:
                record(path, "none", resume=True)
            except GanprobeError:
                yield "refused"
                continue
            except BaseException as error:
                yield f"raised {type(error).__name__}: {error}"
                continue
            found = holdings(path)
            good.said["provenance"] = found.said["provenance"]  # when it was made
            yield outcome(path, good)


def in_a_process(examine: Callable[[Subject, Sequence[Any]], Iterator[str]]) -> Any:
    """The same, in a process whose end is only the end of that process."""

    def examined(subject: Subject, changes: Sequence[Any]) -> list[str]:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["pytest", "xarray", "ganprobe.probe", "ganprobe.store.reader"]
        )
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=send_all, args=(sender, examine, subject, changes))
        child.start()
        sender.close()
        try:
            return list(received(child, receiver, len(changes)))
        finally:
            receiver.close()
            child.kill()
            child.join()

    return examined


def received(child: Any, receiver: Connection, n: int) -> Iterator[str]:
    for _ in range(n):
        if not receiver.poll(SECONDS):
            yield f"hung for {SECONDS} s"
            return
        try:
            yield str(receiver.recv())
        except EOFError:
            child.join()
            yield f"ended the interpreter with status {child.exitcode}"
            return


def send_all(
    sender: Connection,
    examine: Callable[[Subject, Sequence[Any]], Iterator[str]],
    subject: Subject,
    changes: Sequence[Any],
) -> None:
    """In the child."""
    torch.set_num_threads(1)
    limit_memory()
    for outcome_ in examine(subject, changes):
        sender.send(outcome_)
    sender.close()


def limit_memory() -> None:
    """Refuse this process more than `MEMORY` bytes beyond what it has."""
    import resource

    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def assert_harmless(subject: Subject, changes: Sequence[Change], allowed: set[str]) -> Counter[str]:
    """Examine all changes; how often each outcome came."""
    outcomes = in_a_process(examine_changes)(subject, changes)
    wrong = [
        f"{change}: {found}"
        for change, found in zip(changes, outcomes, strict=False)
        if found not in allowed
    ]
    assert not wrong, f"{len(wrong)} of {len(changes)}: " + "\n".join(wrong[:20])
    assert len(outcomes) == len(changes)
    return Counter(outcomes)


def value_places(path: Path) -> list[range]:
    """Where the values of all datasets are."""
    found: list[range] = []

    def visit(name: str, dataset: Any) -> None:
        if name.split("/")[-1] in ("activation", "z", "seed", "image") and not dataset.is_virtual:
            for number in range(dataset.id.get_num_chunks()):
                info = dataset.id.get_chunk_info(number)
                found.append(range(info.byte_offset, info.byte_offset + info.size))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def places_of(path: Path) -> tuple[list[int], list[int]]:
    """The bytes that say something other than values; and all bytes."""
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    is_header = raw != 0
    for places in value_places(path):
        is_header[places.start : places.stop] = False
    return np.flatnonzero(is_header).tolist(), list(range(len(raw)))


def flips(path: Path, n: int, seed: int) -> list[Change]:
    """Single bytes of other values: half of them in the header, half anywhere."""
    rng = np.random.default_rng(seed)
    raw = path.read_bytes()
    header, everywhere = places_of(path)
    changes = []
    for number in range(n):
        at = int(rng.choice(header) if number % 2 else rng.integers(len(everywhere)))
        mask = (1 << int(rng.integers(8)), 0xFF, int(rng.integers(1, 256)))[number % 3]
        changes.append(Change(((at, bytes([raw[at] ^ mask])),)))
    return changes


def lost_sectors(path: Path, n: int, seed: int) -> list[Change]:
    """Runs of sectors that a disk lost (zeros, ones) or wrote to the wrong place."""
    rng = np.random.default_rng(seed)
    raw = path.read_bytes()
    header, _ = places_of(path)
    n_sectors = len(raw) // SECTOR
    changes = []
    for number in range(n):
        at = int(rng.choice(header)) // SECTOR if number % 2 else int(rng.integers(n_sectors))
        length = SECTOR * int(rng.choice([1, 1, 2, 8]))
        start = int(rng.integers(n_sectors)) * SECTOR
        written = [bytes(length), b"\xff" * length, raw[start : start + length]][number % 3]
        written = written[: len(raw) - at * SECTOR]
        changes.append(Change(((at * SECTOR, written),)))
    return changes


def truncations(path: Path) -> list[Change]:
    """Cut off at every page, and one byte behind; and just at the end."""
    size = path.stat().st_size
    sizes = {cut for at in range(0, size, PAGE) for cut in (at, at + 1)} | {size - 1}
    return [Change(size=cut) for cut in sorted(sizes) if cut < size]


HARMLESS = {"same", "noticed", "refused", "shorter"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_store_is_read_whole(subjects: dict[str, Subject], kind: str) -> None:
    assert_harmless(subjects[kind], [Change()], {"same"})
    found = holdings(subjects[kind].opened)
    probe = small()
    z = probe.generator.sample(N_SAMPLES, seed=SEED).z
    parts = [z[at : at + BATCH_SIZE] for at in range(0, found.n_samples, BATCH_SIZE)]
    runs = [probe.run(part, record=SITES) for part in parts]
    for site in SITES:
        assert torch.equal(found.values[site], torch.cat([run[site] for run in runs]))
    assert found.n_samples == (12 if kind == "incomplete" else N_SAMPLES)
    assert found.values["seed"].unique().tolist() == [SEED]
    assert found.values["indices"].tolist() == list(range(found.n_samples))


@pytest.mark.parametrize("kind", ["none", "lz4", "joined"])
def test_a_file_that_is_cut_off_is_refused(subjects: dict[str, Subject], kind: str) -> None:
    subject = subjects[kind]
    counted = assert_harmless(subject, truncations(subject.changed), {"refused"})
    assert counted["refused"] >= 2


@pytest.mark.parametrize("kind", ["none", "zstd"])
def test_what_is_added_behind_a_file_changes_nothing(
    subjects: dict[str, Subject], kind: str
) -> None:
    added = [b"\0", bytes(PAGE), b"\xff" * 1000, subjects[kind].changed.read_bytes()]
    changes = [Change(added=more) for more in added]
    assert_harmless(subjects[kind], changes, {"same", "refused"})


@pytest.mark.parametrize("kind", ["zstd", "incomplete", "joined", "shard"])
def test_flipped_bytes_are_found_or_mean_nothing(subjects: dict[str, Subject], kind: str) -> None:
    subject = subjects[kind]
    counted = assert_harmless(subject, flips(subject.changed, 28, seed=0), HARMLESS)
    assert counted["refused"] >= 3


@pytest.mark.parametrize("kind", ["none", "zstd"])
def test_lost_sectors_are_found_or_mean_nothing(subjects: dict[str, Subject], kind: str) -> None:
    subject = subjects[kind]
    counted = assert_harmless(subject, lost_sectors(subject.changed, 14, seed=0), HARMLESS)
    assert counted["refused"] >= 1


@pytest.mark.parametrize("kind", ["incomplete"])
def test_no_flipped_bit_of_the_count_makes_more_samples(
    subjects: dict[str, Subject], kind: str
) -> None:
    subject = subjects[kind]
    raw = subject.changed.read_bytes()
    places = counter_places(subject.changed)
    lowest = [at for at in places if (at - places.start) % 8 == 0]  # of each of its words
    changes = [Change(((at, bytes([raw[at] ^ 1 << bit])),)) for at in lowest for bit in range(8)]
    counted = assert_harmless(subject, changes, {"same", "shorter", "refused"})
    assert counted["shorter"] > 10  # the older of its two places, which is whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_flipped_bytes_are_found_or_mean_nothing(
    subjects: dict[str, Subject], kind: str
) -> None:
    subject = subjects[kind]
    changes = flips(subject.changed, 4000, seed=1) + lost_sectors(subject.changed, 1000, seed=1)
    changes += truncations(subject.changed)
    counted = assert_harmless(subject, changes, HARMLESS)
    assert counted["refused"] > 500


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zstd", "joined"])
def test_every_part_of_the_header_is_guarded_or_means_nothing(
    subjects: dict[str, Subject], kind: str
) -> None:
    subject = subjects[kind]
    raw = subject.changed.read_bytes()
    header, _ = places_of(subject.changed)
    changes = [Change(((at, bytes([raw[at] ^ 1 << at % 8])),)) for at in header[::5]]
    assert_harmless(subject, changes, HARMLESS)


def test_a_damaged_file_is_not_gone_on_with_to_wrong_samples(subjects: dict[str, Subject]) -> None:
    subject = subjects["incomplete"]
    changes = flips(subject.changed, 24, seed=2) + lost_sectors(subject.changed, 8, seed=2)
    assert_resumes(subject, changes)


@pytest.mark.slow
def test_no_damage_is_gone_on_with_to_wrong_samples(subjects: dict[str, Subject]) -> None:
    subject = subjects["incomplete"]
    changes = flips(subject.changed, 1500, seed=3) + lost_sectors(subject.changed, 500, seed=3)
    assert_resumes(subject, changes + truncations(subject.changed))


def assert_resumes(subject: Subject, changes: Sequence[Change]) -> None:
    outcomes = in_a_process(resume_changes)(subject, changes)
    pairs = zip(changes, outcomes, strict=False)
    wrong = [f"{change}: {found}" for change, found in pairs if found not in HARMLESS - {"shorter"}]
    assert not wrong, f"{len(wrong)} of {len(changes)}: " + "\n".join(wrong[:20])
    assert len(outcomes) == len(changes)
    assert {"same", "refused"} <= set(outcomes)


def test_a_description_longer_than_hdf5_has_checksums_for_is_guarded_too(tmp_path: Path) -> None:
    units = [f"vector#{','.join(map(str, order))}" for order in orders(40)]
    small().record(4, units, tmp_path / "a.h5", seed=SEED)
    with h5py.File(tmp_path / "a.h5") as file:
        text = bytes(file.attrs["description"])
    raw = (tmp_path / "a.h5").read_bytes()
    start = raw.index(text)
    assert len(text) > 4096
    for at in range(start, start + len(text), 301):
        change = Change(((at, bytes([raw[at] ^ 1])),))
        (tmp_path / "b.h5").write_bytes(change.applied(raw))
        with pytest.raises(StoreError, match=r"b\.h5 is damaged"):
            ActivationStore(tmp_path / "b.h5")


def orders(n: int) -> Iterator[list[int]]:
    """Different orders of the units 0 to 5."""
    rng = np.random.default_rng(0)
    found: set[tuple[int, ...]] = set()
    while len(found) < n:
        order = tuple(rng.permutation(6).tolist())
        if order not in found:
            found.add(order)
            yield list(order)


# Files that HDF5 finds nothing wrong with: another program wrote or rewrote them.

Edit = Callable[[h5py.File], object]


def attribute(name: str, value: Any, *, of: str = "/") -> Edit:
    def edit(file: h5py.File) -> None:
        file[of].attrs[name] = value

    return edit


def words(name: str, value: str, *, of: str = "/") -> Edit:
    return attribute(name, np.bytes_(value.encode()), of=of)


def no_attribute(name: str, *, of: str = "/") -> Edit:
    def edit(file: h5py.File) -> None:
        del file[of].attrs[name]

    return edit


def gone(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def replaced(name: str, **options: Any) -> Edit:
    """Another dataset in the place of one."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return edit


def group_for(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return edit


def link_for(name: str, link: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return edit


TEXT = h5py.string_dtype()
HUGE = 2**40
ACTIVATION, SAMPLE = "sites/maps/activation", "latents/sample"
SPOILT: dict[str, Edit] = {
    "version 1": attribute("format_version", 1),
    "version 99": attribute("format_version", 99),
    "version text": words("format_version", "two"),
    "version array": attribute("format_version", np.array([2, 2])),
    "version gone": no_attribute("format_version"),
    "format gone": no_attribute("format"),
    "format other": words("format", "CF-1.8"),
    "format number": attribute("format", 2),
    "format array": attribute("format", np.array([b"ganprobe-activations"] * 2)),
    "n_samples other": attribute("n_samples", 40),
    "n_samples gone": no_attribute("n_samples"),
    "provenance other": words("provenance", "{}"),
    "provenance gone": no_attribute("provenance"),
    "description gone": no_attribute("description"),
    "description empty": words("description", ""),
    "description other": words("description", "{}"),
    "description number": attribute("description", 3),
    "description array": attribute("description", np.arange(3)),
    "description nothing": attribute("description", h5py.Empty("S10")),
    "description text": attribute("description", "é"),
    "description huge": attribute("description", h5py.Empty("i8")),
    "description_digest gone": no_attribute("description_digest"),
    "description_digest text": words("description_digest", "x"),
    "description_digest real": attribute("description_digest", np.nan),
    "description_digest array": attribute("description_digest", np.arange(3)),
    "description_digest other": attribute("description_digest", 3),
    "site gone": no_attribute("site", of="sites/maps"),
    "activation gone": gone(ACTIVATION),
    "activation group": group_for(ACTIVATION),
    "activation contiguous": replaced(ACTIVATION, data=np.zeros((N_SAMPLES, 32, 12, 12), "f4")),
    "activation compact": replaced(ACTIVATION, data=np.float32(3)),
    "activation unwritten": replaced(
        ACTIVATION, shape=(N_SAMPLES, 32, 12, 12), dtype="f4", chunks=(16, 16, 12, 12)
    ),
    "activation zeros": replaced(
        ACTIVATION, data=np.zeros((N_SAMPLES, 32, 12, 12), "f4"), chunks=(16, 16, 12, 12)
    ),
    "activation huge": replaced(
        ACTIVATION, shape=(N_SAMPLES, HUGE, 12, 12), dtype="f4", chunks=(16, 16, 12, 12)
    ),
    "activation in small chunks": replaced(
        ACTIVATION, shape=(N_SAMPLES, HUGE), dtype="f4", chunks=(1, 1)
    ),
    "activation text": replaced(
        ACTIVATION, shape=(N_SAMPLES, 32, 12, 12), dtype=TEXT, chunks=(16, 16, 12, 12)
    ),
    "activation compound": replaced(
        ACTIVATION, shape=(N_SAMPLES,), dtype=[("a", "f4"), ("b", "i8")], chunks=(4,)
    ),
    "activation empty": replaced(ACTIVATION, data=h5py.Empty("f4")),
    "activation no link": link_for(ACTIVATION, h5py.SoftLink("/nowhere")),
    "activation in a circle": link_for(ACTIVATION, h5py.SoftLink(f"/{ACTIVATION}")),
    "activation elsewhere": link_for(ACTIVATION, h5py.ExternalLink("b.h5", "/x")),
    "activation other": link_for(ACTIVATION, h5py.SoftLink("/sites/vector/activation")),
    "sites gone": gone("sites"),
    "checksums gone": gone("checksums"),
    "latents gone": gone("latents"),
    "latents group": group_for("latents"),
    "images group": group_for("images"),
    "z gone": gone("latents/z"),
    "counter gone": gone(COUNTER),
    "counter group": group_for(COUNTER),
    "counter short": replaced(COUNTER, data=np.zeros(1, "u8")),
    "counter scalar": replaced(COUNTER, data=np.uint64(3)),
    "counter unwritten": replaced(COUNTER, shape=(8,), dtype="u8"),
    "counter ones": replaced(COUNTER, data=np.full(8, 2**64 - 1, "u8")),
    "counter text": replaced(COUNTER, data=["twelve"], dtype=TEXT),
    "counter chunked": replaced(COUNTER, data=np.zeros(6, "u8"), chunks=(2,)),
    "sample gone": gone(SAMPLE),
    "sample group": group_for(SAMPLE),
    "sample short": replaced(SAMPLE, data=np.arange(3)),
    "sample scalar": replaced(SAMPLE, data=3),
    "sample text": replaced(SAMPLE, data=["a"] * N_SAMPLES, dtype=TEXT),
    "sample real": replaced(SAMPLE, data=np.arange(N_SAMPLES) + 0.5),
    "sample huge": replaced(SAMPLE, shape=(HUGE,), dtype="i8", chunks=(64,)),
    "sample square": replaced(SAMPLE, data=np.zeros((N_SAMPLES, 2), "i8")),
}


def described(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Another description of the store, with a digest that fits."""

    def edit(file: h5py.File) -> None:
        told = json.loads(bytes(file.attrs["description"]))
        changed = change(told)
        describe_as(file, told if changed is None else changed)

    return edit


def describe_as(file: h5py.File, told: Any) -> None:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    file.attrs["description"] = np.bytes_(text)
    file.attrs["description_digest"] = np.uint64(digest(text))


def put(*path: Any, value: Any) -> Edit:
    """A description with another value at a place; `...` takes it away."""

    def change(told: dict[str, Any]) -> None:
        *holders, last = path
        holder: Any = told
        for step in holders:
            holder = holder[step]
        if value is ...:
            del holder[last]
        else:
            holder[last] = value

    return described(change)


NOT_SO: list[Any] = [
    ...,
    None,
    -1,
    2**70,
    1.5,
    "",
    "maps",
    [],
    [-3],
    {},
    [[0, 2**60], [2**61, 2**62]],
]
PLACES: list[tuple[Any, ...]] = [
    ("samples",),
    ("batch_size",),
    ("identity",),
    ("provenance",),
    ("compression",),
    ("share",),
    ("counter",),
    ("datasets",),
    ("datasets", 0),
    ("datasets", 0, "key"),
    ("datasets", 0, "dimensions"),
    ("datasets", 0, "shape"),
    ("datasets", 0, "chunk"),
    ("datasets", 0, "dtype"),
    ("datasets", 0, "values"),
    ("datasets", 0, "index"),
    ("datasets", 0, "records"),
]
DESCRIBED: dict[str, Edit] = {
    f"{'.'.join(map(str, place))} {value!r}": put(*place, value=value)
    for place in PLACES
    for value in NOT_SO
}
DESCRIBED |= {
    "no JSON": described(lambda told: b"{"),
    "no text": described(lambda told: b"\xff\xfe"),
    "deep": described(lambda told: b"[" * 20_000),
    "list": described(lambda told: []),
    "empty": described(lambda told: {}),
    "itself": put("shards", value=["a.h5"]),
    "above": put("shards", value=["../a.h5"]),
    "elsewhere": put("shards", value=["/etc/passwd"]),
    "a folder": put("shards", value=[".."]),
    "shards of numbers": put("shards", value=[3]),
    "a wider chunk": put("datasets", 0, "chunk", value=[16, 2**40, 12, 12]),
    "an empty chunk": put("datasets", 0, "chunk", value=[16, 0, 12, 12]),
    "more samples": put("samples", value=[[0, 40]]),
    "other samples": put("samples", value=[[5, 2]]),
    "records behind the end": put("datasets", 0, "records", value=2**40),
    "values behind the end": put("datasets", 0, "values", value=2**40),
    "twice": described(lambda told: told["datasets"].append(told["datasets"][0])),
}
UNTOUCHED: dict[str, Edit] = {
    "nothing": lambda file: None,
    "another dataset": lambda file: file.create_dataset("mine/mask", data=np.zeros(3)),
    "another site": lambda file: file.create_group("sites/mine"),
    "an attribute": attribute("title", "my own"),
    "a note on a group": attribute("note", np.arange(1000), of="sites/maps"),
}


def edited(good: Path, path: Path, edit: Edit) -> None:
    shutil.copy(good, path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        edit(file)


def examine_edits(subject: Subject, names: Sequence[str]) -> Iterator[str]:
    """The outcome of each edit, in a process of its own."""
    good = holdings(subject.opened)
    edits = SPOILT | DESCRIBED | UNTOUCHED
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / "a.h5"
            edited(subject.opened, path, edits[name])
            yield outcome(path, good, may_be_shorter=name.startswith("counter"))


@pytest.mark.parametrize("kind", ["none"])
def test_stores_that_another_program_spoilt_are_refused_or_read_right(
    subjects: dict[str, Subject], kind: str
) -> None:
    outcomes = in_a_process(examine_edits)(subjects[kind], list(SPOILT))
    pairs = list(zip(SPOILT, outcomes, strict=False))
    wrong = [f"{name}: {found}" for name, found in pairs if found not in HARMLESS]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) == len(SPOILT)
    needed = ("format", "version", "description")
    unnoticed = [name for name, found in pairs if name.startswith(needed) and found != "refused"]
    assert not unnoticed
    assert [name for name, found in pairs if found == "noticed"]


@pytest.mark.parametrize("kind", ["zstd"])
def test_descriptions_that_another_program_made_up_are_taken_or_refused(
    subjects: dict[str, Subject], kind: str
) -> None:
    outcomes = in_a_process(examine_edits)(subjects[kind], list(DESCRIBED))
    pairs = zip(DESCRIBED, outcomes, strict=False)
    ends = ("raised", "hung", "ended")
    wrong = [f"{name}: {found}" for name, found in pairs if found.startswith(ends)]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) == len(DESCRIBED)
    assert outcomes.count("refused") > len(DESCRIBED) / 2


@pytest.mark.parametrize("kind", ["none", "lz4"])
def test_stores_that_another_program_added_to_are_the_same(
    subjects: dict[str, Subject], kind: str
) -> None:
    outcomes = in_a_process(examine_edits)(subjects[kind], list(UNTOUCHED))
    assert dict(zip(UNTOUCHED, outcomes, strict=True)) == dict.fromkeys(UNTOUCHED, "same")


def by_h5py(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["sites/maps/activation"] = np.zeros((3, 4, 5, 5), np.float32)


def by_h5py_in_its_newest_format(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("activation", data=np.arange(1000), chunks=(10,), compression="gzip")


def by_xarray(path: Path) -> None:
    values = xarray.DataArray(np.zeros((3, 4)), dims=("sample", "unit"))
    xarray.Dataset({"activation": values}).to_netcdf(path, engine="h5netcdf")


def with_our_name_alone(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "ganprobe-activations"
        file.attrs["format_version"] = 2


def with_our_name_as_an_array(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = np.array(["ganprobe-activations"], dtype=TEXT)
        file.attrs["format_version"] = [2]


def of_version_1(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "ganprobe-activations"
        file.attrs["format_version"] = 1
        file.attrs["n_samples"] = 3
        file["sites/maps/activation"] = np.zeros((3, 4, 5, 5), np.float32)


def empty(path: Path) -> None:
    path.touch()


def of_text(path: Path) -> None:
    path.write_text("sample,unit,activation\n" * 1000)


def of_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(100_000))


def of_a_signature_and_noise(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(100_000))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing.h5"))


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


FOREIGN = [
    by_h5py,
    by_h5py_in_its_newest_format,
    by_xarray,
    with_our_name_alone,
    with_our_name_as_an_array,
    of_version_1,
    empty,
    of_text,
    of_noise,
    of_a_signature_and_noise,
    a_folder,
    a_link_to_itself,
    a_link_to_nothing,
    a_link_to_a_device,
    a_pipe,
]


def open_each(subject: Subject, paths: Sequence[Path]) -> Iterator[str]:
    """What comes of opening each file, in a process of its own."""
    for path in paths:
        try:
            ActivationStore(path)
        except GanprobeError as error:
            yield f"refused: {error}"
        except BaseException as error:
            yield f"raised {type(error).__name__}: {error}"
        else:
            yield "opened"


def test_foreign_files_are_refused_by_name(tmp_path: Path, subjects: dict[str, Subject]) -> None:
    paths = [tmp_path / f"{make.__name__}.h5" for make in FOREIGN]
    for make, path in zip(FOREIGN, paths, strict=True):
        make(path)
    outcomes = in_a_process(open_each)(subjects["none"], paths)
    for path, found in zip(paths, outcomes, strict=True):
        assert found.startswith("refused: "), (path.name, found)
        assert path.name in found


def examine_rewritten(subject: Subject, ways: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The outcome of a copy that h5py made of every object, in a process of its own."""
    good = holdings(subject.opened)
    with tempfile.TemporaryDirectory() as folder:
        for options in ways:
            path = Path(folder) / "a.h5"
            with h5py.File(subject.opened) as old, h5py.File(path, "w", **options) as new:
                for name in old:
                    old.copy(name, new, expand_refs=True)
                for name, value in old.attrs.items():
                    new.attrs[name] = value
            yield outcome(path, good)


@pytest.mark.parametrize("kind", ["none", "lz4"])
def test_what_another_program_copied_is_read_right_or_refused(
    subjects: dict[str, Subject], kind: str
) -> None:
    ways = [{}, {"libver": "latest"}, {"libver": ("v110", "v110")}, {"userblock_size": 1024}]
    outcomes = in_a_process(examine_rewritten)(subjects[kind], ways)
    assert set(outcomes) <= {"same", "refused"}
    assert len(outcomes) == len(ways)
