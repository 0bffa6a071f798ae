"""What the guide to plugins says works as it stands."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import torch
from safetensors.torch import save_file

from ganprobe import (
    Analysis,
    Context,
    GeneratorLoader,
    Measure,
    ParameterError,
    Params,
    Probe,
    Result,
    Segmenter,
    hookspecs,
    params,
)
from ganprobe.catalogue import every_measure, find_measure
from ganprobe.cli.flags import flags_of
from ganprobe.plugins import PluginRecord, discover, plugins
from ganprobe.testing import (
    AnalysisTests,
    GeneratorTests,
    MeasureTests,
    SegmenterTests,
    tiny_generator,
)

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "plugins" / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE))
NAMES = {
    "An analysis": ["guide_carriers"],
    "A generator": ["ganprobe_shirts.network", "ganprobe_shirts"],
    "A measure": ["guide_balance"],
    "A segmenter": ["guide_lit"],
}
"""The modules that the programs of a section are."""


def programs(section: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The guide's programs as files that can be imported, where the generator has its weights."""
    folder = tmp_path_factory.mktemp("guide")
    for section, names in NAMES.items():
        for name, program in zip(names, programs(section), strict=True):
            is_package = name == "ganprobe_shirts"
            place = folder / name.replace(".", "/") / "__init__.py"
            file = place if is_package else folder / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(program)
    sys.path.insert(0, str(folder))
    _write_weights(folder / "ganprobe_shirts" / "weights")
    yield folder
    sys.path.remove(str(folder))
    for name in [name for names in NAMES.values() for name in names]:
        sys.modules.pop(name, None)


def _write_weights(folder: Path) -> None:
    network: Any = importlib.import_module("ganprobe_shirts.network")

    folder.mkdir()
    with torch.random.fork_rng(devices=[]):
        for steps in (50_000, 200_000):
            torch.manual_seed(steps)
            save_file(network.Shirts().state_dict(), folder / f"shirts-{steps}.safetensors")


def record(section: str) -> PluginRecord:
    (found,) = discover([EntryPoint("guide", NAMES[section][-1], "ganprobe")])
    assert found.state == "loaded", found.reason
    return found


class TestCarriers(AnalysisTests):
    @property
    def analysis(self) -> Any:  # type: ignore[override]
        return record("An analysis").analyses[0]

    params = {"site": "conv1", "n_samples": 8}  # noqa: RUF012


class TestShirts(GeneratorTests):
    @property
    def loader(self) -> Any:  # type: ignore[override]
        return record("A generator").generators[0]


class TestBalance(MeasureTests):
    @property
    def measure(self) -> Any:  # type: ignore[override]
        return record("A measure").measures[0]


class TestLit(SegmenterTests):
    @property
    def segmenter(self) -> Any:  # type: ignore[override]
        return record("A segmenter").segmenters[0]


class TestLitAt30(SegmenterTests):
    @property
    def segmenter(self) -> Any:  # type: ignore[override]
        return record("A segmenter").segmenters[0].with_argument("30", find_measure)


def test_the_analysis_ranks_units_by_what_they_carry() -> None:
    analysis = record("An analysis").analyses[0]
    generator = tiny_generator()
    context = Context(Probe(generator), 0, find_measure, list_measures=every_measure)
    given = analysis.Params.parse({"site": "conv1#0-5", "n_samples": "12", "top": 3})
    result = analysis().run(context, given)
    effects = result.arrays["effect"].values
    kept = result.unit_sets["carriers"]
    assert kept.site == "conv1"
    assert list(kept.units) == [int(unit) for unit in effects.argsort(kind="stable")[:3]]
    assert list(result.coordinates["unit"]) == [0, 1, 2, 3, 4, 5]


def test_the_generator_takes_arguments_of_its_types(modules: Path) -> None:
    loader = record("A generator").generators[0]
    early, late = loader.make(steps=50_000), loader.make()
    assert late.source["weights"] == "shirts-200000.safetensors"
    latents = early.sample(2, seed=0)
    assert not torch.equal(early.forward(latents), late.forward(latents))
    labels = late.with_class("coat").sample(2).labels
    assert labels is not None
    assert labels.tolist() == [2, 2]
    with pytest.raises(Exception, match=r"shirts-7\.safetensors"):
        loader.make(steps=7)


def test_the_measure_tells_right_from_left_and_top_from_bottom() -> None:
    measure = record("A measure").measures[0]
    image = torch.zeros(1, 3, 6, 9)
    image[..., :3, 5:] = 1.0
    right, bottom = measure(image)[0]
    assert right > 0.05 > -0.05 > bottom
    assert torch.allclose(measure(torch.ones(1, 1, 5, 4)), torch.zeros(1, 2), atol=1e-6)


def test_the_segmenter_takes_a_level() -> None:
    segmenter = record("A segmenter").segmenters[0]
    images = torch.tensor([0.2, 0.9]).view(1, 1, 1, 2)
    assert segmenter(images).int().tolist() == [[[[0, 1]], [[1, 0]]]]
    at_ten = segmenter.with_argument("10", find_measure)
    assert (at_ten.name, at_ten(images)[0, 0].tolist()) == ("lit:10", [[True, True]])
    with pytest.raises(ParameterError, match="lit takes per cent of white, as lit:80, got 'x'"):
        segmenter.with_argument("x", find_measure)


@pytest.mark.parametrize("section", ["Parameters", "Testing on planted answers"])
def test_the_other_programs_run(section: str) -> None:
    (program,) = programs(section)
    module = types.ModuleType("guide_program")
    exec(compile(program, "plugins/README.md", "exec", dont_inherit=True), module.__dict__)


