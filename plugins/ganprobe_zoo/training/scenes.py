"""Train ``scenes``: the segmenter and the generator with its discriminator, on painted places.

    python -m ganprobe_zoo.training.scenes segmenter --output WEIGHTS
    python -m ganprobe_zoo.training.scenes gan --output WEIGHTS

Nothing is read: the painter makes what they learn from. On two cores with bfloat16 units the
segmenter takes about three minutes and the generator two and a half an epoch; it writes a
checkpoint after each and goes on from it. Seeded: the same machine, versions and thread count give
the same weights.

The weights that ship come of 5 epochs of the command as it stands, then of ``--threads 1 gan
--epochs 12``, which went on from the checkpoint with the rates of its shorter schedule.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from ..networks import initialise
from ..painter import paint
from ..scene_classes import CLASSES
from ..scene_networks import LATENT_SIZE, ScenesDiscriminator, ScenesGenerator, ScenesSegmenter
from .adversarial import Game, descend, weights

_FOLDER = click.Path(file_okay=False, path_type=Path)
HELD_OUT_SEED = 1_000_003  # paintings that nothing is trained on


@click.group(help="Train the networks behind 'scenes' on painted places.")
@click.option("--threads", default=2, show_default=True, help="CPU threads to train with.")
def main(threads: int) -> None:
    torch.set_num_threads(threads)


@main.command(name="segmenter", help="Train the segmenter; prints its IoU on held-out paintings.")
@click.option("--output", type=_FOLDER, required=True, help="Where the weights go.")
@click.option("--paintings", default=20_000, show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--seed", default=0, show_default=True)
def train_segmenter(output: Path, paintings: int, epochs: int, batch_size: int, seed: int) -> None:
    torch.manual_seed(seed)
    examples = _Paintings.of(paintings, seed=seed)
    segmenter = ScenesSegmenter().to(memory_format=torch.channels_last)
    steps = epochs * (paintings // batch_size)
    optimiser = torch.optim.AdamW(segmenter.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for epoch in range(epochs):
        segmenter.train()
        batches = examples.shuffled(batch_size)
        for images, classes in track(batches, f"epoch {epoch + 1}", steps // epochs):
            seen = _disturbed(images).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = segmenter(seen)
            descend(functional.cross_entropy(logits.float(), classes.long()), optimiser)
            schedule.step()
        ious = held_out_ious(segmenter)
        click.echo(f"epoch {epoch + 1}: mean IoU {float(ious.mean()):.4f}")
    for name, iou in zip(CLASSES, ious.tolist(), strict=True):
        click.echo(f"  {name}: {iou:.4f}")
    output.mkdir(parents=True, exist_ok=True)
    save_file(weights(segmenter), output / "scenes-segmenter.safetensors")


@main.command(name="gan", help="Train generator and discriminator; prints quality each epoch.")
@click.option("--output", type=_FOLDER, required=True, help="Weights; also the segmenter's.")
@click.option("--paintings", default=40_000, show_default=True)
@click.option("--epochs", default=24, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--seed", default=0, show_default=True)
def train_gan(output: Path, paintings: int, epochs: int, batch_size: int, seed: int) -> None:
    torch.manual_seed(seed)
    output.mkdir(parents=True, exist_ok=True)
    examples = _Paintings.of(paintings, seed=seed)
    n_batches = paintings // batch_size
    game = _Game.start(steps=epochs * n_batches, seed=seed)
    checkpoint = output / "scenes-gan.checkpoint.pt"
    for epoch in range(game.resume(checkpoint), epochs):
        batches = examples.shuffled(batch_size)
        losses = [
            game.step(images) for images, _ in track(batches, f"epoch {epoch + 1}", n_batches)
        ]
        game.save(checkpoint, epoch + 1)
        generator = game.averaged_generator()
        save_file(weights(generator), output / "scenes-generator.safetensors")
        measure_usual_spread(game.discriminator, examples)
        save_file(weights(game.discriminator), output / "scenes-discriminator.safetensors")
        means = [round(value, 3) for value in torch.tensor(losses).mean(dim=0).tolist()]
        figures = {"epoch": epoch + 1, "loss_discriminator": means[0], "loss_generator": means[1]}
        figures |= _class_frequencies(generator, output / "scenes-segmenter.safetensors")
        click.echo(json.dumps(figures))
        with (output / "scenes-gan.log.jsonl").open("a") as lines:
            lines.write(json.dumps(figures) + "\n")


class _Game(Game[ScenesGenerator, ScenesDiscriminator]):
    """Places generated against painted ones."""

    rate, last_rate = 4e-4, 0.05

    @classmethod
    def start(cls, *, steps: int, seed: int) -> _Game:
        source = torch.Generator().manual_seed(seed)
        generator, discriminator = ScenesGenerator(), ScenesDiscriminator()
        initialise(generator, source)
        initialise(discriminator, source)
        return cls(latent_size=LATENT_SIZE, steps=steps, **cls.players(generator, discriminator))

    def step(self, real: Tensor) -> tuple[float, float]:
        """Play one round on a batch of real images; discriminator's and generator's loss."""
        self.set_rates()
        real = real.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            fake = self.generator(torch.randn(len(real), LATENT_SIZE))
            on_real = self.discriminator(real).float()
            on_fake = self.discriminator(fake.detach()).float()
        loss_discriminator = functional.softplus(-on_real).mean()
        loss_discriminator = loss_discriminator + functional.softplus(on_fake).mean()
        descend(loss_discriminator + self.penalty(real), self.discriminator_optimiser)
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.discriminator(fake).float()
        loss_generator = functional.softplus(-scores).mean()
        descend(loss_generator, self.generator_optimiser)
        self.discriminator.requires_grad_(True)
        self.end_round()
        return loss_discriminator.item(), loss_generator.item()


@torch.no_grad()
def measure_usual_spread(discriminator: ScenesDiscriminator, examples: _Paintings) -> None:
    """Keep how much paintings differ, so that the score of an image alone is like in training."""
    spreads = [
        discriminator.spread(discriminator.maps(images.float() / 127.5 - 1)).mean()
        for images in examples.images[:1280].split(64)
    ]
    discriminator.usual_spread.copy_(torch.stack(spreads).mean())


@dataclass(frozen=True)
class _Paintings:
    """n paintings: `images` (n, 3, 64, 64) and `classes` (n, 64, 64), uint8."""

    images: Tensor
    classes: Tensor

    @classmethod
    def of(cls, n: int, *, seed: int) -> _Paintings:
        step = 1000
        images = torch.empty(n, 3, 64, 64, dtype=torch.uint8)
        classes = torch.empty(n, 64, 64, dtype=torch.uint8)
        for start in track(range(0, n, step), "painting"):
            painting = paint(min(step, n - start), seed=seed, start=start)
            images[start : start + step] = (painting.images * 255).round().to(torch.uint8)
            classes[start : start + step] = painting.classes
        return cls(images, classes)

    def shuffled(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images in [-1, 1], half of them mirrored, and of their classes."""
        for indices in torch.randperm(len(self.images)).split(batch_size):
            if len(indices) < batch_size:
                return
            images, classes = self.images[indices].float() / 127.5 - 1, self.classes[indices]
            mirrored = torch.rand(batch_size) < 0.5
            images[mirrored] = images[mirrored].flip(-1)
            classes[mirrored] = classes[mirrored].flip(-1)
            yield images, classes


