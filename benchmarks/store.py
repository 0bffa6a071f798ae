"""Claim: recording runs at the speed of the disk, and reading at that of HDF5 or better.

    python benchmarks/store.py [--only write|compress|overlap|record|read|gpu] [--quick]
                               [--rounds 7] [--samples 8192] [--folder .] [--threads 1]

The feature maps are those of a DCGAN-64, 128 x 16 x 16 float32 after a ReLU, in batches of 64.

write     The same maps by each way in turn, to the page cache (the store's flushes switched off)
          and with the disk keeping everything (one fsync; the store also flushes on the way).
          Slow ways write fewer samples, as their rows say. Raw claims the space first, as we do.
compress  Ours, and filters inside HDF5; sizes are those of the files.
overlap   A generator that takes no CPU time, as a GPU does not: it copies a batch, to be in memory
          like any forward's outcome, and sleeps until that batch is due; it works on while the
          batch before is taken, one ahead. What is recorded of it, against the slower of two: the
          generator and one plain copy of each batch, and the raw write.
record    `digits` and a DCGAN-64 on the CPU, each way in a process of its own, from the first
          sample to the last byte kept by the disk: generating alone, generating up to the last
          recorded site (where a recording ends its forwards, so this is the stricter), recording.
read      One unit of all samples, three samples, everything, shuffled batches; from files that
          are open, from the page cache and with the file's pages dropped before.
gpu       What is recorded of a DCGAN-64 there, and what page-locked copies and raw writes do.

The ways take turns in one process; a figure is the median over the rounds, a ratio the median of
the rounds' ratios. The peers come with ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import ganprobe as gp
from hook_overhead import Goal, print_table
from machine import interleaved, median_ratio, print_machine
from store_peers import (
    BATCH,
    COMPRESSIONS,
    OURS,
    PATTERNS,
    PEERS,
    RAW,
    READERS,
    UNIT,
    WRITERS,
    Maps,
    Reader,
    Way,
    drop_pages,
    forget,
    n_bytes,
    sync,
    to_page_cache,
    write_ours,
    write_raw,
)
from swap_networks import read_subject
from swap_search import peak

RATES = (0.8, 2.5, 5.0)
GENERATORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "`digits`": ("digits-128", ("conv2", "conv3")),
    "DCGAN-64": ("dcgan-128", ("main.8",)),
}
TURN_SAMPLES = {"`digits`": 3072, "DCGAN-64": 1024}
GENERATE, UP_TO_SITE, RECORD = "generate", "generate up to the last site", "record"
PEAK_SAMPLES = (10_000, 50_000)
READ_SAMPLES = 2048
GB = 1e9


@dataclass(frozen=True)
class Setting:
    """How much is measured, and where.

    Args:
        folder: on the disk that is measured.
    """

    n_rounds: int
    folder: Path
    is_quick: bool

    def path(self) -> Path:
        """A file or folder that is not there."""
        path = self.folder / "maps"
        if path.exists():
            forget(path)
        return path


def write_seconds(way: Way, maps: Maps, setting: Setting, *, kept: bool) -> float:
    """Of the writing of all maps, from those that the way writes.

    Args:
        kept: until the disk keeps them; else until they are in the page cache.
    """
    path, some = setting.path(), maps.first(way.share)
    forget(path)
    with nullcontext() if kept else to_page_cache():
        start = time.perf_counter()
        way.write(path, some)
        if kept:
            sync(path)
        seconds = time.perf_counter() - start
    forget(path)
    return seconds * maps.n_samples / some.n_samples


def installed(ways: Sequence[Way], maps: Maps, setting: Setting) -> tuple[list[Way], list[Way]]:
    """The ways that work, each tried with one batch; and those whose package is missing."""
    missing = []
    for way in ways:
        try:
            write_seconds(way._replace(share=0), maps, setting, kept=False)
        except ModuleNotFoundError:
            missing.append(way)
    return [way for way in ways if way not in missing], missing


def measure_writing(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """A table of all ways; ours against raw."""
    ways, missing = installed(WRITERS, maps, setting)
    variants = [
        partial(write_seconds, way, maps, setting, kept=kept)
        for kept in (False, True)
        for way in ways
    ]
    seconds = interleaved(variants, setting.n_rounds)
    cached, kept = seconds[: len(ways)], seconds[len(ways) :]

    def cells(times: list[list[float]], number: int) -> list[str]:
        return [
            f"{rate(maps.n_bytes, times[number]) / 1e6:.0f}",
            f"{median_ratio(times[0], times[number]):.3f}",
        ]

    rows = [
        [way.name, f"{maps.first(way.share).n_samples:,}", *cells(cached, n), *cells(kept, n)]
        for n, way in enumerate(ways)
    ]
    rows += [[way.name, "not installed", *["-"] * 4] for way in missing]
    columns = ["way", "samples", "MB/s to the page cache", "times raw", "MB/s kept by the disk",
               "times raw"]  # fmt: skip
    print_table(f"Writing {maps.n_bytes / GB:.2f} GB, {maps.zeros:.0%} zeros", columns, rows)
    claim = f"writing: {OURS} / {RAW}"
    yield Goal(f"{claim}, one fsync each", median_ratio(kept[0], kept[1]), 0.9, is_floor=True)


def rate(amount: float, seconds: Sequence[float]) -> float:
    """Amount a second, the median."""
    return amount / statistics.median(seconds)


def measure_compression(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """A table of the ways to compress; there is no goal."""
    maps = maps.first(min(1, READ_SAMPLES / maps.n_samples))
    ways, missing = installed(COMPRESSIONS, maps, setting)
    variants = [partial(write_seconds, way, maps, setting, kept=True) for way in ways]
    times = interleaved(variants, setting.n_rounds)
    rows = []
    for way, seconds in zip(ways, times, strict=True):
        some = maps.first(way.share)
        megabytes = f"{rate(maps.n_bytes, seconds) / 1e6:.0f}"
        rows.append([way.name, f"{some.n_samples:,}", megabytes, f"{shrinks(way, some, setting)}"])
    rows += [[way.name, "not installed", "-", "-"] for way in missing]
    columns = ["way", "samples", "MB/s kept by the disk", "times smaller"]
    print_table(f"Compressing, {maps.zeros:.0%} zeros", columns, rows)
    yield from ()


def shrinks(way: Way, maps: Maps, setting: Setting) -> str:
    """How many times smaller a file is than its values."""
    path = setting.path()
    way.write(path, maps)
    times = maps.n_bytes / n_bytes(path)
    forget(path)
    return f"{times:.2f}"


class TimedGenerator:
    """A generator that gives a batch each `interval` seconds, at no cost but that of one copy.

    The batch that follows is worked on while one is taken, as on a device that runs on its own,
    but no more than that one.
    """

    def __init__(self, maps: Maps, rate: float) -> None:
        self._maps, self._interval = maps, maps.batches[0].nbytes / rate
        self._ring = [torch.zeros_like(maps.batches[0]) for _ in range(4)]

    def batches(self) -> Iterator[Tensor]:
        """Each when it is due."""
        due = time.perf_counter()
        for number, batch in enumerate(self._maps):
            due = max(due + self._interval, time.perf_counter())
            made = self._ring[number % len(self._ring)].copy_(batch)
            time.sleep(max(0, due - time.perf_counter()))
            yield made


def take(path: Path, maps: Maps, batches: Callable[[], Iterator[Tensor]]) -> None:
    """Copy each batch into memory of its own, and write nothing."""
    ring = [torch.zeros_like(maps.batches[0]) for _ in range(3)]
    for number, batch in enumerate(batches()):
        ring[number % len(ring)].copy_(batch)
    path.touch()


def measure_overlap(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """A table for each rate; what is recorded, against the slower of generator and raw write."""
    raw = Way(RAW, write_raw)
    made = [TimedGenerator(maps, gigabytes * GB) for gigabytes in RATES]
    taking = [Way("take", partial(take, batches=one.batches)) for one in made]
    recording = [Way("record", partial(write_ours, batches=one.batches)) for one in made]
    seconds = partial(write_seconds, maps=maps, setting=setting)
    variants = [partial(seconds, way, kept=False) for way in (raw, *taking, *recording)]
    variants += [partial(seconds, way, kept=True) for way in (raw, *recording)]
    times = interleaved(variants, setting.n_rounds)
    n = len(RATES)
    raw_cached, taken, cached = times[0], times[1 : n + 1], times[n + 1 : 2 * n + 1]
    raw_kept, kept = times[2 * n + 1], times[2 * n + 2 :]
    rows = []
    for name, raw_times, recorded in (
        ("the page cache", raw_cached, cached),
        ("kept by the disk", raw_kept, kept),
    ):
        for gigabytes, taken_times, ours in zip(RATES, taken, recorded, strict=True):
            floor = [max(pair) for pair in zip(taken_times, raw_times, strict=True)]
            ratio, is_disk = median_ratio(floor, ours), median_ratio(raw_times, taken_times) > 1
            figures = (
                f"{rate(maps.n_bytes, one) / GB:.2f}" for one in (taken_times, raw_times, ours)
            )
            bound = "raw write" if is_disk else "generator"
            rows.append([f"{gigabytes}", name, *figures, bound, f"{ratio:.3f}"])
            claim = f"recording {gigabytes} GB/s, {name}: {OURS} / min(generator and copy, raw)"
            if is_disk or gigabytes <= 2.5:
                yield Goal(claim, ratio, 0.85 if is_disk else 0.9, is_floor=True)
    columns = ["GB/s made", "until", "GB/s generator and copy", "GB/s raw write", "GB/s recorded",
               "the slower", "recorded / the slower"]  # fmt: skip
    print_table("Recording a generator that takes no CPU time", columns, rows)


def work(subject: str, what: str, n_samples: int, folder: Path, n_threads: int) -> float:
    """Generate, or generate and record; seconds."""
    torch.set_num_threads(n_threads)
    key, sites = GENERATORS[subject]
    probe = gp.Probe(read_subject(key, None, "cpu").generator)
    for _ in probe.runs(2 * BATCH, record=sites):
        pass
    path = folder / f"{n_threads} {what}.h5"
    if what == RECORD:
        forget(path)
    start = time.perf_counter()
    if what == RECORD:
        probe.record(n_samples, sites, path, batch_size=BATCH)
    else:
        kept = {UP_TO_SITE: sites, GENERATE: ()}[what]
        for _ in probe.runs(n_samples, record=kept, stop_early=bool(kept), batch_size=BATCH):
            pass
    seconds = time.perf_counter() - start
    if what == RECORD:
        forget(path)
    return seconds


def measure_recording(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """Recording against generating, on one thread and on two; then peak memory."""
    ways, rows = (GENERATE, UP_TO_SITE, RECORD), []
    cases = [(subject, n) for subject in GENERATORS for n in (1, 2)]
    for subject, n_threads in cases[:1] if setting.is_quick else cases:
        n_samples = BATCH if setting.is_quick else TURN_SAMPLES[subject]
        alone, to_site, recorded = turns(subject, ways, n_samples, n_threads, setting)
        per_second = [f"{rate(n_samples, times):.0f}" for times in (alone, to_site, recorded)]
        ratios = [median_ratio(times, recorded) for times in (alone, to_site)]
        rows.append([subject, f"{n_threads}", *per_second, *(f"{ratio:.3f}" for ratio in ratios)])
        claim = f"recording {subject}, {n_threads} threads: / "
        for way, ratio in zip((GENERATE, UP_TO_SITE), ratios, strict=True):
            yield Goal(claim + way, ratio, 0.92, is_floor=True)
    columns = ["generator", "threads", *(f"{way}, samples/s" for way in ways),
               f"record / {GENERATE}", f"record / {UP_TO_SITE}"]  # fmt: skip
    print_table("Recording on the CPU", columns, rows)
    if not setting.is_quick:
        yield from measure_memory(setting)


def turns(
    subject: str, ways: Sequence[str], n_samples: int, n_threads: int, setting: Setting
) -> list[list[float]]:
    """Seconds of each way, round by round, each in a process that lives on."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, spawn)) for _ in ways]

        def job(number: int, n: int = n_samples) -> Future[float]:
            return pools[number].submit(work, subject, ways[number], n, setting.folder, n_threads)

        for warm in [job(number, BATCH) for number in range(len(ways))]:
            warm.result()
        variants = [lambda number=number: job(number).result() for number in range(len(ways))]
        return interleaved(variants, setting.n_rounds)


