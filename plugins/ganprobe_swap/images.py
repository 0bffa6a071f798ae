"""The images that figures show: sources, donors, and what swaps make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganprobe import Context, ImageCell, Swap
from ganprobe_swap.experiment import Experiment
from ganprobe_swap.pairs import Pairs

_HIT, _N_PROGRESSIVE, _N_RANDOM = "#2e933c", 11, 2


@dataclass(frozen=True, eq=False)
class Shown:
    """Images of one pair.

    Args:
        images: (cell, channel, y, x) in [0, 1].
        words: what the judge says of each; "" without one.
        probabilities: how sure it is of it, where its columns are shares.
    """

    images: NDArray[np.float32]
    words: list[str]
    columns: NDArray[np.int64]


def strip_rows(context: Context, done: Experiment) -> tuple[list[list[ImageCell | None]], list[str],
                                                            list[str]]:  # fmt: skip
    """Cells of the strip, and the labels of its rows and columns."""
    rows: list[list[ImageCell | None]] = []
    labels: list[str] = []
    for pair in range(min(done.params.n_shown, len(done.pairs))):
        sets = [one.sets(len(done.pairs))[pair] for one in done.found]
        shown = _images(context, done, done.pairs[pair], [*sets, done.random.units[0]])
        wants = [one.objective.wants for one in done.found] + ["donor"]
        rows.append(_cells(shown, wants))
        rows.append(_differences(shown))
        labels += [f"{done.pairs.name(pair)}", "less the\nsource"]
    names = [f"{one.objective.name}\n{one.strategy}" for one in done.found]
    return rows, labels, ["source", "donor", *names, "random"]


def progress_rows(
    context: Context, done: Experiment
) -> tuple[list[list[ImageCell | None]], list[str], list[str]]:
    """Cells of one pair as more and more units are swapped, and the labels."""
    sizes = np.unique(
        np.linspace(0, done.n_units, min(done.n_units + 1, _N_PROGRESSIVE)).astype(int)
    )
    orders = [(f"{one.objective.name}\n{one.strategy}", one.sets(len(done.pairs))[0],
               one.objective.wants) for one in done.found]  # fmt: skip
    n_random = _N_RANDOM if done.found else max(_N_RANDOM, done.params.n_shown)
    random = enumerate(done.random.units[:n_random])
    orders += [(f"random\ndraw {draw}", units, "donor") for draw, units in random]
    rows: list[list[ImageCell | None]] = []
    for _, order, wants in orders:
        sets = [order[:size] for size in sizes.tolist()]
        shown = _images(context, done, done.pairs[0], sets)
        cells = _cells(shown, [wants] * len(sets))
        rows.append([*cells[2:], cells[1]])
    return rows, [label for label, _, _ in orders], [*(f"{size} units" for size in sizes), "donor"]


def _images(
    context: Context, done: Experiment, pair: Pairs, sets: Sequence[NDArray[np.int64]]
) -> Shown:
    """Source, donor, then the source with each set of units of the donor's."""
    probe, generator = context.probe, context.generator
    site = str(done.site)
    swaps = [_swap(site, pair, units) for units in sets]
    edited = list(probe.sweep(pair.sources, swaps))
    all_of_them = [probe.images(pair.sources), probe.images(pair.donors), *edited]
    images = [generator.to_unit_range(one)[0] for one in all_of_them]
    columns = np.full(len(images), -1)
    if done.judge is not None:
        columns = np.concatenate([done.judge.says(context, one) for one in all_of_them])
    words = [done.judge.word(column) if done.judge else "" for column in columns.tolist()]
    stacked = np.stack([image.float().cpu().numpy() for image in images])
    return Shown(stacked, words, columns)


def _swap(site: str, pair: Pairs, units: NDArray[np.int64]) -> list[Swap]:
    chosen = [int(unit) for unit in units]
    return [Swap(site, donor=pair.donors, units=chosen)] if chosen else []


def _cells(shown: Shown, wants: Sequence[str]) -> list[ImageCell | None]:
    cells: list[ImageCell | None] = []
    for place, (image, word) in enumerate(zip(shown.images, shown.words, strict=True)):
        wanted = None if place < 2 else shown.columns[1 if wants[place - 2] == "donor" else 0]
        is_hit = bool(word) and wanted is not None and shown.columns[place] == wanted
        cells.append(
            ImageCell(
                image, f"“{word}”" if word else "", _HIT if is_hit else None, is_strong=is_hit
            )
        )
    return cells


def _differences(shown: Shown) -> list[ImageCell | None]:
    return [None, *(ImageCell(image - shown.images[0], is_difference=True)
                    for image in shown.images[1:])]  # fmt: skip
