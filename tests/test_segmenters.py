"""Segmenters and the areas they give: what is checked of a stranger's, and how they are written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    AreaMeasure,
    Context,
    Generator,
    Measure,
    ParameterError,
    PluginError,
    Probe,
    SampleChoice,
    Segmenter,
    ShapeError,
    UnknownNameError,
    find_measure,
    find_segmenter,
)
from ganprobe import catalogue as module
from ganprobe.plugins import PluginRecord, discover
from ganprobe.segmenters import check_segmenter


class Halves(Segmenter):
    """Where each half of the image is lit; with an argument, by more than so many per cent."""

    name, summary, argument = "halves", "left and right, where they are lit", "PER-CENT"
    classes: tuple[str, ...] = ("left", "right half", "dark")
    class_colours: tuple[str, ...] | None = ("red", "green", "black")

    def __init__(self, limit: float = 50.0, name: str = "halves") -> None:
        self.limit, self.name = limit / 100, name

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        return Halves(float(argument), f"halves:{argument}")

    def segment(self, images: Tensor) -> Tensor:
        is_lit = images[:, 0] > self.limit
        is_left = torch.arange(images.shape[3]) < images.shape[3] // 2
        return torch.stack([is_lit & is_left, is_lit & ~is_left, ~is_lit], 1)


class Marked(nn.Module):
    """Latents (n, 2): by how much the left and the right half of a grey image are lit."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        sides: Tensor = self.maps(z.sigmoid()[:, :, None, None].expand(-1, -1, 4, 3).clone())
        return torch.cat([sides[:, :1], sides[:, 1:]], 3)


@pytest.fixture
def generator() -> Generator:
    return Generator.from_module(Marked().eval(), latent=2, image_range=(0.0, 1.0), name="marked")


def record_of(*offered: Segmenter) -> PluginRecord:
    return PluginRecord("tests", "tests", "tests", "loaded", segmenters=offered)


@pytest.fixture
def context(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(module, "plugins", lambda: (record_of(Halves()),))
    return Context(Probe(generator), 0, find_measure, find_segmenter=find_segmenter)


def images_of(context: Context, n_samples: int) -> Tensor:
    return context.probe.images(context.generator.sample(n_samples, seed=context.seed))


def giving(masks: Any, **attributes: Any) -> Segmenter:
    """A segmenter of two classes that gives these masks, or what a function makes of images."""

    class Given(Segmenter):
        name, summary, classes = "given", "whatever it is told", ("a", "b")

        def segment(self, images: Tensor) -> Tensor:
            given: Tensor = masks(images) if callable(masks) else masks
            return given

    for name, value in attributes.items():
        setattr(Given, name, value)
    return Given()


@pytest.mark.parametrize(
    ("masks", "told"),
    [
        (torch.ones(3, 2, 4, 5), r"gave float32 \(3, 2, 4, 5\) on cpu .* must give bool"),
        (torch.ones(3, 2, 4, 4).bool(), r"gave bool \(3, 2, 4, 4\) on cpu for images \(3, 1, 4, 5"),
        (torch.ones(3, 1, 4, 5).bool(), r"and 2 classes; it must give bool \(3, 2, 4, 5\)"),
        (torch.ones(2, 2, 4, 5).bool(), r"gave bool \(2, 2, 4, 5\)"),
        (torch.ones(3, 4, 5).bool(), r"gave bool \(3, 4, 5\)"),
        (torch.ones(3, 2, 4, 5, device="meta").bool(), r"on meta for images .* on cpu$"),
        ([[True]], "gave a list; it must give a tensor"),
        (None, "gave a NoneType; it must give a tensor"),
    ],
)
def test_masks_of_another_shape_dtype_or_device_are_refused(masks: Any, told: str) -> None:
    with pytest.raises(PluginError, match=f"^segmenter 'given' .*{told}"):
        giving(masks)(torch.zeros(3, 1, 4, 5))


def test_images_that_a_segmenter_does_not_take_are_refused() -> None:
    picky = giving(lambda images: images.new_ones(len(images), 2, 4, 5).bool())
    picky.image_shape = (1, 4, 5)
    assert picky(torch.zeros(3, 1, 4, 5)).all()
    told = r"segmenter 'given' takes images \(n, 1, 4, 5\), got \(3, 3, 4, 5\)"
    with pytest.raises(ShapeError, match=told):
        picky(torch.zeros(3, 3, 4, 5))
    with pytest.raises(ShapeError, match=r"images \(n, channels, height, width\), got \(4, 5\)"):
        Halves()(torch.zeros(4, 5))


def test_what_a_segmenter_raises_is_told_with_the_images_and_the_line() -> None:
    def fail(images: Tensor) -> Tensor:
        raise ZeroDivisionError("no pixels")

    told = r"'given' raised ZeroDivisionError on images \(1, 1, 2, 2\): no pixels \(.*\.py:\d+\)"
    with pytest.raises(PluginError, match=told) as raised:
        giving(fail)(torch.zeros(1, 1, 2, 2))
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [ParameterError("one channel"), MemoryError()])
def test_own_errors_and_a_full_memory_pass_as_they_are(error: Exception) -> None:
    def fail(images: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)) as raised:
        giving(fail)(torch.zeros(1, 1, 2, 2))
    assert raised.value is error


