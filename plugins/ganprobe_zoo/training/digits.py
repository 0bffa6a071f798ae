"""Train ``digits``: the classifier first, then the generator with its discriminator.

    python -m ganprobe_zoo.training.digits classifier --mnist FOLDER --output WEIGHTS
    python -m ganprobe_zoo.training.digits gan --mnist FOLDER --output WEIGHTS

FOLDER holds MNIST's four IDX files. On two cores with bfloat16 units the classifier takes
about four minutes and the generator two minutes an epoch; it writes a checkpoint after each
and goes on from it. Seeded: the same machine, versions and thread count give the same weights.

The weights that ship come of 18 epochs, then of the same command with ``--epochs 24``, which
went on from the checkpoint with the rates of its longer schedule and was ended after epoch 22.
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

from ..networks import DigitsClassifier, DigitsDiscriminator, DigitsGenerator, initialise
from .adversarial import Game, descend, weights
from .mnist import Digits, read_mnist
from .quality import frechet_distance, judge

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(help="Train the networks behind 'digits' from MNIST's IDX files.")
@click.option("--threads", default=2, show_default=True, help="CPU threads to train with.")
def main(threads: int) -> None:
    torch.set_num_threads(threads)


@main.command(name="classifier", help="Train the digit classifier; prints its test accuracy.")
@click.option("--mnist", type=_FOLDER, required=True, help="Folder of the four IDX files.")
@click.option("--output", type=_FOLDER, required=True, help="Where the weights go.")
@click.option("--epochs", default=6, show_default=True)
@click.option("--batch-size", default=128, show_default=True)
@click.option("--seed", default=0, show_default=True)
def train_classifier(mnist: Path, output: Path, epochs: int, batch_size: int, seed: int) -> None:
    torch.manual_seed(seed)
    digits, held_out = read_mnist(mnist, "train"), read_mnist(mnist, "test")
    classifier = DigitsClassifier()
    steps = epochs * (len(digits) // batch_size)
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    for epoch in range(epochs):
        classifier.train()
        batches = _shuffled(digits, batch_size)
        for images, labels in track(batches, f"epoch {epoch + 1}", steps // epochs):
            with torch.autocast("cpu", torch.bfloat16):
                logits = classifier(_jittered(images))
            loss = functional.cross_entropy(logits.float(), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
        click.echo(f"epoch {epoch + 1}: test accuracy {_accuracy(classifier, held_out):.4f}")
    output.mkdir(parents=True, exist_ok=True)
    save_file(weights(classifier), output / "digits-classifier.safetensors")


@main.command(name="gan", help="Train generator and discriminator; prints quality each epoch.")
@click.option("--mnist", type=_FOLDER, required=True, help="Folder of the four IDX files.")
@click.option("--output", type=_FOLDER, required=True, help="Weights; also the classifier's.")
@click.option("--latent-size", default=10, show_default=True)
@click.option("--epochs", default=18, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--seed", default=0, show_default=True)
def train_gan(
    mnist: Path, output: Path, latent_size: int, epochs: int, batch_size: int, seed: int
) -> None:
    torch.manual_seed(seed)
    digits = read_mnist(mnist, "train")
    judges = _Judges.from_folder(output, mnist)
    game = _Game.start(latent_size, steps=epochs * (len(digits) // batch_size), seed=seed)
    checkpoint = output / "digits-gan.checkpoint.pt"
    first = game.resume(checkpoint)
    log = output / "digits-gan.log.jsonl"
    for epoch in range(first, epochs):
        batches = _shuffled(digits, batch_size)
        n_batches = len(digits) // batch_size
        losses = [
            game.step(images, labels)
            for images, labels in track(batches, f"epoch {epoch + 1}", n_batches)
        ]
        game.save(checkpoint, epoch + 1)
        figures = {"epoch": epoch + 1, **_mean_losses(losses)}
        figures |= judges.figures(game.averaged_generator())
        click.echo(json.dumps(figures))
        with log.open("a") as lines:
            lines.write(json.dumps(figures) + "\n")
        save_file(weights(game.averaged_generator()), output / "digits-generator.safetensors")
        save_file(weights(game.discriminator), output / "digits-discriminator.safetensors")


@dataclass(kw_only=True)
class _Game(Game[DigitsGenerator, DigitsDiscriminator]):
    """Each latent is given a digit, by which of ten directions it points along most.

    So the generator has no reason to draw anything between two digits on more than a thin border.

    Source: auxiliary classifier, Odena et al. 2017 (arXiv 1610.09585).
    """

    digit_directions: Tensor

    rate, last_rate = 5e-4, 0.1

    @classmethod
    def start(cls, latent_size: int, *, steps: int, seed: int) -> _Game:
        source = torch.Generator().manual_seed(seed)
        generator, discriminator = DigitsGenerator(latent_size), DigitsDiscriminator()
        initialise(generator, source)
        initialise(discriminator, source)
        players = cls.players(generator, discriminator)
        directions = _spread_directions(latent_size, source)
        return cls(latent_size=latent_size, steps=steps, digit_directions=directions, **players)

    def step(self, real: Tensor, labels: Tensor) -> tuple[float, float]:
        """Play one round on a batch of real images; discriminator's and generator's loss."""
        self.set_rates()
        real = real.to(memory_format=torch.channels_last)
        latents = torch.randn(len(real), self.latent_size)
        wanted = (latents @ self.digit_directions.T).argmax(dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            fake = self.generator(latents)
            seen = torch.cat([real, fake.detach().to(real.dtype)])
            scores, logits = self.discriminator.both(seen)
        on_real, on_fake = scores.float().split(len(real))
        loss_discriminator = functional.softplus(-on_real).mean()
        loss_discriminator = loss_discriminator + functional.softplus(on_fake).mean()
        told_apart = functional.cross_entropy(logits[: len(real)].float(), labels)
        loss = loss_discriminator + told_apart + self.penalty(real)
        descend(loss, self.discriminator_optimiser)
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            scores, logits = self.discriminator.both(fake)
        loss_generator = functional.softplus(-scores.float()).mean()
        off_target = functional.cross_entropy(logits.float(), wanted)
        descend(loss_generator + off_target, self.generator_optimiser)
        self.discriminator.requires_grad_(True)
        self.end_round()
        return loss_discriminator.item(), loss_generator.item()


@dataclass(frozen=True)
class _Judges:
    classifier: DigitsClassifier
    real_features: Tensor

    @classmethod
    def from_folder(cls, weights: Path, mnist: Path) -> _Judges:
        classifier = DigitsClassifier()
        classifier.load_state_dict(load_file(weights / "digits-classifier.safetensors"))
        classifier.eval()
        real = judge(classifier, read_mnist(mnist, "test").images().split(500))
        return cls(classifier, real.features)

    @torch.no_grad()
    def figures(self, generator: DigitsGenerator, n_samples: int = 5000) -> dict[str, float]:
        source = torch.Generator().manual_seed(1)
        latents = torch.randn(n_samples, generator.latent_size, generator=source)
        judged = judge(self.classifier, (generator(z) for z in latents.split(500)))
        shares = judged.class_shares
        return {
            "confident": round(judged.confident_share, 4),
            "rarest": round(float(shares.min()), 4),
            "commonest": round(float(shares.max()), 4),
            "frechet": round(frechet_distance(judged.features, self.real_features), 3),
        }


def _spread_directions(size: int, source: torch.Generator) -> Tensor:
    """Ten unit vectors (10, size) as far apart as can be: a simplex, turned at random.

    Where there are fewer than nine dimensions to hold a simplex, ten random directions.
    """
    corners = torch.eye(10) - 0.1  # (10, 10), of rank 9
    basis = torch.linalg.svd(corners).U[:, :9]  # (10, 9): the corners in their own space
    if size < 9:
        return functional.normalize(torch.randn(10, size, generator=source), dim=1)
    turn = torch.linalg.qr(torch.randn(size, 9, generator=source)).Q  # (size, 9)
    return functional.normalize(basis @ turn.T, dim=1)


def _mean_losses(losses: list[tuple[float, float]]) -> dict[str, float]:
    discriminator, generator = torch.tensor(losses).mean(dim=0).tolist()
    return {"loss_discriminator": round(discriminator, 3), "loss_generator": round(generator, 3)}


def _shuffled(digits: Digits, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for indices in torch.randperm(len(digits)).split(batch_size):
        if len(indices) == batch_size:
            yield digits.images(indices), digits.labels[indices]


def _jittered(images: Tensor) -> Tensor:
    """Turn, scale and shift each image a little: ±10 degrees, ±10 %, ±2 pixels."""
    n = len(images)
    angle = (torch.rand(n) * 2 - 1) * 0.175
    scale = 1 + (torch.rand(n) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2) * 2 - 1) * (2 / 14)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], dim=1)
    grid = functional.affine_grid(rows.view(n, 2, 3), list(images.shape), align_corners=False)
    turned = functional.grid_sample(images + 1, grid, align_corners=False)
    return turned - 1  # zeros outside become black


@torch.no_grad()
def _accuracy(classifier: DigitsClassifier, digits: Digits) -> float:
    classifier.eval()
    answers = torch.cat([classifier(part).argmax(dim=1) for part in digits.images().split(500)])
    return float((answers == digits.labels).double().mean())


if __name__ == "__main__":
    main()
