"""Inversion: the latents that reproduce given images, your own among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ganprobe import Analysis, Context, Field, Params, Result, SpaceName, hookimpl

Method = Literal["pool", "gradient", "pool+gradient", "encoder", "encoder+gradient"]


class InversionParams(Params):
    """Which images, how latents are looked for, and how hard."""

    images: tuple[Path, ...] = Field(
        default=(),
        description="A PNG or JPEG file, or a folder of them: images to find latents for. Without"
        " it, the generator's own images only.",
    )
    invert_colours: bool = Field(
        default=False,
        description="Make black white and white black in --images, as for ink on paper where the"
        " generator draws in white on black.",
    )
    n_own: int = Field(
        default=16,
        ge=0,
        le=10**5,
        description="How many of the generator's own images are inverted as well. They can be"
        " reproduced, so that they tell what the search is worth. None of them is in the pool.",
    )
    method: tuple[Method, ...] = Field(
        default=("gradient", "pool+gradient", "encoder", "encoder+gradient"),
        description="How latents are found: pool, the nearest of --n-pool random samples, which is"
        " what the others are compared with; gradient, descent from one random latent;"
        " pool+gradient, from the nearest --n-starts of the pool; encoder, a network trained on"
        " pairs of image and latent; encoder+gradient, descent from what it says.",
    )
    space: SpaceName = Field(
        default="z",
        description="Where the descent goes: z; w; or a site, as conv2, whose activations can make"
        " more images than latents can. Only what is found in z is written for other commands.",
    )
    n_pool: int = Field(
        default=10_000, ge=1, le=10**8, description="Random samples in the pool, of another seed."
    )
    n_starts: int = Field(
        default=16,
        ge=1,
        le=1000,
        description="The descent of pool+gradient begins at so many, the nearest of the pool; half"
        " of them are given up at a sixteenth, an eighth, a quarter and half of the steps.",
    )
    n_steps: int = Field(
        default=300,
        ge=1,
        le=10**6,
        description="Steps of each descent. An image that is reproduced to 0.01 % of the nearest"
        " random sample's error takes no more.",
    )
    learning_rate: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="The first step's length, in standard deviations of the prior; it falls to 0"
        " along a cosine.",
    )
    prior_weight: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="Weight of the mean squared latent, in squared standard deviations of the"
        " prior, beside the mean squared difference of the image: prefers usual latents.",
    )
    stay_in_prior: bool = Field(
        default=True,
        description="Keep latents where the prior has them: within its bound, or, of a normal"
        " prior, within the norm that 99.95 % of samples stay below. In z only.",
    )
    encoder_steps: int = Field(
        default=1000, ge=1, le=10**6, description="Training steps of the encoder, 64 pairs each."
    )
    n_shown: int = Field(default=6, ge=1, le=64, description="Images that a figure shows at most.")


class Inversion(Analysis[InversionParams]):
    """Find the latents that reproduce given images: PNG files, and the generator's own images.

    The loss is the mean squared difference of images in [0, 1]. An image counts as recovered when
    its loss is at most 1 % of that of the nearest of --n-pool random samples. Own images and given
    ones are reported apart: a search that recovers the generator's own images and not yours tells
    that the generator cannot make yours.

    What is found is written for other commands: latents/real.json holds the best latents for your
    images in their order, and each again under its file's name, as in @real.json:my-digit;
    latents/own.json those for the generator's own. With --latents, the own images are those of the
    samples that it names.
    """

    name = "inversion"
    summary = "The latents that reproduce given images."
    Params = InversionParams
    examples = (
        "ganprobe run inversion digits --output out/inversion",
        "ganprobe run inversion digits --images my.png --images drawn/ --invert-colours"
        " --output out/mine",
        "ganprobe run inversion digits --images my.png --n-own 4 --method pool+gradient --space"
        " conv2 --output out/conv2",
        "ganprobe run swap digits --site conv2 --source @out/mine/latents/real.json --donor digit=3"
        " --output out/swap",
    )
    uses_latents = True

    def run(self, context: Context, params: InversionParams) -> Result:
        """Look for latents, and tell how near they come."""
        from ganprobe_inversion.report import make_result
        from ganprobe_inversion.study import study_inversion

        return make_result(study_inversion(context, params), context)


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    """``inversion``."""
    return [Inversion]
