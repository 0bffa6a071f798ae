"""What ganprobe is offered: a generator, a measure, a segmenter and an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ganprobe import (
    Analysis,
    Context,
    Field,
    Generator,
    GeneratorLoader,
    Measure,
    Params,
    Result,
    Segmenter,
    Table,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor


def make_lanterns() -> Generator:
    from lanterns.generator import N_LANTERNS, Lanterns

    return Generator.from_module(
        Lanterns().eval(), latent=N_LANTERNS, name="lanterns", image_range=(0.0, 1.0)
    )


class Warmth(Measure):
    """How much more red than blue an image is."""

    name = "warmth"
    summary = "how much more red than blue an image is, and how bright"
    columns = ("warmth", "light")

    def measure(self, images: Tensor) -> Tensor:
        import torch

        warmth = images[:, 0].mean(dim=(1, 2)) - images[:, -1].mean(dim=(1, 2))
        return torch.stack([warmth, images.mean(dim=(1, 2, 3))], dim=1)


class Lit(Segmenter):
    """What is lit by a lantern."""

    name = "lit"
    summary = "what is lit, and what is dark"
    classes = ("lit", "dark")

    def segment(self, images: Tensor) -> Tensor:
        import torch

        is_lit = images.amax(dim=1, keepdim=True) > 0.5  # (n, 1, y, x)
        return torch.cat([is_lit, ~is_lit], dim=1)


class GlowParams(Params):
    n_samples: int = Field(default=32, ge=1, le=4096, description="Images to look at.")
    measure: str = Field(default="warmth", description="What glows.")
    segmenter: str = Field(default="lit", description="What is lit; its first class counts.")


class Glow(Analysis[GlowParams]):
    """Tell how much of each image glows."""

    name = "glow"
    summary = "How much of the images glows."
    Params = GlowParams
    examples = ("ganprobe run glow lanterns --n-samples 100",)
    uses_latents = True

    def run(self, context: Context, params: GlowParams) -> Result:
        latents = context.sample(params.n_samples)
        images = context.generator.to_unit_range(context.probe.images(latents))
        values = context.measure(params.measure)(images)[:, 0]
        lit = context.segmenter(params.segmenter)(images)[:, 0].float().mean(dim=(1, 2))
        rows = tuple(zip(range(len(latents)), values.tolist(), lit.tolist(), strict=True))
        finding = (
            f"{float(lit.mean()):.1%} of an image glows, and its {params.measure} is"
            f" {float(values.mean()):.3f} (means of n = {len(latents)}, seed {context.seed})."
        )
        return Result(
            findings=[finding], tables={"glow": Table(("sample", "value", "share"), rows)}
        )


@hookimpl
def register_generators() -> list[GeneratorLoader]:
    return [GeneratorLoader("lanterns", "four lanterns in the dark", make_lanterns)]


@hookimpl
def register_measures() -> list[Measure]:
    return [Warmth()]


@hookimpl
def register_segmenters() -> list[Segmenter]:
    return [Lit()]


@hookimpl
def register_analyses() -> list[type[Analysis[Any]]]:
    return [Glow]