def test_a_segmenter_runs_without_gradients() -> None:
    images = torch.rand(2, 1, 3, 3, requires_grad=True)
    seen: list[bool] = []

    def look(images: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return (images > 0.5).expand(-1, 2, -1, -1)

    giving(look)(images)
    assert seen == [False]


def test_a_class_has_a_place_and_a_wrong_one_names_the_nearest() -> None:
    assert Halves().place_of("right half") == 1
    told = "no class 'lefft' in segmenter 'halves'; nearest: left.*it has: left, right half, dark"
    with pytest.raises(UnknownNameError, match=told):
        Halves().place_of("lefft")


@pytest.mark.parametrize("n_images", [0, 1, 5])
def test_an_area_is_the_share_of_pixels_in_a_class(n_images: int) -> None:
    images = torch.rand(n_images, 1, 7, 9, generator=torch.Generator().manual_seed(n_images))
    measure = AreaMeasure(Halves())
    masks = Halves()(images).numpy()
    expected = masks.reshape(n_images, 3, 63).sum(axis=2) / 63
    assert measure(images).shape == (n_images, 3)
    assert measure(images).double().numpy() == pytest.approx(expected, abs=1e-6)
    assert (measure.name, measure.columns) == ("area:halves", Halves.classes)


def test_an_area_takes_the_images_that_its_segmenter_takes() -> None:
    class Square(Halves):
        def fits(self, image_shape: tuple[int, ...]) -> bool:
            return image_shape[1] == image_shape[2]

    assert AreaMeasure(Square()).fits((1, 4, 4))
    assert not AreaMeasure(Square()).fits((1, 4, 5))


def test_a_segmenter_is_found_by_its_name_and_argument(context: Context) -> None:
    assert find_segmenter("halves").name == "halves"
    made = find_segmenter("halves:80")
    assert isinstance(made, Halves)
    assert (made.name, made.limit) == ("halves:80", 0.8)
    assert context.segmenter("halves:80").name == "halves:80"
    assert find_measure("area:halves:80").name == "area:halves:80"
    assert made.written == "halves:80"
    assert Halves().written == "halves[:PER-CENT]"


class Needy(Halves):
    name, classes, class_colours = "needy", (), None

    def __init__(self) -> None:
        self.name = "needy"

    def with_argument(self, argument: str, find_measure: Callable[[str], Measure]) -> Segmenter:
        if argument == "itself":
            return self
        if argument == "words":
            return argument  # type: ignore[return-value]
        return super().with_argument(argument, find_measure)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("halvs", UnknownNameError, "no segmenter 'halvs'; nearest: halves.*ganprobe plugins"),
        ("halves:", ParameterError, r"'halves:' needs something .*; write halves\[:PER-CENT\]"),
        ("needy", ParameterError, "'needy' needs something behind its colon; write needy:PER-CENT"),
        ("plain:", ParameterError, "segmenter 'plain:' takes no colon; write plain"),
        ("plain:3", ParameterError, "'plain' takes nothing behind its name, got '3'; write plain"),
        ("halves:x", PluginError, r"'halves:x' raised ValueError: .*'x' \(.*segmenters\.py:\d+\)"),
        ("needy:words", PluginError, "'words' is no Segmenter"),
        ("needy:itself", PluginError, "segmenter 'needy:itself' has no classes"),
    ],
)
def test_a_segmenter_that_cannot_be_had_says_why(
    name: str, kind: type[Exception], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(Halves(), Needy(), giving(None, name="plain"))
    monkeypatch.setattr(module, "plugins", lambda: (record,))
    for find, given in ((find_segmenter, name), (find_measure, f"area:{name}")):
        with pytest.raises(kind, match=told):
            find(given)


def test_the_context_refuses_what_does_not_take_the_generators_images(context: Context) -> None:
    picky, square = giving(None), giving(None)
    picky.image_shape = (3, 9, 9)
    square.fits = lambda image_shape: False  # type: ignore[method-assign]
    for segmenter, told in (
        (picky, r"takes images \(3, 9, 9\), but generator 'marked' makes \(1, 4, 6\)"),
        (square, r"does not take the images \(1, 4, 6\) of generator 'marked'"),
    ):
        own = Context(
            context.probe,
            0,
            lambda name, segmenter=segmenter: AreaMeasure(segmenter),  # type: ignore[misc]
            find_segmenter=lambda name, segmenter=segmenter: segmenter,  # type: ignore[misc]
        )
        with pytest.raises(PluginError, match=f"segmenter 'given' {told}"):
            own.segmenter("given")
        with pytest.raises(PluginError, match=f"measure 'area:given' {told}"):
            own.measure("area:given")


def test_a_context_without_segmenters_knows_none(generator: Generator) -> None:
    with pytest.raises(UnknownNameError, match="no segmenter 'halves'"):
        Context(Probe(generator), 0, find_measure).segmenter("halves")


@pytest.mark.parametrize(
    ("written", "name", "place"),
    [
        ("area:halves=left", "area:halves", 0),
        (" area:halves = right half ", "area:halves", 1),
        ("area:halves.dark", "area:halves", 2),
        ("area:halves:80=dark", "area:halves:80", 2),
        ("area:halves:12.5=dark", "area:halves:12.5", 2),
        ("area:halves:12.5.dark", "area:halves:12.5", 2),
    ],
)
def test_a_class_is_a_column_of_its_area(
    context: Context, written: str, name: str, place: int
) -> None:
    measure, column = context.column(written)
    assert (measure.name, column) == (name, place)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("area:halves", "'area:halves' has 3 columns: left, right half, dark; name one, as area:"),
        ("area:halves=up", "no column 'up' in measure 'area:halves'; nearest: "),
        ("area:halvs=left", "no segmenter 'halvs'; nearest: halves"),
        ("area:", "no segmenter ''; nearest: halves"),
    ],
)
def test_a_class_that_is_not_there_names_those_that_are(
    context: Context, written: str, told: str
) -> None:
    with pytest.raises((ParameterError, UnknownNameError), match=told):
        context.column(written)


