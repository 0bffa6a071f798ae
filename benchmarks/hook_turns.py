"""Turns of `hook_overhead.py`: who runs what, one block of forwards between two of a reference."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hook_peers import BARE, BY_HAND, BY_HAND_EACH, CONTENDERS, SESSION_EACH, Task, Way, bare

N_LAYERS = 40
SITES = ("main.2", "main.5", "main.8", "main.11")


class Case(NamedTuple):
    """A module and a batch size."""

    subject: str
    batch: int


class Cell(NamedTuple):
    """Where a figure stands: a way's row and a task's column."""

    way: str
    task: str


class Timed(NamedTuple):
    """Nanoseconds of one forward, and of two others beside it: the bare one and the reference."""

    forward: float
    bare: float
    reference: float


Turn = Mapping[Cell, Timed]


def mlp() -> nn.Module:
    """Forty linear layers of width 32, ``0`` to ``39``."""
    return nn.Sequential(*[nn.Linear(32, 32) for _ in range(N_LAYERS)])


def dcgan() -> nn.Module:
    """The DCGAN-64 generator: latents (n, 100, 1, 1) to images (n, 3, 64, 64)."""
    sizes, layers = (100, 512, 256, 128, 64, 3), list[nn.Module]()
    for before, after in pairwise(sizes):
        stride, padding = (1, 0) if before == 100 else (2, 1)
        layers.append(nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False))
        layers += [nn.Tanh()] if after == 3 else [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(OrderedDict(main=nn.Sequential(*layers)))


def tasks(case: Case, module: nn.Module) -> list[Task]:
    """What is done with this module at this batch size."""
    shape = (32,) if case.subject == "mlp" else (100, 1, 1)
    device = next(module.parameters()).device
    latents, donor_latents = torch.randn(2, case.batch, *shape).to(device)
    task = partial(Task, module=module, latents=latents, donor_latents=donor_latents)
    if case.subject == "mlp":
        names = tuple(str(number) for number in range(N_LAYERS))
        return [task(name="record 40", sites=names, image_shape=(1, 4, 8))]
    site = ("main.5",)
    donor = in_sequence(Task("donor", module, donor_latents, latents, site))["main.5"]
    return [
        task(name="record 1", sites=site),
        task(name="record 4", sites=SITES),
        task(name="ablate 20", sites=site, edit="ablate", n_units=20),
        task(name="swap 25", sites=site, edit="swap", n_units=25, replacement=donor[:, :25]),
    ]


def in_sequence(task: Task) -> Mapping[str, Tensor]:
    """The outcome of a task without hooks: its layers called one after the other."""
    parent = task.sites[0].rpartition(".")[0]
    recorded, activation, edited = dict[str, Tensor](), task.latents, task.edited()
    for name, layer in task.module.get_submodule(parent).named_children():
        site = f"{parent}.{name}".lstrip(".")
        activation = layer(activation)
        if site in task.sites:
            activation = edited(activation) if task.edit else activation
            recorded[site] = activation.clone()
    return task.outcome(activation, recorded)


def check(outcome: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless a way gave what it should: only what is done is timed."""
    for key, wanted in expected.items():
        given = outcome[key]
        if given.shape != wanted.shape or (given - wanted).abs().max() > 1e-4 * wanted.abs().max():
            raise ValueError(f"{key} is not what the layers give")


class Bench:
    """The ways of some contenders for one case, each checked; `missing` says why one is not there.

    A turn of it times a block of each way between two blocks of a reference: hooks by hand where
    ganprobe is measured, else the bare forward.
    """

    def __init__(self, names: Sequence[str], case: Case, device: str, n_forwards: int) -> None:
        torch.manual_seed(0)
        module = (mlp() if case.subject == "mlp" else dcgan()).eval().to(device)
        self._device, self._n_forwards, self._n_turns = device, n_forwards, 0
        self._reference = BY_HAND if "by hand" in names else BARE
        self._ways: dict[str, dict[str, Way]] = {}
        self.missing: dict[Cell, str] = {}
        for task in tasks(case, module):
            self._ways[task.name] = {BARE: bare(task)}
            for name in names:
                self._add(name, task)
            for way in (BY_HAND_EACH, SESSION_EACH) if case.subject == "dcgan" else ():
                self._ways[task.name].pop(way, None)

    def turn(self) -> Turn:
        """What a forward took: for every task, every way."""
        self._n_turns += 1
        turn: dict[Cell, Timed] = {}
        for task, ways in self._ways.items():
            pairs = self._between_references(ways)
            bare, beside = pairs.pop(BARE, (1.0, 1.0))
            if self._reference != BARE:
                turn[Cell(self._reference, task)] = Timed(beside, bare, beside)
            for way, (took, reference) in pairs.items():
                turn[Cell(way, task)] = Timed(took, reference * bare / beside, reference)
        return turn

    def _add(self, name: str, task: Task) -> None:
        try:
            for way in CONTENDERS[name](task):
                with way.opened() as forward:
                    returned = forward()
                check(way.read(returned), in_sequence(task))
                self._ways[task.name][way.name] = way
        except Exception as error:
            self.missing[Cell(name, task.name)] = _reason(error)

    def _between_references(self, ways: Mapping[str, Way]) -> dict[str, tuple[float, float]]:
        """Way -> what its forward took, and the mean of the references before and after it."""
        reference, names = ways[self._reference], [way for way in ways if way != self._reference]
        first = self._n_turns % max(1, len(names))  # each way comes first in its turn
        self._block(reference)
        before = self._block(reference)
        pairs: dict[str, tuple[float, float]] = {}
        for name in names[first:] + names[:first]:
            took, after = self._block(ways[name]), self._block(reference)
            pairs[name] = took, (before + after) / 2
            before = after
        return {name: pairs[name] for name in names}

    def _block(self, way: Way) -> float:
        n_forwards = 1 if way.is_slow else self._n_forwards
        with way.opened() as forward:
            start = self._now()
            for _ in range(n_forwards):
                forward()
            return (self._now() - start) / n_forwards

    def _now(self) -> int:
        if self._device == "cpu":
            return time.thread_time_ns()
        torch.cuda.synchronize()
        return time.perf_counter_ns()


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"not installed ({error.name})"
    said = f"failed: {type(error).__name__}: {error}".splitlines()[0]
    return said[:120].replace("|", "/")


def serve(
    names: Sequence[str], cases: Mapping[Case, int], device: str, connection: Connection
) -> None:
    """A worker's life: make the benches, say what is missing, then take the turns asked for."""
    torch.set_num_threads(1)
    with torch.no_grad():
        benches = {case: Bench(names, case, device, n) for case, n in cases.items()}
        gc.collect()
        gc.freeze()  # what is there by now is not searched again while a way is timed
        connection.send({case: bench.missing for case, bench in benches.items()})
        while case := connection.recv():
            connection.send(benches[case].turn())
        gc.unfreeze()


class Worker:
    """A process that times some contenders.

    Args:
        names: of the contenders.
        cases: case -> the number of forwards in a block.
    """

    def __init__(self, names: Sequence[str], cases: Mapping[Case, int], device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(names, cases, device, theirs))
        self._process.start()
        theirs.close()
        self.missing: Mapping[Case, Mapping[Cell, str]] = self._connection.recv()

    def turn(self, case: Case) -> Turn:
        """What a forward took, for every way of this case."""
        self._connection.send(case)
        turn: Turn = self._connection.recv()
        return turn

    def close(self) -> None:
        """End the process."""
        self._connection.send(None)
        self._process.join()
