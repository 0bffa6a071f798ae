"""Claim: ``digits`` draws digits: at least 0.90 confident, each class between 5 and 16 %.

    python benchmarks/digits_quality.py --mnist FOLDER [--peer FILE.json] [--weights FILE ...]

Judged by the shipped classifier on 10 000 samples: the share with a best class above 0.9, the
share of each class, and the Fréchet distance of the classifier's features to those of MNIST's
10 000 test images. ``--peer`` judges another generator in the same run, described as
`described.py` says. ``--weights`` judges other weights of `digits`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor

from described import read_described
from ganprobe import Generator, Probe
from ganprobe_zoo.digits import load_classifier
from ganprobe_zoo.networks import DigitsGenerator
from ganprobe_zoo.training.mnist import read_mnist
from ganprobe_zoo.training.quality import Judged, frechet_distance, judge
from ganprobe_zoo.weights_folder import WEIGHTS
from machine import print_machine

N_SAMPLES = 10_000
SEED = 1


def read_digits(weights: Path) -> Generator:
    """A generator of the shape of ``digits`` from its weights."""
    state = load_file(weights)
    module = DigitsGenerator(state["fc1.linear.weight"].shape[1])
    module.load_state_dict(state)
    return Generator.from_module(module.eval(), latent=module.latent_size, name="digits")


def images_of(generator: Generator) -> Iterator[Tensor]:
    for run in Probe(generator).runs(N_SAMPLES, seed=SEED, batch_size=500):
        yield run.images


def row(name: str, judged: Judged, real: Judged) -> str:
    shares = ", ".join(f"{100 * share:.1f}" for share in judged.class_shares.tolist())
    distance = frechet_distance(judged.features, real.features)
    return f"| {name} | {judged.confident_share:.4f} | {shares} | {distance:.3f} |"


def draw_samples(generator: Generator, path: Path, *, rows: int = 8, columns: int = 20) -> None:
    """A sheet of the first samples of the seed, none left out."""
    latents = generator.sample(rows * columns, seed=SEED)
    images = generator.to_unit_range(Probe(generator).images(latents))[:, 0]
    height, width = images.shape[1:]
    sheet = images.view(rows, columns, height, width).transpose(1, 2).reshape(rows * height, -1)
    figure = Figure(figsize=(columns * 0.5, rows * 0.5 + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0))
    axes.set_xticks([])
    axes.set_yticks([row + 0.5 for row in range(rows)], [str(row * columns) for row in range(rows)])
    axes.set_ylabel("index of the row's first sample")
    axes.set_title(
        f"{generator.name}: samples 0 to {rows * columns - 1} of seed {SEED}", loc="left"
    )
    axes.tick_params(length=0)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True, help="folder of the IDX files")
    parser.add_argument("--peer", type=Path, help="JSON of another generator of digits")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="other weights")
    parser.add_argument("--sheet", type=Path, help="also draw the first samples of digits (PNG)")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print_machine(given.threads)
    classifier = load_classifier(torch.device("cpu"))
    test = read_mnist(given.mnist, "test")
    real = judge(classifier, test.images().split(500))
    right = (real.probabilities.argmax(dim=1) == test.labels).double().mean()
    print(f"classifier: {right:.4f} right on the {len(test)} test images\n")
    print("| images | confident (p > 0.9) | share of classes 0 to 9, % | Fréchet distance |")
    print("| --- | --- | --- | --- |")
    train = judge(classifier, read_mnist(given.mnist, "train").images(slice(N_SAMPLES)).split(500))
    print(row("MNIST, first 10 000 training images", train, real))
    generators = {"`digits`": read_digits(WEIGHTS / "digits-generator.safetensors")}
    if given.peer:
        generators[f"`{given.peer.stem}`"] = read_described(given.peer)
    for weights in given.weights:
        generators[f"{weights.parent.name}/{weights.name}"] = read_digits(weights)
    for name, generator in generators.items():
        print(row(name, judge(classifier, images_of(generator)), real), flush=True)
    if given.sheet:
        draw_samples(generators["`digits`"], given.sheet)
    print(f"\nn = {N_SAMPLES} samples of each generator, seed {SEED}, eval mode")


if __name__ == "__main__":
    main()
