"""Claim: ``ganprobe --help`` costs at most twice the import of the libraries it stands on.

    python benchmarks/help_time.py

Wall time of whole processes, interleaved; the goal is a median ratio of at most 2, and that no
torch is imported (a test holds that).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from machine import interleaved, median_ratio, print_machine

N_ROUNDS = 21
GANPROBE = Path(sys.executable).with_name("ganprobe")


def timed(*command: str | Path) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return run


def main() -> None:
    print_machine(1)
    variants = {
        "ganprobe --help": timed(GANPROBE, "--help"),
        'python -c "import click, pydantic"': timed(sys.executable, "-c", "import click, pydantic"),
        'python -c "pass"': timed(sys.executable, "-c", "pass"),
    }
    for run in variants.values():
        run()
    figures = dict(zip(variants, interleaved(list(variants.values()), N_ROUNDS), strict=True))
    print("| command | median ms | ratio to importing click and pydantic |\n| --- | --- | --- |")
    reference = figures['python -c "import click, pydantic"']
    for name, seconds in figures.items():
        median = 1000 * statistics.median(seconds)
        print(f"| `{name}` | {median:.0f} | {median_ratio(seconds, reference):.2f} |")
    print(f"\nn = {N_ROUNDS} runs of each, interleaved")


if __name__ == "__main__":
    main()
