"""``ganprobe samples``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganprobe.cli import flags
from ganprobe.cli.about import conditions
from ganprobe.cli.console import command_line, progress
from ganprobe.cli.loading import GeneratorCommand, load_from_flags, loader_flags
from ganprobe.errors import GanprobeError, OutputExistsError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ganprobe.generators import Generator
    from ganprobe.probe import Probe

__all__ = ["command"]

_COLUMNS, _MOST_ROWS = 8, 16
_LARGEST = 256  # pixels to a side of a drawn image
_BATCH = 8
_DPI = 150
_SMALL, _CELL, _LARGE_CELL = 64, 0.98, 1.6  # pixels, and inches


@click.command(name="samples", short_help="Draw a grid of samples.", cls=GeneratorCommand)
@click.argument("generator")
@click.option(
    "--samples",
    type=click.IntRange(1, 1024),
    metavar="NUMBER",
    default=64,
    show_default=True,
    help="How many samples, counted from 0.",
)
@flags.seed
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The PNG to write.  [default: out/samples-GENERATOR.png]",
)
@flags.device
@flags.force
@loader_flags
def command(
    generator: str,
    samples: int,
    seed: int,
    output: Path | None,
    device: str | None,
    force: bool,
    **given: Any,
) -> None:
    """Draw a grid of samples of GENERATOR, and print what is known about it.

    It shows whether it was loaded right: the weights fit, colours are not swapped, black is
    black, and each class is what it should be. Of a class-conditional generator there is a row
    for each class, where there are at most 16.

    \b
    Examples:
      ganprobe samples digits
      ganprobe samples digits --output out/samples.png
      ganprobe samples my_gan.py:Generator --weights my_gan.safetensors --output mine.png
      ganprobe samples path/to/model-folder --class 3 --truncation 0.7 --output threes.png
    """
    from ganprobe.probe import Probe

    path = output or flags.default_folder("samples", generator).with_suffix(".png")
    if path.exists() and not force:
        raise OutputExistsError(f"{path} is there already; give --force to replace it")
    loaded = load_from_flags(generator, given)
    probe = Probe(loaded, device=device)
    drawn = _draw(probe, samples, seed)
    _write(_figure(loaded, drawn, seed), path)
    for line in (*conditions(probe), drawn.about_values(loaded)):
        click.echo(line)
    click.echo(f"\nLook at:\n  {path}")


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Samples: `images` (n, channel, y, x) in [0, 1], the `labels` of their classes, and the values
    that they had: their lowest, highest, and the share outside the image range."""

    images: NDArray[np.float32]
    labels: list[int]
    lowest: float
    highest: float
    outside: float

    def about_values(self, generator: Generator) -> str:
        """How the values lie in the image range."""
        black, white = generator.image_range
        outside = f"{self.outside:.1%} of them" if self.outside else "none"
        return (
            f"values of the images: {self.lowest:.3g} to {self.highest:.3g} in {len(self.images)}"
            f" samples; {outside} outside {black:g} (black) to {white:g} (white)"
        )


def _draw(probe: Probe, n_samples: int, seed: int) -> _Drawn:
    import torch
    from torch.nn import functional

    generator = probe.generator
    black, white = generator.image_range
    slack = 1e-3 * (white - black)
    kept, labels, lows, highs, outside = [], [], [], [], []
    with progress(n_samples, "samples") as bar:
        for latents in generator.sample(n_samples, seed=seed).split(_BATCH):
            images = probe.images(latents).float()
            lows.append(images.min().item())
            highs.append(images.max().item())
            is_outside = (images < black - slack) | (images > white + slack)
            outside.append(is_outside.float().mean(dim=(1, 2, 3)).cpu())
            shown = generator.to_unit_range(images)
            if max(shown.shape[2:]) > _LARGEST:
                factor = _LARGEST / max(shown.shape[2:])
                shown = functional.interpolate(shown, scale_factor=factor, mode="area")
            kept.append(shown[:, :3].cpu())
            labels += [] if latents.labels is None else latents.labels.tolist()
            bar.advance(len(latents))
    share = float(torch.cat(outside).mean())
    return _Drawn(torch.cat(kept).numpy(), labels, min(lows), max(highs), share)


def _figure(generator: Generator, drawn: _Drawn, seed: int) -> Figure:
    from ganprobe.drawing import ImageCell, draw_image_grid

    sheet = _by_class(generator, drawn) or _in_order(generator, drawn)
    return draw_image_grid(
        [[ImageCell(drawn.images[one], sheet.below[one]) for one in row] for row in sheet.rows],
        title=_title(generator, len(drawn.images)),
        note=sheet.note,
        made=_made(generator, len(drawn.images), seed),
        row_labels=sheet.row_labels,
        cell=_CELL if max(drawn.images.shape[2:]) <= _SMALL else _LARGE_CELL,
    )


@dataclass(frozen=True)
class _Sheet:
    """Which samples stand in which row, what rows are called, what stands under each sample."""

    rows: list[range | list[int]]
    row_labels: list[str]
    below: list[str]
    note: str


def _by_class(generator: Generator, drawn: _Drawn) -> _Sheet | None:
    """A row for each class, or None where there are too many, or one sample of each."""
    classes, every = generator.classes, range(len(drawn.images))
    is_in_turn = classes is not None and classes.chosen is None
    if classes is None or not is_in_turn or classes.count > min(_MOST_ROWS, len(every) // 2):
        return None
    return _Sheet(
        [every[label :: classes.count] for label in range(classes.count)],
        [classes.name(label) for label in range(classes.count)],
        [str(sample) for sample in every],
        "Each row is a class; under each sample stands its number.",
    )


def _in_order(generator: Generator, drawn: _Drawn) -> _Sheet:
    classes, every = generator.classes, range(len(drawn.images))
    rows: list[range | list[int]] = [every[start : start + _COLUMNS] for start in every[::_COLUMNS]]
    labels = [f"{row[0]}-{row[-1]}" if len(row) > 1 else str(row[0]) for row in rows]
    note = "In the order of their numbers, which stand at the left."
    if classes is None:
        return _Sheet(rows, labels, [""] * len(every), note)
    if classes.chosen is not None:
        of_class = f"All of class {classes.name(classes.chosen)}. {note}"
        return _Sheet(rows, labels, [""] * len(every), of_class)
    below = [classes.name(label) for label in drawn.labels]
    return _Sheet(rows, labels, below, f"{note} Under each stands its class.")


def _title(generator: Generator, n_samples: int) -> str:
    many = f"{n_samples} samples" if n_samples > 1 else "A sample"
    return f"{many} of {generator.name}"


def _made(generator: Generator, n_samples: int, seed: int) -> str:
    space = generator.latent_space
    told = [
        f"latents {space.distribution} {'x'.join(map(str, space.shape))}",
        f"seed {seed}",
        f"n = {n_samples}",
        "" if generator.truncation is None else f"truncation {generator.truncation:g}",
        "" if generator.normalisation == "eval" else f"normalisation {generator.normalisation}",
        f"weights {generator.weights_sha256()[:12]}",
    ]
    return ", ".join(filter(None, told))


def _write(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all, with the command in it."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"Software": "ganprobe", "Comment": command_line()}
        figure.savefig(partial, dpi=_DPI, format="png", metadata=about)
        partial.replace(path)
    except OSError as error:
        raise GanprobeError(
            f"cannot write {path}: {error.strerror or error}; choose another --output"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
