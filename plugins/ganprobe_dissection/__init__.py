"""Dissection: which units of a generator draw which classes of pixels."""

from __future__ import annotations

from typing import Any, Literal

from ganprobe import Analysis, Context, Field, Params, Result, SegmenterName, Sites, hookimpl
from ganprobe_dissection.causal_params import CausalParams


class UnitParams(Params):
    """Which units are compared with which classes, over how many samples, and what is shown."""

    site: Sites = Field(
        description="A site, as `ganprobe layers` names it: conv2, conv2#0-31, 'conv?'. Several"
        " are dissected at once.",
    )
    segmenter: SegmenterName | None = Field(
        default=None,
        description="What says which pixels are of which class: scenes, luminance:5, class:digit."
        " Left out, those that fit the generator's images are listed.",
    )
    n_samples: int = Field(
        default=1000, ge=1, le=10**9, description="Samples, counted from 0, of the seed."
    )
    domain: Literal["upsampled", "raw", "iqr"] = Field(
        default="upsampled",
        description="Where a unit's threshold comes from. upsampled: the level that --share of its"
        " pixels exceed once its map is as large as the image. raw: the level that --share of its"
        " own values exceed; far fewer pixels may then be active. iqr: for each unit and class"
        " the level that tells most about the class, which classes of any size can meet.",
    )
    share: float = Field(
        default=0.005,
        gt=0.0,
        le=0.5,
        description="The share of pixels that is active, 0.005 for 0.5 %. A class that covers s"
        " of the pixels cannot reach an IoU above share / s: give more for large classes.",
    )
    least_iou: float = Field(
        default=0.04,
        ge=0.0,
        le=1.0,
        description="A unit counts as drawing its class if their intersection over union, IoU, is"
        " above it.",
    )
    least_information: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="It also needs this information quality, the mutual information of unit and"
        " class in shares of their joint entropy. Without it, 0.01 with --domain iqr, where a level"
        " of noise may meet much of a large class, and else 0.",
    )
    n_top: int = Field(
        default=10, ge=1, le=1000, description="Top samples that are kept of each unit."
    )
    n_cards: int = Field(
        default=12,
        ge=1,
        le=60,
        description="Units that get a card: the best of each class, then the second of each, ...",
    )
    n_shown: int = Field(
        default=8, ge=1, le=32, description="Top images on a card; no more than --n-top."
    )
    n_resamples: int = Field(
        default=1000,
        ge=10,
        le=10**6,
        description="Bootstrap resamples of the samples, for intervals and stability.",
    )
    memory: int = Field(
        default=1024,
        ge=16,
        le=10**7,
        description="Megabytes for thresholds and counting, however many samples there are."
        " Thresholds are exact while the values fit, else a sketch with a stated error.",
    )
    batch_size: int = Field(
        default=64, ge=1, le=10**6, description="Samples in one forward, or read at once."
    )

    @property
    def needed_information(self) -> float:
        """The information quality that a label needs."""
        if self.least_information is None:
            return 0.01 if self.domain == "iqr" else 0.0
        return self.least_information


class DissectionParams(CausalParams, UnitParams):
    """All that can be asked of a dissection: which units draw what, and what they cause."""


class DissectionAnalysis(Analysis[DissectionParams]):
    """Find the units that draw a class: where a unit is most active, is there always a tree?

    A segmenter says which pixels of each image are tree, door, sky. A unit is active where its
    map, as large as the image, exceeds its threshold. IoU is the number of pixels that are both
    active and of the class, over those that are either, counted over all samples. A unit is
    labelled with the class of the largest IoU, and called interpretable above --least-iou.

    With each label stand its 95 % interval, its stability (in how many bootstrap resamples of the
    samples the label stays) and the IoU that the same active areas reach with the masks of other
    samples: a unit that is active at the top of every image draws sky by its place alone.

    With --activations, what `ganprobe record --images` kept is read, and the generator does not
    run again. Units that were found go to other commands:
    --units @out/dissection/units/conv3-tree.json.

    A unit that is active where trees are need not draw them. With --causal tree the units of trees
    are removed, in the order of their IoU and as a greedy search has them, beside random ones, and
    inserted where there is no tree: how much of the trees goes, what fills the hole, and where a
    tree can go. Each sample is compared with itself; intervals are of 95 %.

    Source: GAN Dissection, Bau et al. 2019 (arXiv 1811.10597), section 3.1; Understanding the Role
    of Individual Units, Bau et al. 2020 (arXiv 2009.05041).
    """

    name = "dissection"
    summary = "Which units draw which class: IoU with its pixels, stability, top images."
    Params = DissectionParams
    examples = (
        "ganprobe run dissection scenes --site conv2 --site conv3 --segmenter scenes"
        " --output out/dissection",
        "ganprobe record scenes --site 'conv?' --samples 1000 --images --output scenes.h5",
        "ganprobe run dissection scenes --site conv3 --segmenter scenes --activations scenes.h5"
        " --output out/stored",
        "ganprobe run dissection scenes --site conv3 --segmenter scenes --domain iqr"
        " --output out/iqr",
        "ganprobe run dissection digits --site conv3 --segmenter luminance --share 0.05"
        " --output out/digits",
        "ganprobe run dissection scenes --site conv3 --segmenter scenes --causal tree --causal door"
        " --output out/causes",
        "ganprobe run ablation scenes --units @out/dissection/units/conv3-tree.json --order given"
        " --measure area:scenes=tree --output out/ablation",
    )
    uses_activations = True

    def run(self, context: Context, params: DissectionParams) -> Result:
        """Dissect, compare with other samples, tell."""
        from ganprobe_dissection.causal_report import with_causes
        from ganprobe_dissection.causes import study_causes
        from ganprobe_dissection.report import make_result
        from ganprobe_dissection.study import study_sites

        study = study_sites(context, params)
        return with_causes(make_result(study), study_causes(study))


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``dissection``."""
    return [DissectionAnalysis]
