"""Claim: ganprobe's hooks cost little more than hooks by hand, and a quarter of a peer's at most.

    python benchmarks/hook_overhead.py [--rounds 30] [--forwards 20] [--device cpu]
                                       [--only mlp|dcgan] [--skip-peers]

Two modules, at batch 1 and 16, without gradients. Forty linear layers of width 32, all recorded:
what one hooked call adds to the bare forward. A DCGAN-64 generator, where one or four sites are
recorded, 20 units ablated, or 25 swapped with a donor's: the whole forward, times the bare one.

ganprobe, hooks by hand and the bare forward run in one process, each peer in one of its own with
its own bare forward, so that nobody feels what another leaves behind. The processes take turns,
one at a time, ours before each peer's; in a turn each way runs a short block of forwards between
two blocks of what it is compared with, and a figure is the median over the turns. On CPU it is
thread CPU time on one thread, on CUDA wall time of a synchronised block. Before the first round,
each way must give what the layers give when they run one after the other without any hook.

The peers come with ``pip install -e '.[bench]'``; one that is not there says so in its row.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch

from hook_peers import BY_HAND, BY_HAND_EACH, PEERS, RUN_EACH, SESSION, SESSION_EACH
from hook_turns import N_LAYERS, Case, Cell, Timed, Worker
from machine import interleaved, print_machine

BATCHES = (1, 16)
RIVALS = ("nnsight", "captum", "pyvene")
WITHIN = {1: 1.03, 16: 1.01}


class Figures:
    """What was measured for one case, turn by turn, and why the rest was not.

    In a round our worker has a turn before that of each peer. `bare` is the median of its bare
    forward in nanoseconds.
    """

    def __init__(self, workers: Sequence[Worker], case: Case, n_rounds: int) -> None:
        ours, *peers = workers
        order = [worker for peer in peers for worker in (ours, peer)] or [ours]
        self._timed: dict[Cell, list[Timed]] = {}
        for turns in interleaved([partial(worker.turn, case) for worker in order], n_rounds):
            for cell in turns[0]:
                self._timed.setdefault(cell, []).extend(turn[cell] for turn in turns)
        self._missing = {cell: why for one in workers for cell, why in one.missing[case].items()}
        self.bare = statistics.median(one.bare for one in next(iter(self._timed.values())))

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._timed

    @property
    def cells(self) -> list[Cell]:
        """Every way and task, the missing ones last."""
        return [*self._timed, *self._missing]

    def why_missing(self, cell: Cell) -> str:
        """A reason, or a dash for what a way does not offer."""
        return self._missing.get(cell, "-")

    def times_bare(self, cell: Cell) -> list[float]:
        """A forward, times the bare one."""
        return [one.forward / one.bare for one in self._timed[cell]]

    def times_by_hand(self, cell: Cell) -> list[float]:
        """A forward of ganprobe's, times the one with hooks by hand."""
        return [one.forward / one.reference for one in self._timed[cell]]

    def added(self, cell: Cell) -> float:
        """Microseconds that each of the forty hooked calls adds to the bare forward."""
        return (statistics.median(self.times_bare(cell)) - 1) * self.bare / N_LAYERS / 1e3


