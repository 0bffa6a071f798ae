"""A ganprobe.toml is read whole, and what is wrong in it is told in its own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ganprobe import GanprobeError, ParameterError, UsageError
from ganprobe.loading import Description, read_description
from ganprobe.loading import description as module

WHOLE = """
[generator]
name = "mine"
factory = "network.py:Generator"
weights = "weights.safetensors"
weights_key = "g_ema"
part = "decoder"
method = "decode"
normalisation = "sample"
code = "clone"
[arguments]
width = 64
nested = {depth = [1, 2]}
[latent]
shape = [4, 8, 8]
distribution = "truncated"
bound = 2
[classes]
count = 2
names = ["cat", "dog"]
[images]
range = [0, 255]
shape = [3, 64, 64]
output = ["sample", 0]
channel_order = "bgr"
channels_last = true
[call]
arguments = ["$z", "$one-hot", 1.0]
keywords = {noise = "const", w = ["$z"]}
[sites]
w = "mapping"
w_plus = "mapping:out[1]"
unit_axes = {"blocks.*" = -1}
[measure]
columns = ["cat", "dog"]
"""


def described(folder: Path, toml: str) -> Description:
    (folder / "ganprobe.toml").write_text(toml)
    return read_description(folder)


def test_every_section_is_read(tmp_path: Path) -> None:
    read = described(tmp_path, WHOLE)
    assert read.generator.model_dump(exclude_unset=True) == {
        "name": "mine", "factory": "network.py:Generator", "weights": "weights.safetensors",
        "weights_key": "g_ema", "part": "decoder", "method": "decode",
        "normalisation": "sample", "code": "clone",
    }  # fmt: skip
    assert read.arguments == {"width": 64, "nested": {"depth": [1, 2]}}
    assert (read.latent.sizes, read.latent.distribution, read.latent.bound) == (
        (4, 8, 8), "truncated", 2.0,
    )  # fmt: skip
    assert read.classes is not None
    assert read.classes.names == ("cat", "dog")
    assert read.images.range == (0.0, 255.0)
    assert read.images.output == ("sample", 0)
    assert read.call is not None
    assert read.call.arguments == ("$z", "$one-hot", 1.0)
    assert read.call.keywords == {"noise": "const", "w": ["$z"]}
    assert read.sites.unit_axes == {"blocks.*": -1}
    assert read.measure is not None
    assert read.measure.columns == ("cat", "dog")
    assert read.path("weights.safetensors") == tmp_path / "weights.safetensors"
    assert read_description(tmp_path / "ganprobe.toml") == read


def test_the_form_in_the_documentation_is_read(tmp_path: Path) -> None:
    """The module's docstring shows every key, with remarks beside."""
    assert module.__doc__ is not None
    lines = [line[4:] for line in module.__doc__.splitlines() if line.startswith("    ")]
    read = described(tmp_path, "\n".join(lines))
    sections = {name for name in Description.model_fields if name not in ("folder", "file")}
    assert sections == read.model_fields_set - {"folder", "file"}


def test_the_readmes_description_is_read(tmp_path: Path) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("the tests run without the repository")
    (toml,) = re.findall(r"^```toml\n(.*?)^```$", readme.read_text(), re.DOTALL | re.MULTILINE)
    read = described(tmp_path, toml)
    assert read.latent.sizes == (128,)
    assert read.classes is not None
    assert read.classes.names == ("cat", "dog")


def test_an_empty_description_says_nothing(tmp_path: Path) -> None:
    read = described(tmp_path, "")
    assert read.latent.sizes is None
    assert read.generator.factory is None


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[generator]\nfactry = "a"', "[generator] has no key 'factry'; nearest: factory"),
        ("[latnt]\nsize = 5", "there is no section [latnt]; nearest: latent"),
        ('folder = "a"', "there is no section [folder]; nearest:"),
        ('generator = "a"', "generator is a section: write [generator] and its keys"),
        ("[[latent]]\nsize = 5", "latent is a section: write [latent] and its keys"),
        ('[latent]\nsize = "512"', '[latent] size is a whole number, got "512"'),
        ("[latent]\nsize = 5.0", "[latent] size is"),
        ("[latent]\nsize = true", "[latent] size is a whole number, got true"),
        ("[latent]\nsize = 0", "[latent] size is greater than or equal to 1, got 0"),
        ("[latent]\nshape = []", "[latent] shape"),
        ("[latent]\nshape = [4, 0]", "[latent]: the sizes of a shape are 1 or more"),
        ("[latent]\nsize = 4\nshape = [4]", "[latent]: give size or shape, not both"),
        ('[latent]\ndistribution = "gauss"', "'normal', 'truncated' or 'uniform', got \"gauss\""),
        ("[classes]\n", "[classes]: give count, names or both"),
        ('[classes]\ncount = 2\nnames = ["a"]', "[classes]: count is 2, and there are 1 names"),
        ("[images]\nrange = [1]", "[images] range is two numbers, [black, white], got [1]"),
        ("[images]\nrange = [1, -1]", "[images]: range is [black, white], the smaller number"),
        ("[images]\nshape = [64, 64]", "[images] shape is three whole numbers"),
        ("[images]\noutput = 1.5", "[images] output is a key, a position, or a list of them"),
        ("[images]\nchannels_last = 1", "[images] channels_last is"),
        ("[sites]\nunit_axes = {a = 'b'}", "[sites] unit_axes is an axis for each site"),
        ("[generator]\nname = 2020-01-01\nx = 1", "[generator] has no key 'x'"),
        ("[generator\nname = 3", "is not TOML: "),
    ],
)
def test_what_is_wrong_is_told_with_file_section_key_and_value(
    tmp_path: Path, toml: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        described(tmp_path, toml)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "ganprobe.toml"))


def test_a_wrong_value_is_a_parameter_error(tmp_path: Path) -> None:
    with pytest.raises(ParameterError):
        described(tmp_path, "[latent]\nsize = 0")


def test_a_folder_without_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no ganprobe\.toml, which says what is in it"):
        read_description(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\0" * 40])
def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ganprobe.toml").write_bytes(content)
    with pytest.raises(GanprobeError, match=r"ganprobe\.toml (cannot be read|is not TOML)"):
        read_description(tmp_path)
