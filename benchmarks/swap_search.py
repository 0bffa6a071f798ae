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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import ganprobe as gp
from hook_overhead import Goal, print_table
from machine import interleaved, median_ratio, print_machine
from swap_networks import SUBJECTS, Step, Subject, read_subject, tiny

Method = Literal["auto", "additive", "replay", "batched", "single"]

NAIVE = "naive: a forward each"
BATCHED = "batched: full forwards"
METHODS: tuple[Method, ...] = ("auto", "replay", "additive")
BATCHES = (8, 16, 32, 64)
FLOOR_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
GOALS = {"dcgan-256": 5.0, "dcgan-128": 8.0, "digits-256": 8.0, "digits-128": 15.0,
         "stylegan2": 2.3}  # fmt: skip
LIMITS = (16, 64, 256, None)
MEMORY_SUBJECTS = ("dcgan-128", "stylegan2")
MIB = 2**20
CLEAR_REFS = Path("/proc/self/clear_refs")

Clock = Callable[[], float]
Score = Callable[[list[int], list[int]], list[float]]


class Outcome(NamedTuple):
    """What a search found, and how.

    Args:
        picks: the units, in order.
        values: the objective after each pick.
        note: which method, and why.
    """

    picks: tuple[int, ...]
    values: tuple[float, ...]
    chunk: int | None = None
    note: str = ""
    plan: str = ""


@dataclass(frozen=True, eq=False)
class Search:
    """One search: move the image of `latents` toward the donor's by swapping units.

    Args:
        latents, donor: one sample each.
        target: the donor's image.
        units: the candidates.
    """

    subject: Subject
    latents: gp.Latents
    donor: gp.Latents
    target: Tensor
    units: range
    n_picks: int
    device: str

    @classmethod
    def of(cls, subject: Subject, n_picks: int, device: str) -> Search:
        """From sample 0 of seed 0 toward sample 0 of seed 5: no pick is near a tie (1e-5)."""
        latents, donor = (subject.generator.sample(1, seed=seed) for seed in (0, 5))
        z = donor.z.to(device)
        units = range(subject.n_searched or subject.maps(z).shape[1])
        return cls(subject, latents, donor, subject.images(z), units, n_picks, device)

    @property
    def n_candidates(self) -> int:
        """How many sets of units are tried, all picks together."""
        return sum(len(self.units) - pick for pick in range(self.n_picks))

    @property
    def z(self) -> Tensor:
        """The sample's latents, where the generator is."""
        return self.latents.z.to(self.device)

    def distance(self, images: Tensor) -> Tensor:
        """Images (n, channels, height, width) -> mean squared difference to the target (n,)."""
        return (images - self.target).square().mean(dim=(1, 2, 3))

    def greedy(self, score: Score) -> Outcome:
        """By hand: `score` takes the picks so far and the candidates, and gives their values."""
        picks, values = list[int](), list[float]()
        for _ in range(self.n_picks):
            left = [unit for unit in self.units if unit not in picks]
            scores = score(picks, left)
            best = min(range(len(left)), key=scores.__getitem__)  # the first of equals
            picks.append(left[best])
            values.append(scores[best])
        return Outcome(tuple(picks), tuple(values))


def naive(search: Search) -> Outcome:
    """One forward hook, and a full forward of batch 1 for each candidate."""
    subject, z = search.subject, search.z
    donor, swapped = subject.maps(search.donor.z.to(search.device)), list[int]()

    def swap(layer: nn.Module, given: object, maps: Tensor) -> None:
        maps[:, swapped] = donor[:, swapped]

    def score(picks: list[int], left: list[int]) -> list[float]:
        scores: list[float] = []
        for unit in left:
            swapped[:] = [*picks, unit]
            scores.append(search.distance(subject.images(z)).item())
        return scores

    with hooked(subject, swap):
        return search.greedy(score)._replace(chunk=1)


def batched(search: Search, size: int) -> Outcome:
    """One forward hook, and a full forward for each batch of candidates."""
    subject, z = search.subject, search.z
    donor = subject.maps(search.donor.z.to(search.device))
    picked, units = list[int](), torch.empty(0)

    def swap(layer: nn.Module, given: object, maps: Tensor) -> None:
        maps[:, picked] = donor[:, picked]
        maps[torch.arange(len(maps), device=maps.device), units] = donor[0, units]

    def score(picks: list[int], left: list[int]) -> list[float]:
        nonlocal units
        picked[:], scores = picks, list[Tensor]()
        for units in torch.tensor(left, device=z.device).split(size):
            scores.append(search.distance(subject.images(repeated(z, len(units)))))
        values: list[float] = torch.cat(scores).tolist()
        return values

    with hooked(subject, swap):
        return search.greedy(score)._replace(chunk=size)


def repeated(sample: Tensor, n: int) -> Tensor:
    """A batch of one sample, n times over."""
    return sample.expand(n, *sample.shape[1:]).contiguous()