# The reference


def listed(section: str) -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line]


def signature(function: Callable[..., Any]) -> str:
    return str(inspect.signature(function)).replace("'", "")


def test_every_hook_is_documented_with_its_signature() -> None:
    documented = {line for line in listed("The hooks") if line.startswith("register_")}
    specified = {
        f"{name}{signature(hook)}"
        for name, hook in inspect.getmembers(hookspecs, inspect.isfunction)
        if name.startswith("register_")
    }
    assert documented == specified


@pytest.mark.parametrize("offered", [Analysis, Measure, Segmenter])
def test_every_member_of_what_hooks_return_is_documented(offered: type) -> None:
    name = offered.__name__
    documented = {line for line in listed("The hooks") if line.startswith(f"{name}.")}
    members = {key: value for key, value in vars(offered).items() if not key.startswith("_")}
    expected = {
        f"{name}.{key}{signature(value)}" for key, value in members.items() if callable(value)
    }
    for key, value in members.items():
        if isinstance(value, property):
            assert value.fget is not None
            kind = str(inspect.signature(value.fget).return_annotation)
            expected.add(f"{name}.{key}: {kind}")
    for key, kind in offered.__annotations__.items():
        kind = re.sub(r"^ClassVar\[(.*)\]$", r"\1", kind).replace("'", "")
        has_default = key in members
        default = members.get(key)
        plain = dict(default) if isinstance(default, Mapping) else default
        shown = '""' if default == "" else repr(plain)
        expected.add(f"{name}.{key}: {kind}" + (f" = {shown}" if has_default else ""))
    assert documented == expected


def test_the_loader_is_documented_with_its_signature() -> None:
    (documented,) = [line for line in listed("The hooks") if line.startswith("GeneratorLoader")]
    assert documented == f"GeneratorLoader{signature(GeneratorLoader)}".removesuffix(" -> None")


def named_in_table(section: str) -> set[str]:
    first_cells = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    codes = [code for cell in first_cells for code in re.findall(r"`([^`]+)`", cell)]
    return {re.split(r"\W", code)[0] for code in codes}


def test_every_member_of_the_context_is_named() -> None:
    members = {name for name in dir(Context) if not name.startswith("_")}
    members |= set(Context.__dataclass_fields__)
    text = SECTIONS["The context"]
    assert not {name for name in members if f"`{name}" not in text}
    unknown = named_in_table("The context") - members
    assert not unknown


def test_every_part_of_a_result_is_named() -> None:
    assert named_in_table("The result") == set(Result.__dataclass_fields__)
    methods = {name for name, _ in inspect.getmembers(Result, inspect.isfunction)}
    for name in methods - {name for name in methods if name.startswith("_")}:
        assert f"`Result.{name}" in SECTIONS["The result"]


def test_every_parameter_type_is_in_the_table() -> None:
    ours = {name for name in params.__all__ if get_args(getattr(params, name))}
    assert ours >= {"Indices", "OneSite", "Sites", "Units", "Samples", "MeasureColumn"}
    assert ours <= named_in_table("Parameters")


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (kind, flag)
        for kind, flags in re.findall(
            r"^\| `(\w+)` \| (.*?) \|", SECTIONS["Parameters"], re.MULTILINE
        )
        for flag in re.findall(r"`(--[^`]+)`", flags)
        if hasattr(params, kind)
    ],
)
def test_what_the_table_of_types_writes_can_be_written(
    kind: str, written: str, tmp_path: Path
) -> None:
    flag, _, value = written.partition(" ")
    name = flag.removeprefix("--")
    values = [part.strip("'") for part in value.split(f" {flag} ")]
    if any(one.startswith("@") and kind in ("Units", "Directions") for one in values):
        return  # they are files
    annotation = getattr(params, kind)
    made: type[Params] = type("Made", (Params,), {"__annotations__": {name: annotation}})
    command = click.Command("made", params=list(flags_of(made)))
    assert f"--{name}" in command.get_help(click.Context(command))
    made.parse({name: values if len(values) > 1 else values[0]})


# The rest


def test_the_contents_lead_to_every_section() -> None:
    contents = GUIDE.partition("## ")[0]
    linked = re.findall(r"\]\(#([\w-]+)\)", contents)
    assert sorted(linked) == sorted(title.lower().replace(" ", "-") for title in SECTIONS)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^#)][^)]*)\)", GUIDE):
        assert (ROOT / "plugins" / target).exists(), target


def test_the_table_of_what_ships_is_what_ships() -> None:
    rows = re.findall(r"^\| `(ganprobe_\w+)` \|(.*)\|$", GUIDE, re.MULTILINE)
    offered = {record.module: record for record in plugins() if record.module in dict(rows)}
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py")}
    assert {module for module, _ in rows} == folders
    for module, text in rows:
        one = offered[module]
        offers: tuple[Any, ...] = (*one.generators, *one.analyses, *one.measures, *one.segmenters)
        names = {offer.name.partition(":")[0] for offer in offers}
        assert names <= set(re.findall(r"`([\w-]+)[`:]", text)), module


def test_the_five_minutes_are_as_new_plugin_says(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, install, *_ = listed("Five minutes")
    finished = ganprobe_command(*first.split()[1:])
    assert finished.status == 0, finished.err
    assert install.split("pip ")[1] in finished.out
    assert (tmp_path / "ganprobe-brightness" / "pyproject.toml").exists()
