"""Every test that `ganprobe.testing` has for plugins fails for one that has this fault."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure as MatplotlibFigure
from torch import Tensor, nn

from ganprobe import (
    Analysis,
    Array,
    Call,
    Classes,
    Context,
    Field,
    Figure,
    Generator,
    GeneratorLoader,
    Measure,
    Params,
    Result,
    Segmenter,
    Table,
)
from ganprobe.testing import (
    AnalysisTests,
    GeneratorTests,
    MeasureTests,
    SegmenterTests,
    tiny_generator,
)
from ganprobe.testing.conformance import ConformanceTests

Case = tuple[type[ConformanceTests], str, str]
CASES: list[Case] = []
STEPS = count()


def case(tests: type[ConformanceTests], name: str, told: str) -> None:
    """A test of this name has to fail for what these tests are given, and tell this."""
    CASES.append((tests, name, told))


# Analyses


class BrightnessParams(Params):
    n_samples: int = Field(default=4, ge=1, description="Samples to look at.")
    batch_size: int = Field(default=64, ge=1, description="Samples in one forward.")


class Brightness(Analysis[Any]):
    """How bright samples are."""

    name = "brightness"
    summary = "How bright the images are."
    Params: ClassVar[type[Params]] = BrightnessParams
    examples = ("ganprobe run brightness digits --output out",)

    def images(self, context: Context, params: Any) -> Tensor:
        latents = context.generator.sample(params.n_samples, seed=context.seed)
        images = [context.probe.images(part) for part in latents.split(params.batch_size)]
        return context.generator.to_unit_range(torch.cat(images))

    def run(self, context: Context, params: Any) -> Result:
        return self.result(self.images(context, params))

    def result(self, images: Tensor) -> Result:
        means = images.mean(dim=(1, 2, 3)).numpy()
        drawing = MatplotlibFigure(figsize=(2, 2))
        drawing.add_subplot().plot(means)
        return Result(
            findings=[f"The mean brightness is {means.mean():.6f} (n = {len(means)})."],
            arrays={"brightness": Array(means, ("sample",))},
            tables={"all": Table(("brightness",), tuple((float(one),) for one in means))},
            figures={"brightness": Figure(drawing, "How bright each sample is.")},
        )


class TestBrightness(AnalysisTests):
    analysis = Brightness


def analysis(
    told: str, name: str, /, params: Mapping[str, object] | None = None, **own: Any
) -> None:
    """An analysis that is `Brightness` but for `own` fails this test with these words."""
    made = type("Bad", (Brightness,), {"__doc__": Brightness.__doc__, **own})
    settings = {"analysis": made, "params": params or {}}
    case(type("BadTests", (AnalysisTests,), settings), name, told)


def before(act: Callable[[Context], object]) -> dict[str, Any]:
    """`Brightness`, which does something else first."""

    def run(self: Brightness, context: Context, params: Any) -> Result:
        act(context)
        return Brightness.run(self, context, params)

    return {"run": run}


def findings(make: Callable[[Context], list[Any]]) -> dict[str, Any]:
    """`Brightness` with other findings."""

    def run(self: Brightness, context: Context, params: Any) -> Result:
        return replace(Brightness.run(self, context, params), findings=make(context))

    return {"run": run}


def parameters(**fields: Any) -> dict[str, Any]:
    """`Brightness` with another class of parameters."""
    return {"Params": type("OwnParams", (BrightnessParams,), fields)}


class Pair:
    def __init__(self, text: str) -> None:
        self.text = text


analysis(
    "has a parameter 'seed'",
    "test_it_can_be_registered",
    **parameters(__annotations__={"seed": int}, seed=Field(default=0, description="Mine.")),
)
analysis("take lower-case letters", "test_its_name_and_summary_can_be_listed", name="How bright")
analysis("is one line that says", "test_its_name_and_summary_can_be_listed", summary=" ")
analysis("has no docstring", "test_its_help_tells_what_it_does_and_how_to_ask", __doc__=None)
analysis(
    "starts with 'ganprobe run brightness '",
    "test_its_help_tells_what_it_does_and_how_to_ask",
    examples=("ganprobe run maps digits",),
)
analysis(
    "is no command of ours",
    "test_its_help_tells_what_it_does_and_how_to_ask",
    examples=("brightness digits",),
)
analysis(
    "without a description.*: level",
    "test_its_parameters_are_described",
    **parameters(__annotations__={"level": float}, level=0.5),
)
analysis(
    "parameters read back from provenance are",
    "test_its_parameters_are_read_back_from_what_the_provenance_keeps",
    **parameters(
        __annotations__={"level": float}, level=Field(default=0.5, description="D.", exclude=True)
    ),
    params={"level": 0.75},
)
analysis(
    "'levels' of type dict.str, int. cannot be a flag",
    "test_its_parameters_can_be_given_on_the_command_line",
    **parameters(
        __annotations__={"levels": dict[str, int]},
        levels=Field(default_factory=dict, description="D."),
    ),
    params={"levels": {"a": 1}},
)
analysis("has no findings", "test_it_runs_and_finds_something", **findings(lambda _: []))
analysis(
    "tells a number that is none",
    "test_it_runs_and_finds_something",
    **findings(lambda _: [f"The mean is {float('nan'):.2f} (n = 0)."]),
)
analysis("a finding is one line", "test_it_runs_and_finds_something", **findings(lambda _: [" "]))
analysis(
    "differ in a finding",
    "test_it_can_be_made_again_from_its_provenance_alone",
    **findings(lambda _: [f"It was run {next(STEPS)} times."]),
)
analysis(
    "differ in a finding",
    "test_it_can_be_made_again_from_its_provenance_alone",
    **findings(lambda _: [f"It took {time.perf_counter()} s."]),
)
analysis(
    "differ in a finding",
    "test_it_can_be_made_again_from_its_provenance_alone",
    **findings(lambda _: [f"Chance gives {torch.rand(1).item()}."]),
)
analysis(
    "differ in a finding",
    "test_it_can_be_made_again_from_its_provenance_alone",
    **findings(lambda _: [f"Chance gives {np.random.rand()}."]),
)


def of_seed_0(self: Brightness, context: Context, params: Any) -> Tensor:
    return Brightness.images(self, replace(context, seed=0), params)


analysis(
    "another seed gives the very same", "test_another_seed_gives_other_numbers", images=of_seed_0
)


class SaysThatSeedsDoNotMatter(AnalysisTests):
    analysis, depends_on_seed = Brightness, False


case(SaysThatSeedsDoNotMatter, "test_another_seed_gives_other_numbers", "gives another result")


def left(act: Callable[[Context, nn.Module], object], told: str) -> None:
    own = before(lambda context: act(context, context.generator.module))
    analysis(told, "test_it_leaves_the_generator_as_it_was", **own)


def hook(context: Context, module: nn.Module) -> None:
    module.conv1.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]


def write_weights(context: Context, module: nn.Module) -> None:
    with torch.no_grad():
        next(module.parameters()).add_(1e-3)


def leave_gradients(context: Context, module: nn.Module) -> None:
    with torch.enable_grad():
        module(context.generator.sample(1).z).sum().backward()


left(hook, "forward hook was left on layer 'conv1'")
left(lambda context, module: setattr(module.conv1, "level", 0.5), "attribute 'level' of layer")
left(lambda context, module: module.train(), "in train mode")
left(write_weights, "the values of 'fc.weight' were changed")
left(leave_gradients, "parameter 'fc.weight' has a gradient")
left(lambda context, module: module.requires_grad_(False), "requires_grad of 'fc.weight'")


def changed(act: Callable[[Context], object], told: str) -> None:
    analysis(told, "test_it_leaves_the_process_as_it_was", **before(act))


changed(lambda _: torch.manual_seed(0), "torch's random state was changed")
changed(lambda _: np.random.seed(0), "numpy's random state was changed")
changed(lambda _: random.random(), "Python's random state was changed")
changed(lambda _: torch.set_num_threads(3), "torch's number of threads was changed")
changed(lambda _: Path("notes.txt").write_text("mine"), "files were written to the working folder")
changed(lambda _: os.environ.update(GANPROBE_TRIED="1"), "environment variables were changed")
changed(lambda _: sys.path.append("here"), "sys.path was changed")
changed(lambda _: warnings.filterwarnings("ignore", "mine"), "filters of warnings were changed")
changed(lambda _: plt.figure(), "figures of pyplot were left open")
changed(lambda _: torch.set_grad_enabled(False), "gradient mode was changed")
changed(lambda _: torch.set_default_dtype(torch.float64), "default dtype was changed")
changed(lambda _: plt.rcParams.update({"font.size": 31}), "matplotlib's style was changed")
changed(lambda _: np.seterr(all="ignore"), "floating-point errors was changed")
changed(lambda _: os.chdir(".."), "the working folder was changed")
analysis(
    "prints 'halfway", "test_it_prints_nothing", **before(lambda _: sys.stdout.write("halfway\n"))
)
analysis(
    "prints 'careful", "test_it_prints_nothing", **before(lambda _: sys.stderr.write("careful\n"))
)
DECLARED = "test_what_it_asks_the_context_for_is_declared"
analysis("calls context.sample; say uses_latents", DECLARED, **before(lambda c: c.sample(1)))
analysis(
    "calls context.activations; say uses_activations",
    DECLARED,
    **before(lambda c: list(c.activations(["conv1"], 2))),
)
analysis("never calls context.sample", DECLARED, uses_latents=True)
analysis("never calls context.activations", DECLARED, uses_activations=True)
analysis(
    "very same result for other --latents",
    "test_it_looks_at_the_samples_that_are_given",
    uses_latents=True,
    **before(lambda context: context.sample(1)),
)


def peek_at_the_file(context: Context) -> list[str]:
    list(context.activations(["conv1"], 2))
    return ["From a file." if context.activations_file else "From the generator."]


analysis(
    "finds another a finding",
    "test_recorded_activations_serve_as_well_as_the_generator",
    uses_activations=True,
    **findings(peek_at_the_file),
)
analysis(
    "never calls", "test_recorded_activations_serve_as_well_as_the_generator", uses_activations=True
)


def swallow(self: Brightness, context: Context, params: Any) -> Result:
    try:
        images = self.images(context, params)
    except Exception:
        images = torch.zeros(1, 3, 4, 4)
    return self.result(images)


def hook_and_raise(self: Brightness, context: Context, params: Any) -> Result:
    handle = context.generator.module.conv1.register_forward_hook(  # type: ignore[union-attr]
        lambda *_: None
    )
    result = Brightness.run(self, context, params)
    handle.remove()
    return result


RAISES = "test_a_generator_that_raises_is_told_and_left_as_it_was"
analysis("gives a result although the generator raised", RAISES, run=swallow)
analysis("leaves on a generator that raised: .*hook", RAISES, run=hook_and_raise)


def judged(context: Context) -> list[str]:
    images = context.generator.to_unit_range(context.probe.images(context.generator.sample(2)))
    try:
        context.measure("appearance")(images)
    except Exception:
        return ["There is no measure."]
    return ["There is one."]


analysis(
    "gives a result although a measure raised",
    "test_a_measure_that_raises_is_told",
    **findings(judged),
)


class Forgetful(list[str]):
    """Can be gone through once."""

    def __iter__(self) -> Iterator[str]:
        while self:
            yield self.pop()


FILES = "test_its_result_is_read_back_from_its_files"
analysis("json holds other", FILES, **findings(lambda _: Forgetful(["Once."])))


def blank(self: Brightness, images: Tensor) -> Result:
    drawing = Figure(MatplotlibFigure(figsize=(2, 2)), "Nothing.")
    return replace(Brightness.result(self, images), figures={"nothing": drawing})


def captionless(self: Brightness, images: Tensor) -> Result:
    result = Brightness.result(self, images)
    return replace(result, figures={"bare": replace(result.figures["brightness"], caption="")})


def small(self: Brightness, images: Tensor) -> Result:
    drawing = MatplotlibFigure(figsize=(0.1, 0.1), facecolor="red")
    return replace(Brightness.result(self, images), figures={"dot": Figure(drawing, "A dot.")})


FIGURES = "test_its_figures_can_be_looked_at"
analysis("figure 'nothing' is blank", FIGURES, result=blank)
analysis("caption of figure 'bare'", FIGURES, result=captionless)
analysis("figure 'dot' is 15 x 15 pixels", FIGURES, result=small)


def of_pairs(self: Brightness, context: Context, params: Any) -> Tensor:
    images = Brightness.images(self, context, params)
    return images.view(len(images) // 2, 2, *images.shape[1:]).mean(1)


def of_four(self: Brightness, context: Context, params: Any) -> Tensor:
    assert params.n_samples >= 4, "too few"
    return Brightness.images(self, context, params)


def spread_of(context: Context, n: int) -> list[str]:
    images = context.probe.images(context.generator.sample(n, seed=context.seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [f"The spread is {images.std(0).mean():.3f}."]


def with_spread(self: Brightness, context: Context, params: Any) -> Result:
    return replace(
        Brightness.run(self, context, params), findings=spread_of(context, params.n_samples)
    )


def refuse_few(self: Brightness, context: Context, params: Any) -> Tensor:
    from ganprobe import ParameterError

    if params.n_samples in (1, 7):
        raise ParameterError(f"--n-samples: {params.n_samples} is not to my liking")
    return Brightness.images(self, context, params)


FEWEST = "test_it_takes_the_fewest_samples_that_it_allows"
ODD = "test_it_takes_an_odd_number_of_samples"
analysis("too few", FEWEST, images=of_four)
analysis("tells a number that is none", FEWEST, run=with_spread)
analysis("allows n_samples=1 and refuses it: .*higher ge=", FEWEST, images=refuse_few)
analysis("shape '.3, 2, 3, 16, 16.' is invalid", ODD, images=of_pairs)
analysis("allows n_samples=7 and refuses it", ODD, images=refuse_few)


def by_batch(self: Brightness, context: Context, params: Any) -> Tensor:
    images = Brightness.images(self, context, params)
    parts = images.split(params.batch_size)
    return torch.cat([part - part.mean() for part in parts])


analysis(
    "with batches of 3 .* finds another array 'brightness'",
    "test_its_batch_size_changes_nothing_but_rounding",
    images=by_batch,
)


def colours_only(context: Context) -> None:
    assert context.probe.image_shape[0] == 3, "red, green and blue"


def flat_only(context: Context) -> None:
    weight = torch.ones(8, 2)
    context.generator.sample(2).z @ weight


def calls_the_module(context: Context) -> None:
    context.generator.module(context.generator.sample(2).z)


analysis(
    "does not take grey images: .*red, green", "test_it_takes_grey_images", **before(colours_only)
)
analysis(
    "does not take latents .8, 1, 1.",
    "test_it_takes_latents_with_axes_in_space",
    **before(flat_only),
)
analysis(
    "does not take a generator with classes",
    "test_it_takes_a_generator_with_classes",
    **before(calls_the_module),
)


def without_the_probe(self: Brightness, context: Context, params: Any) -> Tensor:
    latents = context.generator.sample(params.n_samples, seed=context.seed)
    torch.manual_seed(next(STEPS))
    with torch.no_grad():
        return context.generator.to_unit_range(context.generator.forward(latents))


analysis(
    "where the generator draws noise, two runs differ",
    "test_it_is_reproducible_where_the_generator_draws_noise",
    images=without_the_probe,
)


# Generators


def generator(
    told: str, name: str, make: Callable[[], Any], loader: GeneratorLoader | None = None
) -> None:
    """A generator that is made so fails this test with these words."""
    own = {"make_generator": lambda self: make(), "loader": loader}
    case(type("BadTests", (GeneratorTests,), own), name, told)


class Bad(nn.Module):
    """The tiny generator's module, of which `after` says what becomes of its images."""

    def __init__(self, after: Callable[[Tensor, Tensor], Any], **given: Any) -> None:
        super().__init__()
        self.inner = tiny_generator(**given).module
        self.after = after

    def forward(self, z: Tensor) -> Any:
        return self.after(self.inner(z), z)


