"""Factories are called with checked arguments, and what goes wrong in them is one sentence."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ganprobe import (
    FactoryError,
    GanprobeError,
    ParameterError,
    Probe,
    UnknownNameError,
    UsageError,
    load,
)
from ganprobe.loading.factories import checked_arguments, read_argument
from model_code import made, write_code


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return write_code(tmp_path / "theirs")


def test_a_class_in_a_file_is_a_generator(code: Path) -> None:
    generator = load(f"{code}:Dcgan")
    assert (generator.name, generator.latent_space.shape) == ("Dcgan", (6, 1, 1))
    assert generator.image_range == (-1.0, 1.0)
    assert Probe(generator).image_shape == (3, 8, 8)
    assert generator.source["factory"] == f"{code}:Dcgan"
    assert any("was put in eval mode" in note for note in generator.notes)
    assert any(f"{code}:Dcgan ran; SHA-256 " in note for note in generator.notes)


def test_random_weights_are_the_same_each_time(code: Path) -> None:
    torch.manual_seed(5)
    first = load(f"{code}:Dcgan").weights_sha256()
    torch.manual_seed(6)
    state = torch.random.get_rng_state()
    assert load(f"{code}:Dcgan").weights_sha256() == first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_module_is_found_in_the_current_folder(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.rename(code.with_name("found_here_only.py"))
    with pytest.raises(UsageError, match="no module 'found_here_only'"):
        load("found_here_only:Dcgan")
    monkeypatch.chdir(code.parent)
    assert load("found_here_only:Dcgan").latent_space.shape == (6, 1, 1)


def test_a_file_imports_what_lies_beside_it_and_another_its_own(tmp_path: Path) -> None:
    for folder, width in (("one", 4), ("two", 5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sizes_beside.py").write_text(f"WIDTH = {width}\n")
        (tmp_path / folder / "main.py").write_text(
            "import torch\nfrom sizes_beside import WIDTH\n"
            "def make():\n    from sizes_beside import WIDTH as again\n"
            "    assert again == WIDTH\n"
            "    return torch.nn.Sequential(torch.nn.Linear(2, 3 * WIDTH**2),"
            " torch.nn.Unflatten(1, (3, WIDTH, WIDTH)))\n"
        )
    shapes = [
        Probe(load(f"{tmp_path}/{folder}/main.py:make", latent=2)).image_shape
        for folder in ("one", "two", "one")
    ]
    assert shapes == [(3, 4, 4), (3, 5, 5), (3, 4, 4)]


def test_a_classmethod_makes_it(code: Path) -> None:
    generator = load(f"{code}:Dcgan.small", arguments={"nz": 4})
    assert generator.latent_space.shape == (4, 1, 1)
    assert generator.name == "Dcgan"


def test_a_part_of_what_it_returns_is_the_generator(code: Path) -> None:
    generator = load(f"{code}:trainer", part="models.g_ema", arguments={"nz": 3})
    assert generator.latent_space.shape == (3, 1, 1)
    assert generator.source["given"]["part"] == "models.g_ema"
    with pytest.raises(UnknownNameError, match=r"no part 'models.g' .*nearest:"):
        load(f"{code}:trainer", part="models.g")


def test_another_method_than_forward_makes_images(code: Path) -> None:
    generator = load(f"{code}:Vae", method="decode")
    assert generator.latent_space.shape == (3,)
    assert Probe(generator).image_shape == (1, 7, 7)
    assert "model.decoder" in {layer.name for layer in Probe(generator).layers() if layer.tensors}
    with pytest.raises(UnknownNameError, match="no method 'deocde' in Vae; nearest: decode"):
        load(f"{code}:Vae", method="deocde")


def test_a_generator_may_be_returned_whole(code: Path) -> None:
    code.write_text(
        code.read_text() + "\ndef whole(name='theirs'):\n    import ganprobe as gp\n"
        "    return gp.Generator.from_module(Dcgan().eval(), latent=(6, 1, 1), name=name)\n"
    )
    generator = load(f"{code}:whole", image_range=(0.0, 1.0), unit_axes={"**": 1})
    assert (generator.name, generator.image_range) == ("theirs", (0.0, 1.0))
    assert generator.unit_axes == {"**": 1}
    assert generator.source["spec"] == f"{code}:whole"


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "told"),
    [
        ("Dgcan", {}, UnknownNameError, "no factory 'Dgcan' in .*network.py; nearest: Dcgan"),
        ("NUMBER", {}, UsageError, "NUMBER is of type int and makes nothing; name a function"),
        ("broken", {}, FactoryError, r"raised KeyError: 'no such layer' \(.*network.py:\d+\)"),
        ("text", {}, FactoryError, "text made a str, which is no torch module and holds none"),
        (
            "trainer",
            {},
            FactoryError,
            "made a dict; say which part of it is the generator: --part models.g_ema",
        ),
        ("Dcgan", {"widht": 3}, UnknownNameError, "no argument 'widht' in .*Dcgan; nearest: width"),
        ("Dcgan", {"nz": "many"}, ParameterError, "argument 'nz' of .* is int, got 'many'"),
        ("Dcgan", {"nz": 2.5}, ParameterError, "argument 'nz' of .* is int, got 2.5"),
        ("Dcgan", {"width": -1}, FactoryError, r"raised RuntimeError: .*\(.*network.py:\d+\)"),
        ("Dcgan.small", {}, ParameterError, "needs 'nz'; give it as --set nz=..., or under"),
        ("text", {"a": 1}, UsageError, "text takes no arguments, got 'a'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    code: Path, name: str, arguments: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        load(f"{code}:{name}", arguments=arguments)


def test_the_line_that_raised_is_named(code: Path) -> None:
    line = code.read_text().splitlines().index('    raise KeyError("no such layer")') + 1
    with pytest.raises(FactoryError, match=rf"\({code}:{line}\)"):
        load(f"{code}:broken")
    code.write_text("import torch\n\ndef make(:\n")
    with pytest.raises(FactoryError, match=rf"importing .* raised SyntaxError: .*\({code}:3\)"):
        load(f"{code}:make")
    code.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(FactoryError, match=rf"raised SystemExit: 3 \({code}:2\)"):
        load(f"{code}:make")
    code.write_text("import a_package_that_is_missing\n")
    with pytest.raises(FactoryError, match=rf"'a_package_that_is_missing' \({code}:1\)"):
        load(f"{code}:make")


def test_what_code_prints_goes_to_standard_error(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = code.read_text().replace("return cls", "print(nz)\n        return cls")
    code.write_text(f"print('imported')\n{told}")
    load(f"{code}:Dcgan.small", arguments={"nz": 4})
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "imported\n4\n"


def test_its_hooks_are_left(code: Path) -> None:
    code.write_text(
        code.read_text() + "\ndef hooked():\n    net = Dcgan()\n"
        "    net.body.register_forward_hook(lambda module, args, out: out * 0.0)\n    return net\n"
    )
    generator = load(f"{code}:hooked", image_range=(-1, 1))
    assert generator.forward(generator.sample(2)).abs().max() == 0.0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("width=64", ("width", 64)),
        ("rate=1e-3", ("rate", 1e-3)),
        ("has_norm=true", ("has_norm", True)),
        ("has_norm=False", ("has_norm", False)),
        ("norm=None", ("norm", None)),
        ("norm=null", ("norm", None)),
        ("act=relu", ("act", "relu")),
        ('act="64"', ("act", "64")),
        ("sizes=[4, 8]", ("sizes", [4, 8])),
        ("sizes=(4, 8)", ("sizes", (4, 8))),
        ('kw={"a": 1}', ("kw", {"a": 1})),
        ("day=2020-01-01", ("day", "2020-01-01")),
        ("empty=", ("empty", "")),
        ("path=a=b", ("path", "a=b")),
        ("text=x\ny=2", ("text", "x\ny=2")),
    ],
)
def test_values_are_read_as_what_they_look_like(written: str, read: tuple[str, object]) -> None:
    assert read_argument(written) == read


@pytest.mark.parametrize("written", ["width", "=3", "my width=3", "", "a.b=3"])
def test_an_argument_without_a_name_is_refused(written: str) -> None:
    with pytest.raises(ParameterError, match="an argument of a factory is written name=value"):
        read_argument(written)


def taking(  # type: ignore[no-untyped-def]
    size: tuple[int, ...] = (1,),
    name: str = "a",
    rate: float | None = None,
    flag: bool = False,
    untyped=1,
    path: Path = Path(),
    any: object = None,
    **more: object,
) -> None:
    """Takes all kinds."""


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"size": [4, 8]}, {"size": (4, 8)}),
        ({"name": 64}, {"name": "64"}),
        ({"rate": 1}, {"rate": 1.0}),
        ({"rate": None}, {"rate": None}),
        ({"flag": "yes"}, {"flag": True}),
        ({"flag": 0}, {"flag": False}),
        ({"untyped": "16"}, {"untyped": 16}),
        ({"untyped": 0.5}, {"untyped": 0.5}),
        ({"path": "a/b"}, {"path": Path("a/b")}),
        ({"any": [1]}, {"any": [1]}),
        ({"beyond": "it"}, {"beyond": "it"}),
    ],
)
def test_values_become_what_annotations_say(given: dict[str, Any], taken: dict[str, Any]) -> None:
    found = checked_arguments(taking, given, "taking")
    assert found == taken
    assert [type(value) for value in found.values()] == [type(value) for value in taken.values()]


WRONG: list[dict[str, Any]] = [{"size": 3}, {"flag": "perhaps"}, {"rate": "fast"}, {"rate": True}]


@pytest.mark.parametrize("given", WRONG)
def test_values_that_cannot_become_it_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"argument '\w+' of taking is \w+.*, got "):
        checked_arguments(taking, given, "taking")


def test_weights_are_those_of_the_file(code: Path, tmp_path: Path) -> None:
    network = made(code, "Dcgan", width=5)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    generator = load(f"{code}:Dcgan", weights=tmp_path / "w.safetensors", arguments={"width": 5})
    z = generator.sample(3)
    with torch.no_grad():
        assert torch.equal(generator.forward(z), network(z.z))
    assert generator.source["weights"]["path"] == str(tmp_path / "w.safetensors")
    assert not any("no weights were given" in note for note in generator.notes)


def test_weights_of_the_whole_fit_where_a_part_is_the_generator(code: Path, tmp_path: Path) -> None:
    network = made(code, "Vae")
    save_file(network.state_dict(), tmp_path / "whole.safetensors")
    save_file(network.get_submodule("decoder").state_dict(), tmp_path / "part.safetensors")
    images = [
        load(f"{code}:Vae", weights=tmp_path / name, part="decoder", image_range=(0, 1))
        for name in ("whole.safetensors", "part.safetensors")
    ]
    first, second = (one.forward(one.sample(2)) for one in images)
    assert torch.equal(first, second)


def test_the_source_is_plain_json_and_enough_to_load_it_again(code: Path, tmp_path: Path) -> None:
    save_file(made(code, "Dcgan", width=5).state_dict(), tmp_path / "w.safetensors")
    generator = load(
        f"{code}:Dcgan",
        weights=tmp_path / "w.safetensors",
        arguments={"width": 5, "sizes": (4, 4)},
        latent=(6, 1, 1),
        unit_axes={"body.*": 1},
    )
    source = json.loads(json.dumps(generator.to_json()["source"]))
    again = load(
        source["spec"],
        weights=source["weights"]["path"],
        arguments=source["arguments"],
        latent=tuple(source["given"]["latent"]),
        unit_axes=source["given"]["unit_axes"],
    )
    assert again.to_json() == generator.to_json()
    assert set(source["files"]) == {str(code), str(tmp_path / "w.safetensors")}


def test_a_registered_generator_takes_weights_and_no_factory(tmp_path: Path) -> None:
    digits = load("digits")
    weights = {name: value * 0.5 for name, value in digits.module.state_dict().items()}
    save_file(weights, tmp_path / "mine.safetensors")
    mine = load("digits", weights=tmp_path / "mine.safetensors")
    assert mine.weights_sha256() != digits.weights_sha256()
    wrongs: list[dict[str, Any]] = [{"factory": "a:b"}, {"arguments": {"a": 1}}]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="takes no"):
            load("digits", **wrong)


def test_every_error_of_loading_is_ours(code: Path) -> None:
    """None of these is a plain exception, which would be told as a fault of ganprobe's."""
    for spec in (f"{code}:Vae", f"{code}:Conditional", "json:loads", "os.path:join"):
        with pytest.raises(GanprobeError):
            load(spec, latent=(2, 2))


def test_load_takes_what_load_options_take() -> None:
    from ganprobe.loading import LoadOptions

    taken = inspect.signature(load).parameters.keys()
    assert LoadOptions.__dataclass_fields__.keys() <= taken
