"""A dissection takes little more than its generator: one pass, exact thresholds, sparse counts.

1 000 latents of a DCGAN-64 (random weights), 128 units at 16 x 16, images of 64 x 64, five bands of
luminance as classes. Ours, from the first latent to the finished `Dissection`, against the way of
gandissect written anew: one pass for thresholds and top samples, a second that generates, segments
and counts one image at a time, each unit upsampled in full, a third for the top images. At equal
thresholds the same counts are demanded. The ways take turns; seconds are of process CPU time.

    python benchmarks/dissection.py
    python benchmarks/dissection.py --samples 200 --rounds 1    # quick
    python benchmarks/dissection.py --growth 1000 4000 16000    # time and memory, instead
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import ganprobe as gp
from hook_turns import dcgan
from machine import interleaved, print_machine

SITE, N_TOP, SHARE = "main.8", 10, 0.005
IMAGE = (64, 64)
GOAL, GOAL_BESIDE = 4.5, 1.0

Counts = NDArray[np.int64]
Domain = Literal["upsampled", "raw", "iqr"]


class Luminance(gp.Segmenter):
    """Five bands."""

    name, summary = "luminance", "five bands of luminance"
    classes = ("darkest", "dark", "middle", "light", "lightest")

    def segment(self, images: Tensor) -> Tensor:
        band = (images.mean(dim=1, keepdim=True) * 5).floor().clamp(max=4)
        return torch.arange(5.0)[:, None, None] == band


@dataclass(frozen=True, eq=False)
class Bench:
    """What is dissected."""

    probe: gp.Probe
    segmenter: gp.Segmenter
    n_samples: int

    def read(
        self, sites: str | gp.Site | Sequence[str | gp.Site], n: int, *, images: bool = False
    ) -> Iterator[gp.Run]:
        """As `Context.activations`, live."""
        return self.probe.runs(n, record=sites, batch_size=64, stop_early=not images)

    def dissected(self, domain: Domain, memory: int = 2**30) -> gp.Dissection:
        """By ganprobe."""
        settings = gp.DissectionSettings(domain=domain, share=SHARE, n_top=N_TOP, memory=memory)
        (found,) = gp.dissect(
            self.probe,
            self.segmenter,
            SITE,
            n_samples=self.n_samples,
            read=self.read,
            settings=settings,
        )
        return found

    def images_in_unit_range(self, run: gp.Run) -> Tensor:
        """As a segmenter takes them."""
        return self.probe.generator.to_unit_range(run.images)

    def generate(self) -> None:
        """The floor: images and activations, nothing else."""
        for _ in self.read(SITE, self.n_samples, images=True):
            pass

    def generate_and_segment(self) -> None:
        """The same, and masks."""
        for run in self.read(SITE, self.n_samples, images=True):
            self.segmenter(self.images_in_unit_range(run))


@dataclass(frozen=True, eq=False)
class ThreePasses:
    """The way of gandissect: what each pass needs is generated anew."""

    bench: Bench

    def levels(self) -> tuple[NDArray[np.float32], Counts]:
        """The raw levels (units,), exact, and the top samples (units, n)."""
        maps = [run[SITE] for run in self.bench.read(SITE, self.bench.n_samples)]
        kept = torch.cat(maps)
        by_unit = kept.transpose(0, 1).flatten(1).numpy()
        place = by_unit.shape[1] - 1 - int(SHARE * by_unit.shape[1])
        top = kept.amax(dim=(2, 3)).topk(min(N_TOP, len(kept)), dim=0).indices.T.numpy()
        return np.partition(by_unit, place, axis=1)[:, place], top

    def counts(
        self, levels: NDArray[np.float32], dtype: torch.dtype = torch.float32
    ) -> tuple[Counts, Counts, Counts]:
        """Active (units,), both (units, classes), area (classes,), image by image."""
        threshold = torch.from_numpy(levels)[:, None]
        active = both = area = torch.zeros((), dtype=torch.float64)
        probe, segmenter = self.bench.probe, self.bench.segmenter
        for run in probe.runs(self.bench.n_samples, record=SITE, batch_size=1):
            masks = segmenter(self.bench.images_in_unit_range(run))[0].flatten(1)
            wide = functional.interpolate(
                run[SITE].to(dtype), size=IMAGE, mode="bilinear", align_corners=False
            )
            on = (wide[0].flatten(1) > threshold).float()  # (units, pixels)
            classes = masks.float()
            active = active + on.sum(dim=1).double()
            both = both + (on @ classes.T).double()
            area = area + classes.sum(dim=1).double()
        whole = (found.numpy().astype(np.int64) for found in (active, both, area))
        return next(whole), next(whole), next(whole)

    def top_images(self, top: Counts) -> None:
        """Of all units."""
        wanted = set(top.ravel().tolist())
        for first, run in zip(
            range(0, self.bench.n_samples, 64),
            self.bench.read([], self.bench.n_samples, images=True),
            strict=True,
        ):
            kept = [row for row in range(len(run.images)) if first + row in wanted]
            self.bench.images_in_unit_range(run)[kept].clone()

    def whole(self) -> gp.Dissection | None:
        """All three."""
        levels, top = self.levels()
        self.counts(levels)
        self.top_images(top)
        return None


def main() -> None:
    """Time in turn, print a table."""
    options = _options()
    torch.set_num_threads(1)
    print_machine(1)
    if options.growth:
        _print_growth(options.growth, options.memory)
        return
    bench = Bench(_probe(), Luminance(), options.samples)
    peer = ThreePasses(bench)
    _demand_the_same(bench, peer)
    levels, top = peer.levels()
    ways: dict[str, Callable[[], object]] = {
        "generator alone": bench.generate,
        "generator and segmenter": bench.generate_and_segment,
        "**ganprobe**, `upsampled`": partial(bench.dissected, "upsampled"),
        "**ganprobe**, `raw`": partial(bench.dissected, "raw"),
        "three passes, whole": peer.whole,
        "three passes: thresholds and top samples": peer.levels,
        "three passes: counts, image by image": partial(peer.counts, levels),
        "three passes: top images": partial(peer.top_images, top),
    }
    timed = [partial(_seconds, way) for way in ways.values()]
    _print(dict(zip(ways, interleaved(timed, options.rounds), strict=True)), options)


def _demand_the_same(bench: Bench, peer: ThreePasses) -> None:
    """Equal thresholds, equal counts: all of them, with float64 in the peer, too."""
    found = bench.dissected("raw")
    levels, top = peer.levels()
    assert np.array_equal(found.threshold, levels)
    assert np.array_equal(np.sort(found.top_samples), np.sort(top))
    active, both, area = peer.counts(levels, torch.float64)
    assert np.array_equal(found.active, active)
    assert np.array_equal(found.intersection, both)
    assert np.array_equal(found.area, area)
    rounded, _, _ = peer.counts(levels)
    print(f"the same counts of {found.active.sum():,} active pixels ({found.coverage.mean():.3%} of"
          f" all); by float32 {np.abs(rounded - active).sum()} of them differ\n")  # fmt: skip


def _print(seconds: dict[str, list[float]], options: argparse.Namespace) -> None:
    print(f"{options.samples} samples, n = {options.rounds} rounds in turn\n")
    print("| way | CPU s, median | least to most | above generator and segmenter |")
    print("| --- | --- | --- | --- |")
    floor = seconds["generator and segmenter"]
    for way, found in seconds.items():
        above = statistics.median(a - b for a, b in zip(found, floor, strict=True))
        print(f"| {way} | {statistics.median(found):.2f} | {min(found):.2f} to {max(found):.2f} |"
              f" {above:.2f} |")  # fmt: skip


def _seconds(way: Callable[[], object]) -> float:
    begin = time.process_time()
    way()
    return time.process_time() - begin


def _print_growth(sizes: Sequence[int], memory: int) -> None:
    print(f"memory {memory} MiB, each size in a process of its own\n")
    print(
        "| samples | CPU s | ms a sample | passes | thresholds | coverage, % | peak memory, MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    context = multiprocessing.get_context("spawn")
    for size in sizes:
        with context.Pool(1) as pool:
            print(pool.apply(_grown, (size, memory)), flush=True)


def _grown(n: int, memory: int) -> str:
    torch.set_num_threads(1)
    bench = Bench(_probe(), Luminance(), n)
    Bench(bench.probe, bench.segmenter, 64).generate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    found = bench.dissected("upsampled", memory * 2**20)
    took = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {n} | {took:.1f} | {took / n * 1e3:.2f} | {found.passes} | {found.threshold_method} |"
        f" {100 * found.coverage.mean():.4f} | {peak:.0f} ({before:.0f} before) |"
    )


def _probe() -> gp.Probe:
    torch.manual_seed(0)
    module = dcgan().requires_grad_(False).eval()
    space = gp.LatentSpace((100, 1, 1), "normal")
    return gp.Probe(gp.Generator.from_module(module, latent=space, name="dcgan"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=[], help="numbers of samples")
    parser.add_argument("--memory", type=int, default=256, help="MiB, of --growth")
    return parser.parse_args()


if __name__ == "__main__":
    main()