def chosen(context: Context, text: str, n_samples: int) -> Sequence[int]:
    indices = context.latents(text, n_samples).indices
    assert indices is not None
    return indices


def test_samples_are_chosen_by_areas(context: Context) -> None:
    areas = AreaMeasure(Halves())(images_of(context, 64))
    largest = areas.argmax(1)
    assert 5 < int((largest == 2).sum()) < 40
    wanted = torch.nonzero(largest == 2).flatten()[:5].tolist()
    assert list(chosen(context, "area:halves=dark", 5)) == wanted
    lit_right = torch.nonzero(areas[:, 1] > 0.25).flatten()[:5].tolist()
    assert list(chosen(context, "area:halves.right half>0.25", 5)) == lit_right
    assert list(chosen(context, "area:halves.right half", 5)) == lit_right  # above 0 is all of it
    both = torch.nonzero((areas[:, :2] > 0.25).all(1)).flatten()[:3].tolist()
    assert list(chosen(context, "area:halves.left>0.25 & area:halves.right half>0.25", 3)) == both


def test_samples_are_chosen_by_areas_with_an_argument(context: Context) -> None:
    images = images_of(context, 64)
    areas = AreaMeasure(Halves(62.5))(images)
    wanted = torch.nonzero(areas[:, 2] < 0.75).flatten()[:4].tolist()
    assert list(chosen(context, "area:halves:62.5.dark<0.75", 4)) == wanted
    meets = context.meets("area:halves:62.5.dark<0.75", images)
    assert torch.nonzero(meets).flatten()[:4].tolist() == wanted


def test_a_condition_on_an_area_without_a_class_is_told(context: Context) -> None:
    for text in ("area:halves", "area:halves>0.5"):
        assert SampleChoice.parse(text).conditions[0].column is None
        with pytest.raises(ParameterError, match="'area:halves' has 3 columns: left, right half"):
            context.latents(text, 1)


def test_ablating_what_draws_a_half_takes_its_area_away(context: Context) -> None:
    measure, column = context.column("area:halves=left")
    latents = context.latents("area:halves.left>0.25 & area:halves.right half>0.25", 4)
    edits = [Ablate("maps", units=[unit]) for unit in (0, 1)]
    values = context.probe.sweep(latents, edits, measure).values[..., column]
    assert values.tolist() == [[0.0] * 4, [0.5] * 4]