@contextmanager
def hooked(subject: Subject, hook: Callable[[nn.Module, object, Tensor], None]) -> Iterator[None]:
    """One hook at the subject's layer while the block lasts."""
    layer = subject.generator.module.get_submodule(subject.layer)
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def with_ganprobe(search: Search, method: Method, limit: int | None = None) -> Outcome:
    """`search_units`, with a new probe; `limit` is in bytes."""
    subject = search.subject
    found = gp.search_units(
        gp.Probe(subject.generator),
        search.latents,
        gp.Swap(subject.site, donor=search.donor),
        search.distance,
        n_units=search.n_picks,
        strategy="greedy",
        maximise=False,
        method=method,
        memory_limit=limit,
    )
    how, values = found.how, tuple(float(value) for value in found.values)
    note = f"{how.method}: {how.reason}"
    return Outcome(tuple(found.units), values, how.chunk, note, str(how.plan or ""))


def way_of(method: str) -> str:
    """The row of a method of ganprobe's."""
    return f"**ganprobe**, {method}"


class Timed(NamedTuple):
    """Seconds, of a search or of the floor; what the search found."""

    seconds: float
    outcome: Outcome | None = None


class Floor:
    """What plain torch takes to put every candidate through a step, in its quickest batch.

    Args:
        step: what every candidate must go through.
        given: what one candidate brings to it.
        once: seconds that are spent once for all candidates.
    """

    def __init__(
        self, step: Step, given: Tensor, n_candidates: int, now: Clock, once: float = 0.0
    ) -> None:
        self._n_candidates, self._now, self._once = n_candidates, now, once
        self._size = quickest(step, given, FLOOR_BATCHES, now)
        self._run = partial(step, repeated(given, self._size))
        self.macs = multiply_adds(partial(step, given))

    def __call__(self) -> Timed:
        """Seconds for all candidates."""
        each = least(self._run, self._now) / self._size
        return Timed(self._n_candidates * each + self._once)


def multiply_adds(forward: Callable[[], object]) -> int:
    """Those of a forward's convolutions and matrix products."""
    counter_of: Any = FlopCounterMode
    with counter_of(display=False) as counter:
        forward()
    total: int = counter.get_total_flops()
    return total // 2


def quickest(step: Step, sample: Tensor, sizes: Sequence[int], now: Clock) -> int:
    """The batch size at which a sample takes least time; none is tried beyond a slow one."""
    best: dict[int, float] = {}
    for size in sizes:
        run = partial(step, repeated(sample, size))
        run()
        best[size] = least(run, now) / size
        if best[size] > 1.3 * min(best.values()):
            break
    return min(best, key=best.__getitem__)


def least(run: Callable[[], object], now: Clock) -> float:
    """Seconds, the least of as many tries as fit in a tenth of a second, or of one."""
    tries: list[float] = []
    while sum(tries) < 0.1:
        start = now()
        run()
        tries.append(now() - start)
    return min(tries)


def floors(search: Search, now: Clock) -> dict[str, Floor]:
    """The floor of a replay from the site, and of one from the first linear layer after it."""
    maps, tail = search.subject.maps(search.z), search.subject.tail(search.z)
    convolved, images = tail.linear(maps), search.subject.images(search.z)
    if not torch.allclose(tail.rest(convolved), images, atol=1e-4 * images.abs().max().item()):
        raise SystemExit(f"{search.subject.name}: what comes after the site is not what was taken")
    once = least(partial(tail.linear, maps), now)
    n = search.n_candidates
    return {
        "the site": Floor(tail.whole, maps, n, now),
        "the first linear layer": Floor(tail.rest, convolved, n, now, once),
    }


class Figures:
    """What was measured for one search, round by round, and why the rest was not."""

    def __init__(self, search: Search, n_rounds: int, now: Clock) -> None:
        self.search, self.missing = search, dict[str, str]()
        self.floors = floors(search, now)
        ways = self._ways(now)
        variants: list[Callable[[], Timed]] = [partial(timed, way, now) for way in ways.values()]
        variants += self.floors.values()
        rounds = interleaved(variants, n_rounds)
        self._timed = dict(zip([*ways, *self.floors], rounds, strict=True))
        self.outcomes = {way: self._agreed(way) for way in ways}

    def seconds(self, name: str) -> list[float]:
        """Of a way or a floor, round by round."""
        return [one.seconds for one in self._timed[name]]

    def ratio(self, name: str, other: str) -> float:
        """How many times `other` `name` takes."""
        return median_ratio(self.seconds(name), self.seconds(other))

    def times_naive(self, way: str) -> str:
        """How many times as fast as the naive way, with the extremes."""
        both = zip(self.seconds(NAIVE), self.seconds(way), strict=True)
        ratios = [theirs / ours for theirs, ours in both]
        extremes = f" ({min(ratios):.2f} to {max(ratios):.2f})" if way != NAIVE else ""
        return f"{statistics.median(ratios):.2f}{extremes}"

    def _ways(self, now: Clock) -> Mapping[str, Callable[[], Outcome]]:
        """Every way that is not refused."""
        search = self.search
        size = quickest(search.subject.images, search.z, BATCHES, now)
        ways = {NAIVE: partial(naive, search), BATCHED: partial(batched, search, size)}
        for method in METHODS:
            try:
                with_ganprobe(replace(search, n_picks=1), method)  # warm, as the others are by now
                ways[way_of(method)] = partial(with_ganprobe, search, method)
            except gp.GanprobeError as error:
                if method == "auto":
                    raise
                self.missing[way_of(method)] = f"refused: {error}"
        return ways

    def _agreed(self, way: str) -> Outcome:
        """What a way found in every round, or the end if the naive way found something else."""
        wanted, *_ = self._found(NAIVE)
        for found in self._found(way):
            if found.picks != wanted.picks:
                raise SystemExit(f"{way} picks\n{found.picks}, but {NAIVE} picks\n{wanted.picks}")
            close = torch.isclose(
                torch.tensor(found.values), torch.tensor(wanted.values), rtol=1e-3
            )
            if not close.all():
                raise SystemExit(f"{way} gives\n{found.values}, but {NAIVE}\n{wanted.values}")
        return found

    def _found(self, way: str) -> list[Outcome]:
        return [one.outcome for one in self._timed[way] if one.outcome]


