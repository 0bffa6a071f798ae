"""Claim: ``scenes`` draws places as they were painted: each class as often, within 20 %.

    python benchmarks/scenes_quality.py [--sheet FILE.png]

The segmenter that ships is scored on 2 000 held-out paintings, whose classes are known. Then it
tells how much of 5 000 generated images each class covers, against those paintings; in how many
images there is any of it; and where doors and trees are: the class right above a door, and right
below the lowest pixel of a tree. ``--sheet`` draws samples beside paintings, none left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import ganprobe
from ganprobe import Probe
from ganprobe_zoo.painter import paint
from ganprobe_zoo.scene_classes import CLASSES
from ganprobe_zoo.scenes import load_segmenter
from ganprobe_zoo.segmenters import Scenes
from ganprobe_zoo.training.scenes import HELD_OUT_SEED, held_out_ious
from machine import print_machine

N_PAINTED, N_GENERATED = 2000, 5000
SEED = 1
AIR = ("sky", "sun", "cloud")


@dataclass
class Tally:
    """What is seen in n images.

    Args:
        pixels: (classes,) of each class, and
        images: (classes,) with any of it.
        above_doors: (classes,) the pixels right above a door's, by class.
        below_trees: (classes,) the pixel below the lowest one of each image's trees, by class.
    """

    n: int
    pixels: Tensor
    images: Tensor
    above_doors: Tensor
    below_trees: Tensor

    @classmethod
    def of(cls, batches: Iterator[Tensor]) -> Tally:
        """Of batches of classes (n, 64, 64)."""
        tally = cls(0, *(torch.zeros(len(CLASSES), dtype=torch.int64) for _ in range(4)))
        for classes in batches:
            masks = classes[:, None] == torch.arange(len(CLASSES))[:, None, None]
            tally.n += len(classes)
            tally.pixels += masks.sum(dim=(0, 2, 3))
            tally.images += masks.flatten(2).any(dim=2).sum(dim=0)
            tally.above_doors += counted(above(classes, CLASSES.index("door")))
            tally.below_trees += counted(below_lowest(classes, CLASSES.index("tree")))
        return tally

    def in_the_air(self, counts: Tensor) -> float:
        return float(sum(counts[CLASSES.index(name)] for name in AIR) / counts.sum())


def counted(classes: Tensor) -> Tensor:
    return torch.bincount(classes, minlength=len(CLASSES))


def above(classes: Tensor, place: int) -> Tensor:
    """The classes of the pixels right above those of a class, but for the class itself."""
    upper = classes[:, :-1][classes[:, 1:] == place]
    return upper[upper != place]


def below_lowest(classes: Tensor, place: int) -> Tensor:
    """The class right below the lowest pixel of a class, of each image that has it."""
    found = []
    for one in classes:
        places = (one[:-1] == place).nonzero()
        if len(places):
            row, column = places[-1].tolist()
            found.append(one[row + 1, column])
    return torch.stack(found)


def generated() -> Iterator[Tensor]:
    """Classes of generated images, as the segmenter sees them."""
    scenes = ganprobe.load("scenes")
    for run in Probe(scenes).runs(N_GENERATED, seed=SEED, batch_size=250):
        yield Scenes()(scenes.to_unit_range(run.images)).int().argmax(dim=1)


def draw_sheet(path: Path, *, rows: int = 5, columns: int = 16) -> None:
    """Generated images above painted ones, the first of each."""
    scenes = ganprobe.load("scenes")
    n = rows * columns
    drawn = scenes.to_unit_range(Probe(scenes).images(scenes.sample(n, seed=SEED)))
    figure = Figure(figsize=(columns * 0.7, 2 * rows * 0.7 + 0.9), layout="constrained")
    titles = f"generated: samples 0 to {n - 1} of seed {SEED}", f"painted: 0 to {n - 1}, held out"
    for axes, images, title in zip(
        figure.subplots(2, 1), (drawn, paint(n, seed=HELD_OUT_SEED).images), titles, strict=True
    ):
        grid = (
            images.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
        )
        axes.imshow(grid, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, loc="left")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, help="also draw samples and paintings (PNG)")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print_machine(given.threads)
    ious = held_out_ious(load_segmenter(torch.device("cpu")), n=N_PAINTED)
    paintings = (paint(250, seed=HELD_OUT_SEED, start=at) for at in range(0, N_PAINTED, 250))
    painted = Tally.of(painting.classes.long() for painting in paintings)
    drawn = Tally.of(generated())
    columns = [
        "class",
        "IoU on paintings",
        "% of the pixels, painted",
        "generated",
        "ratio",
        "% of the images, painted",
        "generated",
    ]
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}")
    for place, name in enumerate(CLASSES):
        of_pixels = [float(one.pixels[place] / one.pixels.sum()) for one in (painted, drawn)]
        of_images = [float(one.images[place] / one.n) for one in (painted, drawn)]
        print(
            f"| {name} | {ious[place]:.4f} | {100 * of_pixels[0]:.2f} | {100 * of_pixels[1]:.2f} |"
            f" {of_pixels[1] / of_pixels[0]:.3f} | {100 * of_images[0]:.1f} |"
            f" {100 * of_images[1]:.1f} |"
        )
    print(f"\nmean IoU {ious.mean():.4f} on {N_PAINTED} paintings")
    print(f"{N_GENERATED} generated images, seed {SEED}")
    for name, one in (("painted", painted), ("generated", drawn)):
        print(
            f"{name}: air right above {one.in_the_air(one.above_doors):.4f} of door pixels and"
            f" below {one.in_the_air(one.below_trees):.4f} of lowest tree pixels"
        )
    if given.sheet:
        draw_sheet(given.sheet)


if __name__ == "__main__":
    main()
