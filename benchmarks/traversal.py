"""A traversal makes images at nearly the rate at which its generator can make them.

All dimensions of a DCGAN-64 with 100 uniform latents, 16 base samples, 9 steps: `ganprobe run
traversal` up to its numbers and the images of its figures, without drawing them, against a bare
loop of the module over ready latents under `torch.no_grad`, at the batch size that is fastest for
it. The ways take turns; rates are of process CPU time with one thread, which other work on the
machine disturbs least, else of wall time.

    python benchmarks/traversal.py
    python benchmarks/traversal.py --dims 10 --rounds 1    # quick
    python benchmarks/traversal.py --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

import ganprobe as gp
from ganprobe_traversal import TraversalParams
from ganprobe_traversal.plan import Plan, plan_walks
from ganprobe_traversal.walk import batch_size, take_walks
from hook_turns import dcgan
from machine import interleaved, median_ratio, print_machine

N_BASES, N_STEPS, N_DIMS = 16, 9, 100
SIZES = {"cpu": (8, 16, 32, 64, 128), "cuda": (32, 64, 128, 256, 512)}
GOAL = 0.9


@dataclass(frozen=True, eq=False)
class Bench:
    """What is timed, and by which clock.

    Args:
        n_bare: images of one bare loop.
    """

    generator: gp.Generator
    device: str
    n_dims: int
    n_bare: int
    clock: Callable[[], float]

    def now(self) -> float:
        """Seconds, when all that was asked of the device is done."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        return self.clock()

    def bare(self, size: int) -> float:
        """Images a second of the module alone, in batches of this size."""
        latents = self.generator.sample(self.n_bare, seed=1).z.to(self.device)
        with torch.no_grad():
            begin = self.now()
            for batch in latents.split(size):
                self.generator.module(batch)
            return self.n_bare / (self.now() - begin)

    def walked(self, measures: Sequence[str]) -> float:
        """Images a second of the walks, of those that were asked for."""
        plan = self.plan(measures)
        begin = self.now()
        take_walks(plan)
        n_images = self.n_dims * N_BASES * N_STEPS
        return n_images / (self.now() - begin)

    def plan(self, measures: Sequence[str]) -> Plan:
        """Of all dimensions."""
        params = TraversalParams(
            dims=tuple(range(self.n_dims)), bases=N_BASES, steps=N_STEPS, measure=tuple(measures)
        )
        probe = gp.Probe(self.generator, device=self.device)
        return plan_walks(gp.Context(probe, 0, gp.find_measure), params)


def main() -> None:
    """Time in turn, print a table."""
    options = _options()
    torch.set_num_threads(options.threads)
    print_machine(options.threads)
    bench = Bench(
        _generator(options.device),
        options.device,
        options.dims,
        options.images,
        time.process_time
        if options.threads == 1 and options.device == "cpu"
        else time.perf_counter,
    )
    sizes = SIZES["cpu" if options.device == "cpu" else "cuda"]
    ours: dict[str, Callable[[], float]] = {
        "**ganprobe**, effects": partial(bench.walked, ["none"]),
        "**ganprobe**, effects and `appearance`": partial(bench.walked, ["appearance"]),
    }
    bare: dict[str, Callable[[], float]] = {
        f"bare loop, batches of {size}": partial(bench.bare, size) for size in sizes
    }
    bench.bare(sizes[-1])
    ways = bare | ours
    rates = dict(zip(ways, interleaved(list(ways.values()), options.rounds), strict=True))
    _print(rates, max(bare, key=lambda way: statistics.median(rates[way])), bench, options.rounds)


def _print(rates: dict[str, list[float]], best: str, bench: Bench, n_rounds: int) -> None:
    size = batch_size(bench.plan(["none"]).context.probe)
    n_images = bench.n_dims * N_BASES * N_STEPS
    print(f"{n_images} images a walk in forwards of {size}, {bench.n_bare} a bare loop, n ="
          f" {n_rounds} rounds; goal: {GOAL} of the best bare loop\n")  # fmt: skip
    print("| way | images/s | least to most | times the best bare loop |")
    print("| --- | --- | --- | --- |")
    for way, found in rates.items():
        ratio = median_ratio(found, rates[best])
        print(f"| {way} | {statistics.median(found):.0f} | {min(found):.0f} to {max(found):.0f} |"
              f" {ratio:.3f} |")  # fmt: skip


def _generator(device: str) -> gp.Generator:
    torch.manual_seed(0)
    module: nn.Module = dcgan().requires_grad_(False).eval().to(device)
    space = gp.LatentSpace((100, 1, 1), "uniform")
    return gp.Generator.from_module(module, latent=space, name="dcgan")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dims", type=int, default=N_DIMS, help="of the 100 that there are")
    parser.add_argument("--images", type=int, default=2048, help="of a bare loop")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