def timed(search: Callable[[], Outcome], now: Clock) -> Timed:
    """A search and how long it took."""
    gc.collect()
    start = now()
    outcome = search()
    return Timed(now() - start, outcome)


def clock(device: str, n_threads: int) -> Clock:
    """Seconds: of this thread where it is the only one, else on the wall."""

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    if device == "cuda":
        return synchronised
    return time.thread_time if n_threads == 1 else time.perf_counter


def print_search(figures: Figures) -> None:
    """How long each way took for one search."""
    search, subject = figures.search, figures.search.subject
    rows = [
        [
            way,
            f"{statistics.median(figures.seconds(way)):.2f}",
            figures.times_naive(way),
            str(outcome.chunk),
            outcome.note or "-",
        ]
        for way, outcome in figures.outcomes.items()
    ]
    rows += [[way, "-", "-", "-", why] for way, why in figures.missing.items()]
    title = (
        f"{subject.name}, `{subject.site}`: {search.n_picks} of {len(search.units)} units picked,"
        f" {search.n_candidates:,} candidates"
    )
    columns = ["way", "s", "times as fast as naive", "at once", "how"]
    print_table(title, columns, [[cell.replace("|", "/") for cell in row] for row in rows])
    if plan := figures.outcomes[way_of("auto")].plan:
        print(f"How it goes, chosen by itself: {plan.splitlines()[0]}.\n", flush=True)


def print_floors(cases: Mapping[str, Figures]) -> None:
    """How far ganprobe is above what the machine needs for the layers alone."""

    def row(figures: Figures, name: str) -> list[str]:
        search, floor = figures.search, figures.floors[name]
        ours, seconds = way_of("auto"), statistics.median(figures.seconds(name))
        return [
            f"{search.subject.name}, `{search.subject.layer}`",
            name,
            f"{floor.macs / 1e6:.1f}",
            f"{search.n_candidates * floor.macs / seconds / 1e9:.1f}",
            f"{seconds:.2f}",
            f"{statistics.median(figures.seconds(ours)):.2f}",
            f"{figures.ratio(ours, name):.2f}",
            f"{figures.ratio(NAIVE, name):.1f}",
        ]

    columns = ["search", "from", "million multiply-adds a candidate", "10⁹ of them a second",
               "floor, s", f"{way_of('auto')}, s", "times the floor",
               "naive, times the floor"]  # fmt: skip
    rows = [row(figures, name) for figures in cases.values() for name in figures.floors]
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
    if rows:
        print_table("Goals", ["ratio", "measured", "goal", "met"], rows)


def print_memory(keys: Sequence[str], given: argparse.Namespace) -> None:
    """How far a search raises the peak of its process, for each limit."""

    def row(key: str, limit: int | None) -> list[str]:
        figures = in_a_process(key, limit, given)
        named = "none given" if limit is None else f"{limit}"
        return [key, named, *(str(figures[name]) for name in ("method", "chunk", "rise"))]

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
    parser.add_argument("--only", choices=SUBJECTS)
    parser.add_argument("--described", type=Path, help="the JSON of a generator")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-limit", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only and given.only.startswith("described") and not given.described:
        parser.error(f"--only {given.only} needs --described FILE.json")
    return given


def subjects(given: argparse.Namespace) -> Iterator[tuple[str, Subject]]:
    """Those asked for, one after the other; of each that cannot be had, a line that says so."""
    for key in [given.only] if given.only else SUBJECTS:
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
        cases[key] = Figures(search, n_rounds, now)
        print_search(cases[key])
    return cases


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
    print_floors(cases)
    shown = MEMORY_SUBJECTS[:1] if given.quick else MEMORY_SUBJECTS
    print_memory([key for key in cases if given.only or key in shown], given)
    print_goals(cases)


if __name__ == "__main__":
    main()