@torch.no_grad()
def held_out_ious(segmenter: ScenesSegmenter, n: int = 1000) -> Tensor:
    """IoU (11,) float64 of each class over all pixels of n paintings that no one was trained on."""
    segmenter.eval()
    painting = paint(n, seed=HELD_OUT_SEED)
    found = torch.cat(
        [segmenter(part * 2 - 1).argmax(dim=1) for part in painting.images.split(100)]
    )
    true = painting.classes.long()
    pairs = torch.bincount((true * len(CLASSES) + found).flatten(), minlength=len(CLASSES) ** 2)
    counts = pairs.view(len(CLASSES), -1).double()
    both = counts.diagonal()
    return both / (counts.sum(dim=0) + counts.sum(dim=1) - both)


def _disturbed(images: Tensor) -> Tensor:
    """Blur, tint and roughen images by random amounts: what is generated is never quite clean."""
    n = len(images)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = images.lerp(blurred, torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5))
    images = images * (1 + 0.1 * torch.randn(n, 3, 1, 1)) + 0.06 * torch.randn(n, 3, 1, 1)
    coarse = functional.interpolate(torch.randn(n, 3, 16, 16), scale_factor=4, mode="bilinear")
    amount = torch.rand(n, 1, 1, 1)
    rough = images + 0.1 * amount * coarse + 0.08 * amount * torch.randn_like(images)
    return rough.clamp(-1, 1)


@torch.no_grad()
def _class_frequencies(generator: ScenesGenerator, segmenter_file: Path) -> dict[str, float]:
    """Each class's share of the pixels of 1 000 generated images over that of painted ones."""
    if not segmenter_file.exists():
        return {}
    segmenter = ScenesSegmenter().eval()
    segmenter.load_state_dict(load_file(segmenter_file))
    source = torch.Generator().manual_seed(1)
    latents = torch.randn(1000, LATENT_SIZE, generator=source)
    found = torch.cat([segmenter(generator(z)).argmax(dim=1) for z in latents.split(100)])
    painted = paint(1000, seed=HELD_OUT_SEED).classes.long()
    ratio = torch.bincount(found.flatten(), minlength=len(CLASSES)) / torch.bincount(
        painted.flatten(), minlength=len(CLASSES)
    )
    return {name: round(value, 3) for name, value in zip(CLASSES, ratio.tolist(), strict=True)}


if __name__ == "__main__":
    main()
