"""Claim: a search over a site's units takes a small part of what one forward a candidate takes.

    python benchmarks/swap_search.py [--rounds 5] [--quick] [--only dcgan-256]
                                     [--described FILE.json] [--device cpu] [--threads 1]

Source and donor run through the same generator; ten or twenty units of a site are swapped, picked
greedily, so that the image comes nearest to the donor's (mean squared difference, ties to the
lowest unit): each pick tries every unit that is left. Three ways: naive, by a plain loop with one
hook, a full forward at batch 1 for each candidate; batched, the same with full forwards of the
batch of 8 to 64 candidates that is quickest here; and ganprobe, with the method that it
chooses and with each that it does not refuse. A search counts from the latents to the picks, the
donor's forward included; ganprobe starts with a new probe each time. All must pick the same units
in the same order, or there are no figures.

``--only students`` and ``--only students-jointly`` are the searches of `swap_students.py` on the
described generator, where by hand only the layers after the site run for each candidate. Of the
joint ones the way by hand is timed for the first 2 picks, and its time taken to go on so.

The ways take turns in one process; a figure is the median over the rounds, a ratio the median of
the rounds' ratios. On one CPU thread it is thread CPU time, else wall time; on CUDA of a
synchronised search, with TF32 off. Peak memory is that of a process for each limit.

The described generator is skipped without ``--described`` (a file as `described.py` reads it),
StyleGAN2 without spandrel, which comes with ``pip install -e '.[test]'``.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import ganprobe as gp
from hook_overhead import Goal, print_table
from machine import print_machine
from swap_figures import Figures, Way, clock, quickest
from swap_networks import SUBJECTS, Subject, read_subject, tiny
from swap_students import GOAL as STUDENTS_GOAL
from swap_students import Split, experiments, golden_picks, split
from swap_ways import (
    BATCHED,
    METHODS,
    NAIVE,
    Outcome,
    Search,
    batched,
    naive,
    way_of,
    with_ganprobe,
)

STUDENTS = ("students", "students-jointly")
BATCHES = (8, 16, 32, 64)
GOALS = {"dcgan-256": 5.0, "dcgan-128": 8.0, "digits-256": 8.0, "digits-128": 15.0,
         "stylegan2": 2.3}  # fmt: skip
LIMITS = (16, 64, 256, None)
MEMORY_SUBJECTS = ("dcgan-128", "stylegan2")
MIB = 2**20
CLEAR_REFS = Path("/proc/self/clear_refs")


def print_search(figures: Figures, more: str = "") -> None:
    """How long each way took for one search."""
    search, subject = figures.search, figures.search.subject
    rows = [
        [
            way,
            f"{statistics.median(figures.seconds(way)):.2f}",
            figures.times_reference(way),
            str(outcome.chunk),
            outcome.note or _whole(outcome, search),
        ]
        for way, outcome in figures.outcomes.items()
    ]
    rows += [[way, "-", "-", "-", why] for way, why in figures.missing.items()]
    title = (
        f"{subject.name}, `{subject.site}`: {search.n_picks} of {len(search.units)} units picked,"
        f" {search.n_candidates:,} candidates{more}"
    )
    columns = ["way", "s", "times as fast as the first", "at once", "how"]
    print_table(title, columns, [[cell.replace("|", "/") for cell in row] for row in rows])
    if plan := figures.outcomes[way_of("auto")].plan:
        print(f"How it goes, chosen by itself: {plan.splitlines()[0]}.\n", flush=True)


def _whole(outcome: Outcome, search: Search) -> str:
    """Nothing, unless a way by hand was timed for fewer picks."""
    n = len(outcome.picks)
    return "-" if n == search.n_picks else f"{n} picks were timed; the rest as long for each"


def print_floors(cases: Mapping[str, Figures]) -> None:
    """How far ganprobe is above what the machine needs for the layers alone."""

    def row(key: str, figures: Figures, name: str) -> list[str]:
        search, floor = figures.search, figures.floors[name]
        ours, seconds = way_of("auto"), statistics.median(figures.seconds(name))
        return [
            key if key not in SUBJECTS else f"{search.subject.name}, `{search.subject.layer}`",
            name,
            f"{floor.macs / 1e6:.1f}",
            f"{len(search.z) * search.n_candidates * floor.macs / seconds / 1e9:.1f}",
            f"{seconds:.2f}",
            f"{statistics.median(figures.seconds(ours)):.2f}",
            f"{figures.ratio(ours, name):.2f}",
            f"{figures.ratio(figures.reference, name):.1f}",
        ]

    columns = ["search", "from", "million multiply-adds a candidate", "10⁹ of them a second",
               "floor, s", f"{way_of('auto')}, s", "times the floor",
               "by hand, times the floor"]  # fmt: skip
    rows = [row(key, one, name) for key, one in cases.items() for name in one.floors]
    print_table("The floor", columns, rows)
    print(
        "The floor of an exact search is what plain torch takes, in the batch of 1 to 128 that is"
        " quickest,\nfor the layers after the first linear layer that follows the site, once for"
        " each candidate, and for\nthat linear layer, once for all; from the site on it is that"
        " of a replay, which runs this layer, too,\nfor each candidate.\n",
        flush=True,
    )


def print_goals(cases: Mapping[str, Figures]) -> None:
    """How many times as fast as naive it is to be."""
    ours = way_of("auto")
    rows = [
        Goal(f"{one.search.subject.name}, `{one.search.subject.layer}`: {NAIVE} / {ours}",
             one.ratio(NAIVE, ours), GOALS[key], is_floor=True).cells()
        for key, one in cases.items() if key in GOALS
    ]  # fmt: skip
    rows += [
        Goal(f"{key}: {one.reference} / {ours}", one.ratio(one.reference, ours), STUDENTS_GOAL,
             is_floor=True).cells()
        for key, one in cases.items() if key not in SUBJECTS and len(one.search.z) == 1
    ]  # fmt: skip
    if rows:
        print_table("Goals", ["ratio", "measured", "goal", "met"], rows)


def print_memory(keys: Sequence[str], given: argparse.Namespace) -> None:
    """How far a search raises the peak of its process, for each limit."""

    def row(key: str, limit: int | None) -> list[str]:
        figures = in_a_process(key, limit, given)
        named = "none given" if limit is None else f"{limit}"
        return [key, named, *(str(figures[name]) for name in ("method", "chunk", "rise"))]

    if not keys:
        return
    if given.device == "cpu" and not CLEAR_REFS.exists():
        print("peak memory: not measured, as this system does not let it be reset\n")
        return
    columns = ["search, 2 picks", "limit, MiB", "method", "candidates at once", "rise, MiB"]
    limits = LIMITS[:2] if given.quick else LIMITS
    rows = [row(key, limit) for key in keys for limit in limits]
    print_table("Peak memory above that of a plain forward", columns, rows)


def in_a_process(key: str, limit: int | None, given: argparse.Namespace) -> dict[str, Any]:
    """What `memory` returns in a process of its own."""
    command = [sys.executable, __file__, "--only", key, "--memory-limit", str(limit or 0)]
    command += ["--device", given.device, "--threads", str(given.threads)]
    command += ["--described", str(given.described)] if given.described else []
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(printed)
    return figures


def memory(search: Search, limit: int | None) -> dict[str, object]:
    """How far the peak rises in a search, in MiB, and how it was done; `limit` is in MiB."""
    for method in METHODS[1:]:  # what Python imports on the way is not the search's
        with_ganprobe(Search.of(tiny(), 1, "cpu"), method)
    gp.Probe(search.subject.generator).images(search.latents)
    before = reset_peak(search.device)
    try:
        outcome = with_ganprobe(search, "auto", limit and limit * MIB)
    except gp.GanprobeError as error:
        return {"method": f"refused: {error}", "chunk": "-", "rise": "-"}
    rise = (peak(search.device) - before) / MIB
    used = outcome.note.partition(":")[0]
    return {"method": used, "chunk": outcome.chunk, "rise": f"{rise:.1f}"}


def reset_peak(device: str) -> int:
    """Let the peak be what is in use now, which is returned, in bytes.

    On the CPU it is Linux's own account of the process: `ru_maxrss` cannot be reset, and starts
    at the peak of the process that started this one.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    gc.collect()
    CLEAR_REFS.write_text("5")
    return _status("VmRSS")


