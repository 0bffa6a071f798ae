from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganprobe import ParameterError, Probe, Site, SiteError, UnknownNameError
from ganprobe.sites import Port

names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}(\.[a-z0-9_]{1,5}){0,3}", fullmatch=True)
paths = st.lists(st.one_of(st.integers(0, 99), st.from_regex(r"[a-z]{1,6}", fullmatch=True)))
sites = st.builds(
    Site,
    names,
    st.sampled_from(["in", "out"]),
    paths.map(tuple),
    st.none() | st.integers(0, 99),
    st.none() | st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple),
)


@given(sites)
def test_a_site_reads_back_as_it_is_written(site: Site) -> None:
    assert Site.parse(str(site)) == site


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("conv2", Site("conv2")),
        ("conv2:in", Site("conv2", "in")),
        ("block.attn:out[1]", Site("block.attn", "out", (1,))),
        ("block.attn:out[sample]", Site("block.attn", "out", ("sample",))),
        ("conv2@3", Site("conv2", call=3)),
        ("conv2#3,7,10-12", Site("conv2", units=(3, 7, 10, 11, 12))),
        (":out", Site("")),
        (":in", Site("", "in")),
    ],
)
def test_the_grammar(text: str, site: Site) -> None:
    assert Site.parse(text) == site
    assert str(site) == text


@pytest.mark.parametrize("text", ["", "#3", "@1"])
def test_text_without_a_layer_is_no_site(text: str) -> None:
    with pytest.raises(SiteError, match="is not a site"):
        Site.parse(text)


@pytest.mark.parametrize("text", ["conv2#", "conv2#a", "conv2#3-1"])
def test_units_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        Site.parse(text)


def test_an_unknown_layer_names_the_nearest_and_where_to_look(network_probe: Probe) -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"no layer '22' in generator 'tiny'; nearest: 2.*ganprobe layers tiny",
    ):
        network_probe.layers().resolve("22")


def test_a_port_that_a_layer_lacks_names_those_it_has(network_probe: Probe) -> None:
    with pytest.raises(SiteError, match=r"no tensor at 2:out\[1\].*its sites are: 2, 2:in"):
        network_probe.layers().resolve("2:out[1]")


def test_a_call_that_never_was_is_refused(network_probe: Probe) -> None:
    with pytest.raises(SiteError, match="no tensor at 2@1"):
        network_probe.layers().resolve("2@1")


@pytest.mark.parametrize("port", ["in", "out"])
def test_units_are_checked_against_the_site(network_probe: Probe, port: Port) -> None:
    n_units = {"in": 8, "out": 6}[port]
    network_probe.layers().resolve(Site("2", port, units=(n_units - 1,)))
    with pytest.raises(ParameterError, match=f"no unit {n_units} at .*numbered 0-{n_units - 1}"):
        network_probe.layers().resolve(Site("2", port, units=(n_units,)))


def test_the_table_says_what_a_layer_is(network_probe: Probe) -> None:
    layer = network_probe.layers()["2"]
    tensor = layer.tensors[0]
    assert (layer.kind, layer.calls, layer.n_parameters) == ("ConvTranspose2d", 1, 8 * 6 * 16 + 6)
    assert (tensor.n_units, tensor.spatial_shape, tensor.dtype) == (6, (4, 4), "float32")
    assert tensor.is_batched


def test_the_table_sees_what_is_overwritten_in_place(network_probe: Probe) -> None:
    overwritten = {
        str(tensor.site)
        for layer in network_probe.layers()
        for tensor in layer.tensors
        if tensor.is_overwritten
    }
    assert overwritten == {"3", "4:in"}


def test_layers_stand_in_the_order_in_which_they_finish(network_probe: Probe) -> None:
    assert [layer.name for layer in network_probe.layers()] == [*"0123456", ""]