GOOD = """
import torch
from ganprobe import Segmenter, hookimpl

class Lit(Segmenter):
    name = "lit"
    summary = "What is lit."
    classes = ("lit", "dark")

    def segment(self, images):
        is_lit = images.mean(dim=1, keepdim=True) > 0.5
        return torch.cat([is_lit, ~is_lit], dim=1)

@hookimpl
def register_segmenters():
    return [Lit()]
"""

BAD = {
    "not_one": (GOOD.replace("[Lit()]", "[Lit]"), "register_segmenters gave .*, which is no Segm"),
    "raising": (GOOD.replace("[Lit()]", "[Lit() / 2]"), r"TypeError: .*raising\.py:16\)"),
    "abstract": (GOOD.replace("def segment", "def divide"), r"abstract.*\(.*abstract\.py:16\)"),
    "importing": (GOOD.replace("import torch", "import no_such"), r"importing\.py:2\)"),
    "unnamed": (GOOD.replace('name = "lit"', "name = 3"), "Lit needs an attribute 'name', a str"),
    "silent": (GOOD.replace('summary = "What is lit."', ""), "Lit needs an attribute 'summary'"),
    "no_tuple": (GOOD.replace('("lit", "dark")', '["lit"]'), "attribute 'classes', a tuple"),
    "no_class": (GOOD.replace('("lit", "dark")', "()"), "Lit has no classes"),
    "no_words": (GOOD.replace('("lit", "dark")', '("lit", 1)'), "Lit has a class of the name 1"),
    "empty_word": (GOOD.replace('"dark")', '" ")'), "Lit has a class of the name ' '"),
    "twice": (GOOD.replace('"dark")', '"lit")'), "Lit has two classes of the name 'lit'"),
    "colon": (GOOD.replace('name = "lit"', 'name = "lit:2"'), "'lit:2' has more in its name"),
    "dotted": (GOOD.replace('name = "lit"', 'name = "lit.2"'), "'lit.2' has more in its name"),
    "colours": (
        GOOD.replace('"dark")', '"dark")\n    class_colours = ("red",)'),
        "Lit has 1 colours for 2 classes",
    ),
    "argument": (
        GOOD.replace('"dark")', '"dark")\n    argument = "LIMIT"'),
        "Lit takes 'LIMIT', and defines no with_argument",
    ),
    "unsaid": (
        GOOD.replace("def segment", "def with_argument(self, *given): ...\n    def segment"),
        "Lit defines with_argument; say what it takes with 'argument'",
    ),
    "taken": (GOOD, "the segmenter name 'lit' is taken by plugin 'good'"),
    "misspelt": (GOOD.replace("register_segmenters", "register_segmenter"), "no hook 'register_se"),
    "ours": (
        "from ganprobe import Measure, hookimpl\n"
        "class Own(Measure):\n"
        "    name, summary, columns = 'area:mine', 'mine', ('a',)\n"
        "    def measure(self, images): ...\n"
        "@hookimpl\n"
        "def register_measures():\n    return [Own()]",
        "measure 'area:mine' starts with 'area:', which is ours",
    ),
}


@pytest.fixture
def entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., EntryPoint]:
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, source: str) -> EntryPoint:
        own = f"segmenting_{name}"
        (tmp_path / f"{own}.py").write_text(source)
        monkeypatch.delitem(sys.modules, own, raising=False)
        return EntryPoint(name, own, "ganprobe")

    return make


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_segmenter_harms_only_its_plugin_which_says_why(
    fault: str, entry_point: Callable[..., EntryPoint]
) -> None:
    source, reason = BAD[fault]
    records = discover([entry_point(fault, source), entry_point("good", GOOD)])
    by_name = {record.name: record for record in records}
    good = by_name.pop("good")
    assert by_name[fault].state == "failed"
    assert re.search(reason, by_name[fault].reason), by_name[fault].reason
    assert [one.name for one in good.segmenters] == ["lit"]
    assert by_name[fault].segmenters == ()


def test_a_good_segmenter_is_taken_and_checked() -> None:
    check_segmenter(Halves())


def test_segmenters_are_listed_with_their_arguments(
    ganprobe_command: Callable[..., Any],
) -> None:
    listed = {one["name"]: one for one in json.loads(ganprobe_command("plugins", "--json").out)}
    assert "luminance" in listed["segmenters"]["segmenters"]
    assert listed["units"]["segmenters"] == []
    table = " ".join(ganprobe_command("plugins").out.split())
    assert "segmenters: class:MEASURE, colours[:COLOUR,COLOUR,...]," in table
    assert "painted:FILE, position[:ROWSxCOLUMNS], torchvision:MODEL[@FILE]" in table