def peak(device: str) -> int:
    """The most that was in use since the reset, in bytes."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, fewer picks")
    parser.add_argument("--only", choices=[*SUBJECTS, *STUDENTS])
    parser.add_argument("--described", type=Path, help="the JSON of a generator")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-limit", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only and given.only.startswith(("described", "students")) and not given.described:
        parser.error(f"--only {given.only} needs --described FILE.json")
    return given


def subjects(given: argparse.Namespace) -> Iterator[tuple[str, Subject]]:
    """Those asked for, one after the other; of each that cannot be had, a line that says so."""
    for key in [key for key in SUBJECTS if given.only in (None, key)]:
        if key.startswith("described") and not given.described:
            print(f"{key}: skipped, as no --described FILE.json was given\n")
            continue
        try:
            yield key, read_subject(key, given.described, given.device)
        except ModuleNotFoundError as error:
            print(f"{key}: skipped, as {error.name} is not installed\n")


def measured(given: argparse.Namespace) -> dict[str, Figures]:
    """The figures of every search, each printed when it is there."""
    now, cases = clock(given.device, given.threads), dict[str, Figures]()
    n_rounds = 1 if given.quick else given.rounds
    print(f"n = {n_rounds} rounds\n", flush=True)
    for key, subject in subjects(given):
        n_picks = subject.n_quick if given.quick else subject.n_picks
        search = Search.of(subject, n_picks, given.device)
        size = quickest(subject.images, search.z, BATCHES, now)
        by_hand: dict[str, Way] = {
            NAIVE: partial(naive, search),
            BATCHED: partial(batched, search, size),
        }
        cases[key] = Figures(search, by_hand, n_rounds, now)
        print_search(cases[key])
    return cases


def measured_students(given: argparse.Namespace, *, jointly: bool) -> dict[str, Figures]:
    """The figures of the students' searches, each printed when it is there."""
    now, cases = clock(given.device, given.threads), dict[str, Figures]()
    splits = dict[str, Split]()
    for one in experiments(given.described, given.device, jointly=jointly, quick=given.quick):
        search, mode = one.search, one.search.subject.generator.normalisation
        n_rounds = 1 if given.quick else min(one.n_rounds, given.rounds)
        key = f"{mode}: {one.name}, {search.n_picks} of {len(search.units)}"
        cases[key] = Figures(search, one.ways, n_rounds, now)
        splits[key] = split(search, now, n_times=min(n_rounds, one.n_splits))
        print_search(cases[key], f"; {mode}, {one.name}; n = {n_rounds}")
        print_golden(cases[key], golden_picks(given.described, search))
    print_splits(cases, splits)
    return cases