def bad(after: Callable[[Tensor, Tensor], Any], **given: Any) -> Callable[[], Generator]:
    def make() -> Generator:
        module = Bad(after).eval()
        return Generator.from_module(module, latent=8, name="bad", **given)

    return make


def training() -> Generator:
    made = tiny_generator()
    made.module.train()
    return made


def unlike() -> Generator:
    return tiny_generator(seed=next(STEPS))


def in_float64() -> Generator:
    torch.set_default_dtype(torch.float64)
    return tiny_generator()


def deaf() -> Generator:
    """Its module asks no layer."""

    class Deaf(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.view(-1, 1, 2, 4)

    return Generator.from_module(Deaf().eval(), latent=8, name="deaf")


class Remembering(nn.Module):
    """Its images get brighter with every forward."""

    n: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module
        self.register_buffer("n", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            self.n.add_(0.01)
        images: Tensor = self.inner(z)
        return images + self.n


class Hooking(nn.Module):
    """Hooks itself where it sees that it is hooked."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module

    def forward(self, z: Tensor) -> Tensor:
        layer = self.inner.fc
        assert isinstance(layer, nn.Module)
        if layer._forward_hooks:
            layer.register_forward_pre_hook(lambda *_: None)
        images: Tensor = self.inner(z)
        return images


def of_module(kind: type[nn.Module], **given: Any) -> Callable[[], Generator]:
    return lambda: Generator.from_module(kind().eval(), latent=8, name="bad", **given)


class Whole(nn.Module):
    """Cannot be copied or pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module
        self.file = iter(range(3)), (one for one in range(3))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.inner(z)
        return images


class Single(nn.Module):
    """Makes tensors of float32 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.inner(z)
        return images @ torch.eye(16)


class Watched(nn.Module):
    """Makes darker images where one of its layers is hooked."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.inner(z)
        is_watched = any(layer._forward_hooks for layer in self.inner.modules())
        return images * 0.5 if is_watched else images


class Idle(nn.Module):
    """Has a layer that its images do not depend on, and takes a truncation that it ignores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny_generator().module
        self.mapping = nn.Linear(8, 4)

    def forward(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        self.mapping(z)
        images: Tensor = self.inner(z)
        return images


def with_truncation() -> Generator:
    call = Call(("$z",), {"truncation": "$truncation"})
    return Generator.from_module(Idle().eval(), latent=8, name="idle", call=call)


def whole_batch(images: Tensor, z: Tensor) -> Tensor:
    return images - images.mean(dim=0)


def class_blind() -> Generator:
    class Blind(Bad):
        def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
            images: Tensor = self.inner(z)
            return images

    module = Blind(lambda images, z: images).eval()
    return Generator.from_module(module, latent=8, name="blind", classes=Classes(3))


generator(
    "does not load: .*'bad is no loader'",
    "test_it_can_be_registered",
    tiny_generator,
    cast(GeneratorLoader, "bad is no loader"),
)
generator(
    "is typed after a command",
    "test_it_can_be_registered",
    tiny_generator,
    GeneratorLoader("my tiny", "Small.", tiny_generator),
)
generator("default dtype was changed", "test_loading_it_leaves_the_process_as_it_was", in_float64)
generator("again gives other weights", "test_it_loads_the_same_weights_each_time", unlike)
generator("in train mode; call module.eval", "test_it_loads_in_eval_mode_on_the_cpu", training)
generator(
    "is not JSON",
    "test_its_record_for_the_provenance_is_json",
    lambda: replace(tiny_generator(), source={"made": object()}),
)
generator(
    "makes no images: .*returned",
    "test_it_makes_images_of_its_latents",
    bad(lambda images, z: images[0]),
)
generator(
    "NaN or infinity", "test_it_makes_images_of_its_latents", bad(lambda images, z: images / 0)
)
generator(
    "images of torch.int32",
    "test_it_makes_images_of_its_latents",
    bad(lambda images, z: images.int()),
)
generator("it loads a Tensor", "test_it_makes_images_of_its_latents", lambda: torch.zeros(1))
RANGE = "test_its_images_are_in_their_range"
generator("are outside of its range", RANGE, bad(lambda images, z: images * 3))
generator("uses one half of its range", RANGE, bad(lambda images, z: images / 4 + 0.5))
generator(
    "another in another batch", "test_a_sample_does_not_depend_on_its_batch", bad(whole_batch)
)
generator(
    "other images a second time",
    "test_the_same_latents_give_the_same_images",
    of_module(Remembering),
)
generator(
    "the same image for two latents",
    "test_other_latents_give_other_images",
    bad(lambda images, z: images[:1].expand_as(images)),
)
generator(
    "are all zero",
    "test_gradients_reach_its_latents",
    bad(lambda images, z: images.detach() + 0 * z.sum()),
)
generator("does not run in float64", "test_it_runs_in_float64", of_module(Single))
generator("change it.*hook", "test_probing_leaves_it_as_it_was", of_module(Hooking))
generator(
    "change its weights or buffers", "test_probing_leaves_it_as_it_was", of_module(Remembering)
)
generator("cannot be copied: TypeError", "test_it_can_be_copied", of_module(Whole))
generator("the same images for class 0 and class 2", "test_its_classes_matter", class_blind)
generator("the same images with truncation", "test_its_truncation_matters", with_truncation)
INTERMEDIATE = "test_its_intermediate_latents_make_its_images"
generator("the same images for another w", INTERMEDIATE, of_module(Idle, w_site="mapping"))
generator(
    "the w_plus of a sample gives another", INTERMEDIATE, of_module(Watched, w_plus_site="inner.fc")
)
generator("no layers that run as modules", "test_its_layers_can_be_listed", deaf)
generator("recording .* gives other images", "test_recording_changes_nothing", of_module(Watched))
generator(
    "putting in .* gives other images",
    "test_what_was_recorded_gives_the_same_images_when_put_in",
    of_module(Watched),
)
generator("a sweep at", "test_sweeps_agree_with_plain_forwards", of_module(Remembering))
generator("cannot be pickled: ", "test_it_can_be_pickled", of_module(Whole))


# Measures and segmenters


class Means(Measure):
    """Mean brightness, and its square."""

    name, summary, columns = "means", "Mean brightness.", ("mean", "square")

    def measure(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([mean, mean * mean], 1).float()


class TestMeans(MeasureTests):
    measure = Means()


class Lit(Segmenter):
    """Lit and dark."""

    name, summary, classes = "lit", "What is lit.", ("lit", "dark")
    class_colours: tuple[str, ...] | None = ("gold", "black")

    def segment(self, images: Tensor) -> Tensor:
        is_lit = images.mean(dim=1, keepdim=True) > 0.5
        return torch.cat([is_lit, ~is_lit], dim=1)

    def soft(self, images: Tensor) -> Tensor:
        level = (20 * (images.mean(dim=1, keepdim=True) - 0.5)).sigmoid()
        return torch.cat([level, 1 - level], dim=1)


class TestLit(SegmenterTests):
    segmenter = Lit()


def measure(
    told: str, name: str, /, of: Callable[[Tensor], Tensor] | None = None, **own: Any
) -> None:
    """`Means`, whose `of` makes the images that it measures, or but for `own`, fails this test."""
    if of is not None:
        made = of
        own["measure"] = lambda self, images: Means.measure(self, made(images))
    bad_measure = type("BadMeasure", (Means,), own)
    case(type("BadTests", (MeasureTests,), {"measure": bad_measure()}), name, told)


def segmenter(told: str, name: str, /, **own: Any) -> None:
    """`Lit` but for `own` fails this test."""
    bad_segmenter = type("BadSegmenter", (Lit,), own)
    case(type("BadTests", (SegmenterTests,), {"segmenter": bad_segmenter()}), name, told)


KEPT: list[Tensor] = []


def dim_in_place(images: Tensor) -> Tensor:
    return images.mul_(0.5)


def keep(images: Tensor) -> Tensor:
    KEPT.append(images)
    return images


def draw_first(act: Callable[[], object]) -> Callable[[Tensor], Tensor]:
    def made(images: Tensor) -> Tensor:
        act()
        return images

    return made


def one_only(images: Tensor) -> Tensor:
    assert len(images) > 1, "one is too few"
    return images


def evenly(images: Tensor) -> Tensor:
    assert len(images) % 2 == 0 or len(images) in (1, 7), "an odd number"
    return images


def single_only(images: Tensor) -> Tensor:
    assert images.dtype == torch.float32, "float32 alone"
    return images


measure("does not load: .*'columns'", "test_it_can_be_registered", columns=["mean", "square"])
measure("take letters", "test_its_name_and_summary_can_be_listed", name="mean=1")
measure("the summary of measure", "test_its_name_and_summary_can_be_listed", summary="")
measure(
    "fits images .1, 16, 16., and refuses them",
    "test_it_takes_the_images_that_it_says",
    lambda images: images.reshape(len(images), 3, 16, 16),
)
measure("one is too few", "test_it_takes_one_image", one_only)
measure("in another batch", "test_it_takes_one_image", lambda images: images / images.amax())
measure("an odd number", "test_it_takes_an_odd_number_of_images", evenly)
measure(
    "in another batch",
    "test_the_order_of_images_does_not_matter",
    lambda images: images * torch.linspace(0.5, 1, len(images)).view(-1, 1, 1, 1),
)
measure(
    "a second time",
    "test_the_same_images_give_the_same_values",
    lambda images: images + 0.1 * torch.rand_like(images),
)
measure("writes into the images", "test_it_does_not_write_into_the_images", dim_in_place)
measure(
    "not contiguous",
    "test_it_takes_images_of_any_layout_in_memory",
    lambda images: images.view(len(images), -1).view_as(images),
)
measure("does not take images in float64", "test_it_takes_images_in_float64", single_only)
measure("keeps the images", "test_it_keeps_no_images", keep)
measure(
    "torch's random state",
    "test_it_leaves_the_process_as_it_was",
    draw_first(lambda: torch.rand(1)),
)
measure("prints 'mine", "test_it_prints_nothing", draw_first(lambda: sys.stdout.write("mine")))
measure("has a column 'a=b'", "test_its_columns_can_be_named", columns=("a=b", "c"))
measure("has two columns a", "test_its_columns_can_be_named", columns=("a", "a"))
measure("has no columns", "test_its_columns_can_be_named", columns=())
measure(
    "gives torch.int64",
    "test_it_gives_one_number_for_each_image_and_column",
    measure=lambda self, images: torch.zeros(len(images), 2, dtype=torch.int64),
)
measure(
    "gives NaN or infinity in mean, square",
    "test_its_numbers_are_finite",
    lambda images: images / 0,
)
measure(
    "infinity for an image of 0 everywhere",
    "test_its_numbers_are_finite",
    lambda images: 1 / images,
)
measure(
    "the same numbers for 7 different",
    "test_it_tells_images_apart",
    lambda images: torch.ones_like(images),
)


def with_a_graph(self: Means, images: Tensor) -> Tensor:
    with torch.enable_grad():
        return Means.measure(self, images)


measure("with a graph; detach", "test_its_numbers_hold_no_graph", measure=with_a_graph)


def no_masks(self: Lit, images: Tensor) -> Tensor:
    return torch.zeros(len(images), 0, *images.shape[2:], dtype=torch.bool)


def flat_soft(self: Lit, images: Tensor) -> Tensor:
    return Lit.soft(self, images)[:, :1]


segmenter(
    "has no classes",
    "test_its_masks_are_one_for_each_class",
    classes=(),
    class_colours=None,
    argument="ANY",
    segment=no_masks,
)
segmenter(
    "finds nothing in",
    "test_it_finds_something",
    segment=lambda self, images: torch.zeros_like(Lit.segment(self, images)),
)
segmenter(
    "finds everything in",
    "test_it_finds_something",
    segment=lambda self, images: torch.ones_like(Lit.segment(self, images)),
)
segmenter(
    "does not know: .'brightish'.",
    "test_its_colours_can_be_drawn",
    class_colours=("gold", "brightish"),
)
SOFT = "test_its_soft_masks_are_shares"
segmenter("has soft masks .7, 1, 16, 16.", SOFT, soft=flat_soft)
segmenter("outside of .0, 1.", SOFT, soft=lambda self, images: 2 * Lit.soft(self, images))
segmenter(
    "on the other side of one half", SOFT, soft=lambda self, images: 1 - Lit.soft(self, images)
)
THROUGH = "test_gradients_go_through_its_soft_masks"
segmenter(
    "no gradients go through", THROUGH, soft=lambda self, images: Lit.soft(self, images).detach()
)
segmenter(
    "are all zero",
    THROUGH,
    soft=lambda self, images: Lit.soft(self, images).detach() + 0 * images.sum(),
)
segmenter(
    "are not finite",
    THROUGH,
    soft=lambda self, images: (
        (images - images.detach()).sqrt().mean(1, keepdim=True) + Lit.soft(self, images).detach()
    ),
)
segmenter(
    "other values in another batch",
    "test_it_takes_one_image",
    segment=lambda self, images: Lit.segment(self, images - images.mean() + 0.5),
)


@pytest.mark.parametrize(
    ("tests", "name", "told"), CASES, ids=[f"{name}-{told}" for _, name, told in CASES]
)
def test_a_plugin_with_a_fault_fails(tests: type[ConformanceTests], name: str, told: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(AssertionError, match=f"(?s){told}") as failed:
            getattr(tests(), name)()
    assert "\n" not in str(failed.value), "a failure is told in one sentence"


def test_every_test_is_seen_to_fail() -> None:
    failing = {name for _, name, _ in CASES}
    kinds = (AnalysisTests, GeneratorTests, MeasureTests, SegmenterTests)
    there = {name for kind in kinds for name in dir(kind) if name.startswith("test_")}
    assert there == failing


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (AnalysisTests, "write analysis = "),
        (GeneratorTests, "write loader = "),
        (MeasureTests, "write measure = "),
        (SegmenterTests, "write segmenter = "),
    ],
)
def test_who_says_nothing_of_what_is_tested_is_told_how(
    kind: type[ConformanceTests], told: str
) -> None:
    forgetful = type("TestForgetful", (kind,), {})()
    name = "test_loading_it_leaves_the_process_as_it_was"
    test = getattr(forgetful, name if kind is GeneratorTests else "test_it_can_be_registered")
    with pytest.raises(AssertionError, match=f"TestForgetful says nothing of .*{told}"):
        test()


def test_parameters_that_there_are_not_are_told() -> None:
    given = {"analysis": Brightness, "params": {"n_sample": 3}}
    tests = type("TestMisspelt", (AnalysisTests,), given)()
    told = "params of TestMisspelt do not fit analysis 'brightness': .*--n-sample"
    for name in (
        "test_it_runs_and_finds_something",
        "test_its_parameters_can_be_given_on_the_command_line",
    ):
        with pytest.raises(AssertionError, match=told):
            getattr(tests, name)()


def excused(**reasons: str) -> AnalysisTests:
    tests = type("Excused", (AnalysisTests,), {"analysis": Brightness, "excused": reasons})()
    assert isinstance(tests, AnalysisTests)
    return tests


def test_a_test_that_is_excused_is_skipped_with_its_reason() -> None:
    tests = excused(test_it_takes_grey_images="it is about colours")
    with pytest.raises(pytest.skip.Exception, match="it is about colours"):
        tests.setup_method(tests.test_it_takes_grey_images)
    tests.setup_method(tests.test_it_prints_nothing)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ({"test_it_takes_gray_images": "colours"}, "no test .*nearest: test_it_takes_grey_images"),
        ({"test_it_takes_grey_images": " "}, "gives no reason for test_it_takes_grey_images"),
    ],
)
def test_an_excuse_without_test_or_reason_fails(reasons: dict[str, str], told: str) -> None:
    tests = excused(**reasons)
    with pytest.raises(AssertionError, match=told):
        tests.setup_method(tests.test_it_prints_nothing)


@pytest.mark.slow
def test_pytest_runs_what_is_subclassed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from ganprobe import find_measure\n"
        "from ganprobe.testing import AnalysisTests, MeasureTests\n\n\n"
        "class TestMine(MeasureTests):\n"
        "    measure = find_measure('appearance')\n"
        "    excused = {'test_it_takes_one_image': 'two are taken'}\n\n\n"
        "class TestForgetful(AnalysisTests):\n"
        "    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    n_of_measures = sum(name.startswith("test_") for name in dir(MeasureTests))
    n_of_analyses = sum(name.startswith("test_") for name in dir(AnalysisTests))
    told = done.stdout
    assert f"{n_of_analyses} failed, {n_of_measures - 1} passed, 1 skipped" in told
    assert "two are taken" in told
    assert "TestForgetful says nothing of which it tests; write analysis = YourClass" in told
