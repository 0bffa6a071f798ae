"""The figures of images: best and worst by each judge, and what the filter lets pass."""

from __future__ import annotations

from matplotlib.figure import Figure

from ganprobe import ImageCell, draw_image_grid
from ganprobe_quality.filtering import Filtered
from ganprobe_quality.judging import Judged, Shown
from ganprobe_quality.study import Study

GOOD, BAD = "#1b7837", "#c03030"


def draw_gallery(study: Study, *, made: str) -> Figure:
    """The best and the worst images by each judge, framed green where good and red where not."""
    rows, labels = [], []
    for place, judge in enumerate(study.standard.judges):
        ends = (("best", study.judged.highest[place]), ("worst", study.judged.lowest[place]))
        for end, shown in ends[: 2 if study.n > 1 else 1]:
            rows.append([_cell(study, place, shown, slot) for slot in range(len(shown.rows))])
            labels.append(f"{end} by\n{judge.name}")
    return draw_image_grid(
        rows,
        title=f"The best and the worst of {study.n} samples",
        note="Under each image its score and the sample's number. Green: good by this judge; red:"
        " not.",
        row_labels=labels,
        made=made,
    )


def _cell(study: Study, judge: int, shown: Shown, slot: int) -> ImageCell:
    row = int(shown.rows[slot])
    frame = GOOD if study.good[judge, row] else BAD
    score = study.standard.judges[judge].tell(study.judged.scores[judge, row])
    below = f"{score}\n{_number(study.judged, row)}"
    return ImageCell(shown.images[slot], below, frame)


def _number(judged: Judged, row: int) -> str:
    indices = judged.latents.indices
    return f"#{row if indices is None else indices[row]}"


def draw_filter(study: Study, found: Filtered, *, made: str) -> Figure:
    """Fresh images that the filter is surest are good, and surest are not."""
    sides = (
        ("let pass, surest first", found.passed, found.judged.highest[0]),
        ("turned away, surest first", found.turned_away, found.judged.lowest[0]),
    )
    kept = study.standard.kept
    rows = [
        [_fresh_cell(found, shown, slot) for slot in range(len(shown.rows))] for *_, shown in sides
    ]
    return draw_image_grid(
        rows,
        title=f"What {found.by.model} foresaw of {len(found.passes)} fresh samples, from their"
        " latents alone",
        note=f"Green: good by {study.standard.names[kept]}; red: not. Of all"
        f" {_percent(found.all.value)} are good. Under each image the sample's number.",
        row_labels=[f"{name}\n{_percent(good.value)} of {good.n} good" for name, good, _ in sides],
        made=made,
    )


def _fresh_cell(found: Filtered, shown: Shown, slot: int) -> ImageCell:
    row = int(shown.rows[slot])
    frame = GOOD if found.is_good[row] else BAD
    return ImageCell(shown.images[slot], _number(found.judged, row), frame)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