def print_golden(figures: Figures, golden: tuple[int, ...] | None) -> None:
    """That the picks are an oracle's, or the end."""
    if golden is None:
        return
    for way, outcome in figures.outcomes.items():
        if outcome.picks != golden:
            raise SystemExit(f"{way} picks\n{outcome.picks}, but the oracle\n{golden}")
    print("All picks are the oracle's beside the description.\n", flush=True)


def print_splits(cases: Mapping[str, Figures], splits: Mapping[str, Split]) -> None:
    """What a search spends once, on each candidate, and inside the generator."""

    def row(key: str, one: Split) -> list[str]:
        search = cases[key].search
        n_images = len(search.z) * search.n_candidates
        by_hand = statistics.median(cases[key].seconds(cases[key].reference))
        return [
            key,
            f"{one.fixed * 1e3:.0f}",
            f"{one.each * 1e3 / len(search.z):.3f}",
            f"{by_hand * 1e3 / n_images:.3f}",
            f"{one.inside:.0%}".replace("%", ""),
        ]

    columns = ["search", "fixed cost, ms", "an image, ms", "by hand, ms", "% in the layers"]
    rows = [row(key, one) for key, one in splits.items()]
    print_table(f"Where the time of {way_of('auto')} goes", columns, rows)


@torch.no_grad()
def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.allow_tf32 = False
    if given.memory_limit is not None:
        search = Search.of(read_subject(given.only, given.described, given.device), 2, given.device)
        print(json.dumps(memory(search, given.memory_limit or None)))
        return
    print_machine(given.threads, peers=["spandrel"])
    if given.device == "cuda":
        print(f"on {torch.cuda.get_device_name()}, wall time\n")
    cases = measured(given)
    for key in STUDENTS:
        if given.described and given.only in (None, key):
            cases |= measured_students(given, jointly=key == "students-jointly")
    print_floors(cases)
    shown = MEMORY_SUBJECTS[:1] if given.quick else MEMORY_SUBJECTS
    print_memory([key for key in cases if key in (given.only, *shown)], given)
    print_goals(cases)


if __name__ == "__main__":
    main()