def measure_memory(setting: Setting) -> Iterator[Goal]:
    """Peak memory at two sizes, of a process each."""
    peaks = [peak_of_recording(n, setting) for n in PEAK_SAMPLES]
    rows = [[f"{n:,}", f"{one / 2**20:.0f}"] for n, one in zip(PEAK_SAMPLES, peaks, strict=True)]
    print_table("Peak memory of recording `digits`", ["samples", "MiB"], rows)
    few, many = PEAK_SAMPLES
    yield Goal(f"peak memory: {many:,} / {few:,} samples", peaks[1] / peaks[0], 1.05)


def peak_of_recording(n_samples: int, setting: Setting) -> int:
    """Bytes, in a process of its own."""
    command = [sys.executable, __file__, "--peak-of", str(n_samples), "--threads", "2"]
    command += ["--folder", str(setting.folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def file_of(reader: Reader, setting: Setting) -> Path:
    """What it reads from."""
    return setting.folder / f"read-{READERS.index(reader)}.h5"


def read_seconds(
    reader: Reader, pattern: str, maps: Maps, setting: Setting, *, cold: bool
) -> float:
    """Of one pattern, from a file that was opened and not read from."""
    path = file_of(reader, setting)
    if cold:
        drop_pages(path)
    with reader.opened(path) as file:
        start = time.perf_counter()
        if pattern == SHUFFLED:
            rows = shuffled_rows(reader, maps)
            n_read = sum(len(batch) for batch in reader.shuffled(file, rows))
            return (time.perf_counter() - start) * maps.n_samples / n_read
        kept = PATTERNS[pattern](reader, file, maps.n_samples)
        seconds = time.perf_counter() - start
        del kept
    return seconds


SHUFFLED = "shuffled batches, all"


def shuffled_rows(reader: Reader, maps: Maps) -> list[int]:
    """Of the batches that are enough."""
    order: list[int] = torch.randperm(maps.n_samples, generator=torch.manual_seed(0)).tolist()
    return order[: reader.most_shuffled * BATCH]


def check_reader(reader: Reader, maps: Maps, setting: Setting) -> None:
    """Ends everything if it does not give what was written."""
    rows = shuffled_rows(reader, maps)[: 2 * BATCH]
    with reader.opened(file_of(reader, setting)) as file:
        everything = reader.read(file, None, None)
        unit, shuffled = reader.read(file, None, UNIT), torch.cat([*reader.shuffled(file, rows)])
    same = torch.equal(everything[rows], maps.rows(rows)) and torch.equal(shuffled, maps.rows(rows))
    if not same or not torch.equal(unit[:, 0], everything[:, UNIT]):
        raise SystemExit(f"{reader.name} does not give what was written")


def measure_reading(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """Tables from the page cache and from the disk; ours against HDF5 with the same chunks."""
    maps = maps.first(min(1, READ_SAMPLES / maps.n_samples))
    for reader in READERS:
        path = file_of(reader, setting)
        reader.write(path, maps)
        sync(path)
        check_reader(reader, maps, setting)
    patterns = [*PATTERNS, SHUFFLED]
    for cold in (False, True):
        variants = [
            partial(read_seconds, reader, pattern, maps, setting, cold=cold)
            for pattern in patterns
            for reader in READERS
        ]
        flat = interleaved(variants, setting.n_rounds)
        times = [flat[start : start + len(READERS)] for start in range(0, len(flat), len(READERS))]
        rows = [
            [reader.name, *(f"{1e3 * statistics.median(column[n]):.1f}" for column in times)]
            for n, reader in enumerate(READERS)
        ]
        state = "cold" if cold else "from the page cache"
        title = f"Reading {maps.n_bytes / 1e6:.0f} MB, {state}: ms"
        print_table(title, ["way", *patterns], rows)
        for pattern, column in zip(patterns, times, strict=True):
            claim = f"reading, {state}, {pattern}: {OURS} / {READERS[2].name}"
            yield Goal(claim, median_ratio(column[0], column[2]), 1.0)
    for reader in READERS:
        forget(file_of(reader, setting))


def measure_gpu(maps: Maps, setting: Setting) -> Iterator[Goal]:
    """What is recorded of a DCGAN-64 on a GPU, and the floors; there is no goal."""
    if not torch.cuda.is_available():
        print("GPU: none here, not measured\n")
        return
    probe = gp.Probe(read_subject("dcgan-128", None, "cuda").generator)
    sites, n_samples = ("main.8",), maps.n_samples

    def generate() -> float:
        return synchronised(lambda: [None for _ in probe.runs(n_samples, record=sites)])

    def record() -> float:
        path = setting.path()
        forget(path)
        with to_page_cache():
            return synchronised(lambda: probe.record(n_samples, sites, path, batch_size=BATCH))

    raw = partial(write_seconds, WRITERS[0], maps, setting, kept=False)
    variants: list[Callable[[], float]] = [generate, record, partial(copy_seconds, maps), raw]
    names = ["generate, keep nothing", "record", "copy to page-locked memory", RAW]
    for variant in variants:
        variant()  # warm
    times = interleaved(variants, setting.n_rounds)
    rows = [
        [name, f"{rate(maps.n_bytes, one) / GB:.2f}"]
        for name, one in zip(names, times, strict=True)
    ]
    print_table(f"On {torch.cuda.get_device_name()}", ["what", "GB/s, to the page cache"], rows)
    floor = [max(others) for others in zip(times[0], times[2], times[3], strict=True)]
    claim = "recording from a GPU: record / min(generate, copy, raw)"
    yield Goal(claim, median_ratio(floor, times[1]), 0.85, is_floor=True)


def copy_seconds(maps: Maps) -> float:
    """Of copies from the GPU to page-locked memory."""
    batch = maps.batches[0].cuda()
    target = torch.empty(batch.shape, pin_memory=True)
    return synchronised(lambda: [target.copy_(batch, non_blocking=True) for _ in range(len(maps))])


def synchronised(run: Callable[[], object]) -> float:
    """Seconds until the GPU has done it."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=MEASURES, action="append")
    parser.add_argument("--quick", action="store_true", help="one round of a few samples")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=8192)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured")
    parser.add_argument("--threads", type=int, default=1, help="but for `record`")
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


MEASURES: Mapping[str, Callable[[Maps, Setting], Iterator[Goal]]] = {
    "write": measure_writing,
    "compress": measure_compression,
    "overlap": measure_overlap,
    "record": measure_recording,
    "read": measure_reading,
    "gpu": measure_gpu,
}


@torch.no_grad()
def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    if given.peak_of:
        work("`digits`", RECORD, given.peak_of, given.folder, given.threads)
        print(peak("cpu"))
        return
    print_machine(given.threads, peers=PEERS)
    n_rounds = 1 if given.quick else given.rounds
    maps = Maps.of_dcgan(256 if given.quick else given.samples)
    print(f"n = {n_rounds} rounds\n", flush=True)
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        setting = Setting(n_rounds, Path(folder), given.quick)
        for part in given.only or MEASURES:
            goals += MEASURES[part](maps, setting)
            sys.stdout.flush()
    if goals:
        rows = [goal.cells() for goal in goals]
        print_table("Goals", ["ratio", "measured", "goal", "met"], rows)


if __name__ == "__main__":
    main()