class Goal(NamedTuple):
    """A ratio that is at most, or at least, its limit."""

    claim: str
    ratio: float
    limit: float
    is_floor: bool = False

    def cells(self) -> list[str]:
        """Its row."""
        is_met = self.ratio >= self.limit if self.is_floor else self.ratio <= self.limit
        bound = "at least" if self.is_floor else "at most"
        met = "yes" if is_met else "**no**"
        return [self.claim, f"{self.ratio:.3f}", f"{bound} {self.limit:g}", met]


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A heading and a Markdown table."""
    print(f"### {title}\n")
    for cells in (columns, ["---"] * len(columns), *rows):
        print(f"| {' | '.join(cells)} |")
    print()


def print_mlp(batches: Mapping[int, Figures]) -> None:
    """What a hooked call adds, and how many times what it adds by hand."""

    def row(cell: Cell) -> Iterator[str]:
        yield cell.way
        for figures in batches.values():
            if cell in figures:
                added, by_hand = figures.added(cell), figures.added(Cell(BY_HAND, cell.task))
                yield from (f"{added:.2f}", f"{added / by_hand:.2f}")
            else:
                yield from (figures.why_missing(cell), "-")

    cells = dict.fromkeys(cell for figures in batches.values() for cell in figures.cells)
    columns = [text for batch in batches for text in (f"batch {batch}, µs", "times by hand")]
    title = "Forty linear layers, all recorded: what a hooked call adds to the bare forward"
    print_table(title, ["way", *columns], [list(row(cell)) for cell in cells])


def print_dcgan(batch: int, figures: Figures) -> None:
    """A whole forward, times the bare one; for ganprobe also times the one hooked by hand."""
    tasks = list(dict.fromkeys(cell.task for cell in figures.cells))
    ways = dict.fromkeys(cell.way for cell in figures.cells)

    def of_bare(cell: Cell) -> str:
        if cell not in figures:
            return figures.why_missing(cell)
        return f"{statistics.median(figures.times_bare(cell)):.3f}"

    def of_hand(cell: Cell) -> str:
        if cell not in figures:
            return figures.why_missing(cell)
        low, middle, high = statistics.quantiles(figures.times_by_hand(cell), n=4)
        return f"{middle:.3f} ({low:.2f} to {high:.2f})"

    title = f"DCGAN-64, batch {batch}: the forward, times"
    rows = [[way, *(of_bare(Cell(way, task)) for task in tasks)] for way in ways]
    print_table(f"{title} the bare one ({figures.bare / 1e6:.1f} ms)", ["way", *tasks], rows)
    rows = [[way, *(of_hand(Cell(way, task)) for task in tasks)] for way in (SESSION, RUN_EACH)]
    print_table(f"{title} the one with {BY_HAND} (and quartiles)", ["way", *tasks], rows)


def goals(case: Case, figures: Figures) -> list[Goal]:
    """What it may cost; nothing where ganprobe was not measured."""
    if any(Cell(SESSION, task) not in figures for task in {cell.task for cell in figures.cells}):
        return []
    return list((mlp_goals if case.subject == "mlp" else dcgan_goals)(case.batch, figures))


def mlp_goals(batch: int, figures: Figures) -> Iterator[Goal]:
    """How much a hooked call may add."""
    added = {cell.way: figures.added(cell) for cell in figures.cells if cell in figures}
    claim = f"batch {batch}, a hooked call"
    for way, other, limit in (
        (SESSION, BY_HAND, 2.0),
        (SESSION_EACH, BY_HAND_EACH, 1.4),
        (RUN_EACH, BY_HAND_EACH, 1.4),
    ):
        yield Goal(f"{claim}: {way} / {other}", added[way] / added[other], limit)
    rivals = {way: cost for way, cost in added.items() if way.startswith(RIVALS)}
    if rivals:
        cheapest, cost = min(rivals.items(), key=lambda item: item[1])
        ratio = cost / added[SESSION]
        yield Goal(f"{claim}: {cheapest} / {SESSION}", ratio, 4.0, is_floor=True)


def dcgan_goals(batch: int, figures: Figures) -> Iterator[Goal]:
    """How much a whole forward may take, the worst of the tasks."""
    for way in (SESSION, RUN_EACH):
        cells = [cell for cell in figures.cells if cell.way == way]
        worst = max(cells, key=lambda cell: statistics.median(figures.times_by_hand(cell)))
        claim = f"batch {batch}, DCGAN-64, worst ({worst.task}): {way} / {BY_HAND}"
        yield Goal(claim, statistics.median(figures.times_by_hand(worst)), WITHIN[batch])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--forwards", type=int, default=20, help="in a block, of the MLP")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", choices=["mlp", "dcgan"])
    parser.add_argument("--skip-peers", action="store_true")
    return parser.parse_args()


def block_sizes(given: argparse.Namespace) -> dict[Case, int]:
    """Every case, with fewer forwards in a block where each takes long."""
    share = {Case("mlp", 1): 1, Case("mlp", 16): 1, Case("dcgan", 1): 4, Case("dcgan", 16): 20}
    return {
        case: given.forwards if given.device == "cuda" else max(1, given.forwards // part)
        for case, part in share.items()
        if given.only in (None, case.subject)
    }


def main() -> None:
    given = arguments()
    print_machine(1, peers=() if given.skip_peers else PEERS)
    if given.device == "cuda":
        print(f"on {torch.cuda.get_device_name()}, wall time\n")
    cases = block_sizes(given)
    blocks = ", ".join(f"{n} ({case.subject}, batch {case.batch})" for case, n in cases.items())
    print(f"n = {given.rounds} rounds; forwards in a block: {blocks}\n")
    peers = [] if given.skip_peers else [[name] for name in PEERS]
    workers = [Worker(names, cases, given.device) for names in (["by hand", "ganprobe"], *peers)]
    figures = {case: Figures(workers, case, given.rounds) for case in cases}
    for worker in workers:
        worker.close()
    if given.only != "dcgan":
        print_mlp({batch: figures[Case("mlp", batch)] for batch in BATCHES})
    if given.only != "mlp":
        for batch in BATCHES:
            print_dcgan(batch, figures[Case("dcgan", batch)])
    rows = [goal.cells() for case, one in figures.items() for goal in goals(case, one)]
    print_table("Goals", ["ratio", "measured", "goal", "met"], rows)


if __name__ == "__main__":
    main()
