"""Claim: recording two sites keeps at least 0.85 of the speed of generating, in flat memory.

    python benchmarks/recording.py [--samples 10000] [--rounds 3] [--threads 2]

Generating and keeping nothing against generating and recording ``conv2`` and ``conv3`` to HDF5,
in turn, each in a process of its own, timed inside it from the first sample to the last byte
synchronised to the disk; then the peak memory of recording 10 000 and 50 000 samples.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import ganprobe
from machine import interleaved, median_ratio, print_machine

SITES = ("conv2", "conv3")
BYTES_A_SAMPLE = 4 * (128 * 7 * 7 + 64 * 14 * 14 + 16)


def work(what: str, n_samples: int, threads: int) -> dict[str, float]:
    """Generate, or generate and record; seconds and the process's peak memory in MB."""
    torch.set_num_threads(threads)
    probe = ganprobe.Probe(ganprobe.load("digits"))
    for _ in probe.runs(640):
        pass
    start = time.perf_counter()
    if what == "record":
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            probe.record(n_samples, SITES, Path(folder) / "digits.h5")
            seconds = time.perf_counter() - start
    else:
        for _ in probe.runs(n_samples):
            pass
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak}


def in_a_process(what: str, n_samples: int, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--work", what]
    command += ["--samples", str(n_samples), "--threads", str(threads)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(printed)
    return figures


def seconds_of(what: str, n_samples: int, threads: int) -> Callable[[], float]:
    return lambda: in_a_process(what, n_samples, threads)["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", choices=["generate", "record"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(work(given.work, given.samples, given.threads)))
        return
    print_machine(given.threads)
    variants = [seconds_of(what, given.samples, given.threads) for what in ("generate", "record")]
    generate, record = interleaved(variants, given.rounds)
    print("| what | samples/s (median) | MB/s written |\n| --- | --- | --- |")
    for name, seconds in (("generate only", generate), ("generate and record", record)):
        rate = given.samples / statistics.median(seconds)
        written = f"{rate * BYTES_A_SAMPLE / 1e6:.0f}" if name.endswith("record") else "-"
        print(f"| {name} | {rate:.0f} | {written} |")
    print(
        f"\nthroughput ratio, median of {given.rounds} rounds: {median_ratio(generate, record):.3f}"
    )
    sizes = (given.samples, 5 * given.samples)
    peaks = [in_a_process("record", size, given.threads)["peak_mb"] for size in sizes]
    print(
        f"peak memory: {peaks[0]:.0f} MB at {sizes[0]:,} samples, {peaks[1]:.0f} MB at"
        f" {sizes[1]:,}: ratio {peaks[1] / peaks[0]:.3f}"
    )


if __name__ == "__main__":
    main()
