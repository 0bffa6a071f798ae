"""What the Jacobian of a DCGAN-64 costs: all 100 latent dimensions at some samples.

    python3 benchmarks/sensitivity.py [--samples 16] [--rounds 3] [--threads 1]

In forward mode by `ganprobe.jvp_images`, directions sharing the forward of their sample or not, and
by hand one direction at a time; by one pass of finite differences, by `ganprobe.difference_images`
and by hand in the batch size that is quickest; by central differences, which come as near to the
derivative as float32 lets them. All ways in turn, CPU time of the process, medians. Each must give
the same Jacobian. Reverse mode would take a backward pass for each of 12 288 numbers of an image.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import ganprobe as gp
from hook_turns import dcgan
from machine import interleaved, median_ratio, print_machine

N_DIMENSIONS = 100
BATCHES = (16, 32, 64, 128)
SHARED = "`jvp_images`, forwards shared"
REPEATED = "`jvp_images`, samples repeated"
ONE_BY_ONE = "forward mode by hand, a direction at a time"
STEPS = "`difference_images`"
BY_HAND = "finite differences by hand, batches of {}"
CENTRAL = "`difference_images`, central"

Way = Callable[[], Tensor]


def ways(space: gp.Space, latents: gp.Latents) -> dict[str, Way]:
    """Each gives (dimension, sample, channel, y, x), the change of the image in unit range."""
    points, directions = space.points(latents), space.along(torch.eye(N_DIMENSIONS))
    module = space.probe.generator.module
    given = (space, points, latents, directions)
    step = gp.small_step(points.dtype)

    def jvp(sharing: str) -> Tensor:
        return gp.gather_changes(gp.jvp_images(*given, sharing=sharing))  # type: ignore[arg-type]

    def difference(is_central: bool) -> Tensor:
        blocks = gp.difference_images(*given, step=step, is_central=is_central)
        return gp.gather_changes(blocks)

    def one_by_one() -> Tensor:
        rows = [
            torch.func.jvp(module, (points,), (one.expand_as(points).contiguous(),))[1]
            for one in directions
        ]
        return torch.stack(rows) / 2

    def by_hand(size: int) -> Tensor:
        moved = (points + step * directions.unsqueeze(1)).flatten(0, 1)
        images = torch.cat([module(part) for part in moved.split(size)])
        rows = images.unflatten(0, (N_DIMENSIONS, len(points)))
        changes: Tensor = (rows - module(points)) / (2 * step)
        return changes

    return {
        SHARED: partial(jvp, "shared"),
        REPEATED: partial(jvp, "repeated"),
        ONE_BY_ONE: one_by_one,
        STEPS: partial(difference, False),
        CENTRAL: partial(difference, True),
        **{BY_HAND.format(size): partial(by_hand, size) for size in BATCHES},
    }


def timed(way: Way) -> float:
    """Seconds of CPU time."""
    started = time.process_time()
    way()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print_machine(options.threads)
    space, latents = subject(options.samples)
    with torch.no_grad():
        report(ways(space, latents), options.rounds)


def subject(n_samples: int) -> tuple[gp.Space, gp.Latents]:
    """z of a DCGAN-64 with random weights that fill the range of its images."""
    torch.manual_seed(0)
    module = dcgan().eval().requires_grad_(False)
    for layer in module.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(layer.weight, 0.0, 0.06)
    generator = gp.Generator.from_module(module, latent=(N_DIMENSIONS, 1, 1), name="DCGAN-64")
    return gp.Space.of(gp.Probe(generator), "z"), generator.sample(n_samples)


def report(tried: dict[str, Way], n_rounds: int) -> None:
    """A warm-up that compares the results, then the table."""
    exact = tried[SHARED]()
    apart = {name: float((way() - exact).norm() / exact.norm()) for name, way in tried.items()}
    assert max(apart.values()) < 0.05, apart
    figures = interleaved([partial(timed, way) for way in tried.values()], n_rounds)
    seconds = dict(zip(tried, figures, strict=True))
    best = min((BY_HAND.format(size) for size in BATCHES),
               key=lambda name: statistics.median(seconds[name]))  # fmt: skip
    print(f"| way | s | times {best} | from the derivative |")
    print("| --- | --- | --- | --- |")
    for name, spent in seconds.items():
        ratio = median_ratio(spent, seconds[best])
        print(f"| {name} | {statistics.median(spent):.2f} | {ratio:.2f} | {apart[name]:.1e} |")


if __name__ == "__main__":
    main()
