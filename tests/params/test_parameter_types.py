from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from ganprobe import (
    Directions,
    DirectionSet,
    Field,
    MeasureColumn,
    MeasureName,
    OneSite,
    ParameterError,
    ParameterType,
    Params,
    Probe,
    Samples,
    SegmenterName,
    Site,
    Sites,
    SiteSet,
    SpaceName,
    Units,
    UnknownNameError,
)


class Everything(Params):
    site: OneSite | None = None
    sites: Sites = Field(default=("conv?",), validate_default=True)
    units: Units | None = None
    source: Samples = Field(default="5", validate_default=True)
    donors: tuple[Samples, ...] = ()
    direction: Directions | None = None
    measure: MeasureColumn | None = None
    measures: tuple[MeasureName, ...] = ()
    segmenter: SegmenterName = "scenes"
    space: SpaceName = "z"


def test_every_type_is_read_from_what_is_written() -> None:
    read = Everything.parse(
        {
            "site": " block.attn:out[1]@2#3,7 ",
            "sites": ["conv2", "block.**:in"],
            "measure": " area:scenes=tree",
            "measures": ["digit", "area:luminance:5"],
            "segmenter": "luminance:5",
            "space": "w_plus",
        }
    )
    assert read.site == Site("block.attn", "out", (1,), 2, (3, 7))
    assert read.sites == SiteSet((Site("conv2"), Site("block.**", "in")))
    assert (read.measure, read.measures) == ("area:scenes=tree", ("digit", "area:luminance:5"))
    assert (read.segmenter, read.space) == ("luminance:5", "w_plus")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"site": "conv2:in"},
        {"site": Site("a", units=(3,)), "sites": Site("b")},
        {"sites": "conv2"},
        {"sites": SiteSet.parse(["x?", "y.**"])},
        {"measure": "digit-realness", "measures": "digit"},
    ],
)
def test_every_type_reads_back_from_its_json(values: dict[str, Any]) -> None:
    read = Everything.parse(values)
    plain = json.loads(json.dumps(read.to_json()))
    assert Everything.parse(plain) == read
    assert Everything.parse(plain).to_json() == plain


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"site": "conv2#"}, "--site: 'conv2#': expected units behind #, as conv2#3,7,10-20"),
        ({"site": "conv2#3-1"}, "--site: 'conv2#3-1': the range '3-1' in '3-1' runs down; "),
        ({"site": "#3"}, "--site: '#3' is not a site; write layer[:in|:out][@call][#units], as"),
        ({"site": 5}, "--site: expected a site, as conv2, conv2#3,7,10-20 or block.attn:out[1]"),
        ({"site": " "}, "--site: expected a site, as conv2, "),
        ({"sites": []}, "--sites: expected sites, as conv2, conv? or block.**:in, got ()"),
        ({"sites": ["conv2", ""]}, "--sites: '' is not a site; write layer"),
        ({"sites": ["conv2#x"]}, "--sites: 'conv2#x': 'x' is not a list of numbers and ranges"),
        ({"units": ""}, "--units: expected units, as 3,7,10-20 or @set.json, got ''"),
        ({"units": "x"}, "--units: 'x' is not a list of numbers and ranges such as 3,7,10-20"),
        ({"units": "@nowhere.json"}, "--units: cannot read the unit set nowhere.json: No such"),
        ({"units": -1}, "--units: indices count from 0, got -1"),
        ({"units": (3, 3)}, "--units: 3 is named twice; name each once"),
        ({"units": ["a"]}, "--units: expected units, as 3,7,10-20 or @set.json, got ['a']"),
        ({"units": True}, "--units: expected units, as 3,7,10-20 or @set.json, got True"),
        ({"units": 1.5}, "--units: expected units, as 3,7,10-20 or @set.json, got 1.5"),
        ({"units": {"units": [1]}}, "--units: it is JSON, but no unit set"),
        ({"source": "digit="}, "--source: 'digit=' is no condition on samples; "),
        (
            {"source": {"indices": [1]}},
            "--source: expected samples, as 5, 0-9, digit=1 or @latents",
        ),
        ({"source": [2**80]}, "--source: '1208925819614629174706176' chooses no samples"),
        ({"donors": ["x y"]}, "--donors: 'x y' chooses no samples"),
        ({"direction": "pca"}, "--direction: directions are written @FILE.safetensors or "),
        ({"direction": {"names": ["x"]}}, "--direction: expected directions, as @pca.safetensors"),
        ({"direction": 5}, "--direction: expected directions, as @pca.safetensors or "),
        ({"measure": "digit.1>0.5"}, "--measure: 'digit.1>0.5' is no measure and column; write "),
        ({"measure": ""}, "--measure: expected a measure and its column, as digit=1, area:scenes"),
        ({"measures": ["digit=1"]}, "--measures: 'digit=1' names the column '1'; give the measure"),
        ({"segmenter": ""}, "--segmenter: expected a segmenter, as scenes or luminance:5, got ''"),
        ({"space": 3}, "--space: expected a space, as z, w or conv2, got 3"),
    ],
)
def test_every_type_says_what_can_be_written(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Everything.parse(values)
    assert str(caught.value).startswith(sentence)


def test_sites_become_tensors_of_a_generator(network_probe: Probe) -> None:
    layers = network_probe.layers()
    first = next(layer.name for layer in layers if layer.name)
    sites = Everything.parse({"sites": [first, "*", first]}).sites
    found = [str(tensor.site) for tensor in sites.resolve(layers)]
    assert found[0] == first
    assert len(found) == len(set(found)) == len(layers.resolve("*"))


def test_sites_that_are_not_there_name_the_nearest(network_probe: Probe) -> None:
    with pytest.raises(UnknownNameError, match="no layer 'zz' in generator 'tiny'; nearest: "):
        SiteSet.parse("zz").resolve(network_probe.layers())


def test_a_site_set_holds_one_at_least() -> None:
    with pytest.raises(ValueError, match="no site was given"):
        SiteSet(())
    assert [str(site) for site in SiteSet.parse("a")] == ["a"]


def test_directions_are_told_by_name_space_and_how_they_were_found(tmp_path: Path) -> None:
    held = DirectionSet(np.eye(2), ("x", "y"), found={"method": "by hand"})
    held.write(tmp_path / "d.safetensors")
    written = f"@{tmp_path / 'd.safetensors'}:y"
    read = Everything.parse({"direction": written})
    told = read.to_json()["direction"]
    found = {"method": "by hand"}
    assert told == {"names": ["y"], "space": "z", "found": found, "file": written}
    assert Everything.parse(read.to_json()).to_json() == read.to_json()


class Offset:
    def __init__(self, text: str) -> None:
        self.x, self.y = map(int, text.split(","))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Offset) and (self.x, self.y) == (other.x, other.y)


OffsetType = Annotated[
    Offset,
    ParameterType("an offset", Offset, lambda offset: f"{offset.x},{offset.y}", ("3,-2",)),
]


class Shifted(Params):
    by: OffsetType = Field(default="1,0", validate_default=True)
    then: tuple[OffsetType, ...] = ()


def test_an_author_can_make_a_type_of_any_class() -> None:
    read = Shifted.parse({"by": "3,-2", "then": ["0,1"]})
    assert (read.by, read.then) == (Offset("3,-2"), (Offset("0,1"),))
    assert read.to_json() == {"by": "3,-2", "then": ["0,1"]}
    assert Shifted.parse(read.to_json()) == read
    assert Shifted(by=Offset("1,0")) == Shifted()
    assert Shifted.json_schema()["properties"]["then"]["items"] == {
        "type": "string",
        "examples": ["3,-2"],
    }


def test_what_an_authors_type_cannot_read_is_told_with_the_reason() -> None:
    with pytest.raises(
        ParameterError,
        match="--by: expected an offset, as 3,-2, got '3;2': invalid literal for int",
    ):
        Shifted.parse({"by": "3;2"})
