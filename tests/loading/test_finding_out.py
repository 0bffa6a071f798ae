"""What can be found out is, where only one answer is possible; all else is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import Classes, ForwardError, Generator, LatentSpace, UsageError
from ganprobe.loading import Description, LoadOptions
from ganprobe.loading.assembly import Parts, assemble
from ganprobe.loading.image_finding import find_images, images_in
from ganprobe.loading.latent_finding import find_latent, likely_shapes
from ganprobe.loading.range_finding import MeasuredValues, find_range, range_note
from ganprobe.loading.trial import Called


def images_of(n_in: int, *ending: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n_in, 192), nn.Unflatten(1, (3, 8, 8)), *ending)


def completed(module: nn.Module, *, toml: dict[str, Any] | None = None, **given: Any) -> Generator:
    described = Description.model_validate(toml or {}, strict=False)
    return assemble(Parts(module, "mine", described), LoadOptions(**given))


class Convolved(nn.Module):
    """Latents with sides: any, to a first convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.first(z)
        return images


class Viewed(nn.Module):
    """Takes latents with and without sides of one."""

    def __init__(self, *, z_dim: int = 5) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.up = nn.ConvTranspose2d(z_dim, 3, 8)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.up(z.reshape(len(z), -1, 1, 1))
        return images


class Spread(nn.Module):
    """Takes rows of any number of values, and is unsure of its own size."""

    def __init__(self) -> None:
        super().__init__()
        self.z_dim, self.nz = 4, 6

    def forward(self, z: Tensor) -> Tensor:
        return z.mean(1).tanh().view(-1, 1, 1, 1).expand(-1, 3, 8, 8)


class Late(nn.Module):
    """Its first layer is registered last, and what is registered first does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.to_image = nn.Linear(7, 192)
        self.mapping = nn.Linear(5, 7)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.to_image(self.mapping(z))
        return images.view(-1, 3, 8, 8)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: images_of(9), (9,)),
        (lambda: nn.Sequential(nn.ConvTranspose2d(11, 3, 8)), (11, 1, 1)),
        (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(9, 64))), (9,)),
        (Viewed, (5,)),
        (Late, (5,)),
    ],
    ids=["linear", "transposed", "normalised", "with and without sides", "registered last"],
)
def test_the_only_shape_that_gives_images_is_taken(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    found = find_latent(Called(make().eval(), None, None, "mine"))
    assert found.shape == shape
    assert found.note.startswith(f"the latents' shape was found out: {'x'.join(map(str, shape))}")


def test_a_shape_of_several_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"more than one shape: 4 and 6; say which with --latent"):
        find_latent(Called(Spread(), None, None, "mine"))


def test_sides_that_nobody_can_know_are_asked_for() -> None:
    told = r"the first is 'first', which takes 4 channels of any size; say which with --latent"
    with pytest.raises(UsageError, match=told):
        find_latent(Called(Convolved(), None, None, "mine"))


def test_what_was_tried_in_vain_is_told() -> None:
    module = nn.Sequential(nn.Linear(9, 64), nn.Linear(5, 192), nn.Unflatten(1, (3, 8, 8)))
    told = r"9 \(layer '0' \(Linear\)\), 5 .*with the first of them: RuntimeError: .*mat1 and mat2"
    with pytest.raises(UsageError, match=told):
        find_latent(Called(module, None, None, "mine"))


def test_a_shape_that_was_given_is_not_looked_for() -> None:
    assert completed(Spread(), latent=(6,)).latent_space == LatentSpace((6,))
    space = LatentSpace((2,), "uniform", 3.0)
    assert completed(Spread(), latent=space).latent_space == space
    said = completed(Spread(), toml={"latent": {"size": 3, "distribution": "truncated"}})
    assert said.latent_space == LatentSpace((3,), "truncated")
    toml = {"latent": {"size": 3, "bound": 0.5, "distribution": "uniform"}}
    both = completed(Spread(), toml=toml, latent=(4,))
    assert both.latent_space == LatentSpace((4,), "uniform", 0.5)


def test_a_wrong_shape_is_a_failed_forward() -> None:
    with pytest.raises(ForwardError, match=r"raised on 2 latents 8: RuntimeError: .* --latent"):
        completed(images_of(9), latent=(8,))


def test_trying_shapes_leaves_no_trace() -> None:
    module = images_of(9, nn.BatchNorm2d(3), nn.Dropout(0.5)).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    completed(module)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


class Returning(nn.Module):
    """Returns whatever a function makes of two latents."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, z: Tensor) -> Any:
        return self.make(z)


def test_images_among_several_outputs_are_found() -> None:
    images = torch.rand(2, 3, 8, 8)
    returned = {"w": torch.rand(2, 16, 64), "out": [torch.rand(2, 40, 8, 8), images]}
    found = find_images(returned, "mine")
    assert found.path == ("out", 1)
    assert found.note == 'the images were found at ["out", 1]'


def test_one_of_two_that_could_be_images_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"not clear; say output = .* \[0\] \(2, 3, 8, 8\), \[1\]"):
        find_images((torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)), "mine")
    generator = completed(
        Returning(lambda z: (z.view(-1, 1, 4, 4), z.view(-1, 1, 4, 4) * 2)),
        latent=(16,), output=(1,), image_range=(-9, 9),
    )  # fmt: skip
    z = generator.sample(2)
    assert torch.equal(generator.forward(z), z.z.view(-1, 1, 4, 4) * 2)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("a text", "mine returned a str without tensors"),
        ({"loss": torch.rand(2)}, r'not clear; say output = .* there are: \["loss"\] \(2,\)'),
        (torch.rand(2, 8, 8, 3), "looks like channels last; say channels_last = true"),
        (torch.rand(2, 192), "come flat, say --image-shape, as 3x8x8, or"),
        (torch.rand(2, 50), "come flat, say --image-shape"),
        (torch.rand(2, 3, 4, 8, 8), r"returned \(2, 3, 4, 8, 8\) for 2 latents"),
    ],
)
def test_what_is_no_images_is_told(returned: object, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        find_images(returned, "mine")


def test_square_grey_images_may_come_flat() -> None:
    found = find_images(torch.rand(2, 784), "mine")
    assert (found.path, found.shape) == ((), (1, 28, 28))
    assert "784 values were taken for 1x28x28, grey" in found.note
    assert images_in(torch.rand(2, 192)) == []
    assert find_images(torch.rand(2, 192), "mine", shape=(3, 8, 8)).shape == (3, 8, 8)


def test_channels_last_and_bgr_are_turned_round() -> None:
    module = Returning(lambda z: z.view(-1, 4, 4, 3))
    toml = {"images": {"channels_last": True, "channel_order": "bgr", "range": (-9.0, 9.0)}}
    generator = completed(module, toml=toml, latent=(48,))
    z = generator.sample(2)
    assert torch.equal(generator.forward(z), z.z.view(-1, 4, 4, 3).movedim(-1, 1).flip(1))


def measured(values: Tensor) -> MeasuredValues:
    return MeasuredValues.of(values)


GRID = torch.linspace(0.0, 1.0, 1001)


@pytest.mark.parametrize(
    ("values", "ending", "found"),
    [
        (GRID * 2 - 1, nn.Tanh(), (-1.0, 1.0)),
        (GRID * 0.5, nn.Tanh(), (-1.0, 1.0)),
        (GRID, nn.Sigmoid(), (0.0, 1.0)),
        (GRID, nn.Identity(), (0.0, 1.0)),
        (GRID * 2 - 1, nn.Identity(), (-1.0, 1.0)),
        (GRID * 2.2 - 1.1, nn.Identity(), (-1.0, 1.0)),
        (GRID * 1.3, nn.Identity(), (0.0, 1.0)),
        (GRID * 255, nn.Identity(), (0.0, 255.0)),
    ],
)
def test_the_usual_range_that_values_fit_is_found(
    values: Tensor, ending: nn.Module, found: tuple[float, float]
) -> None:
    result = find_range(nn.Sequential(ending), measured(values), "mine")
    assert result.image_range == found
    assert "99.8 % of the values" in result.note
    share = measured(values).share_outside(found)
    assert (f"{share:.1%} of the values lie outside it" in result.note) == (share > 0.01)


@pytest.mark.parametrize("values", [GRID * 8 - 4, GRID * 900, GRID * 510 - 255])
def test_a_range_that_is_none_of_the_usual_is_asked_for(values: Tensor) -> None:
    with pytest.raises(UsageError, match=r"cannot be told: 99\.8 % .*say with --image-range LOW,H"):
        find_range(nn.Sequential(), measured(values), "mine")


def test_values_outside_a_given_range_are_told_from_a_twentieth_on() -> None:
    assert range_note((0.0, 1.0), measured(GRID * 1.04)) is None
    note = range_note((0.0, 1.0), measured(GRID * 2))
    assert note is not None
    assert note.startswith("50% of the values lie outside the image range 0 to 1")
    generator = completed(images_of(9, nn.Tanh()), image_range=(0.0, 1.0))
    assert any("lie outside the image range 0 to 1" in one for one in generator.notes)


def test_images_with_nan_are_an_error() -> None:
    with pytest.raises(ForwardError, match=r"are NaN or infinite \(n = 64 samples, seed 0\)"):
        completed(Returning(lambda z: z.view(-1, 1, 4, 4) / 0.0 * 0.0), latent=(16,))


def test_the_range_is_that_of_64_samples() -> None:
    generator = completed(images_of(9, nn.Tanh()))
    assert any("of 64 samples (seed 0)" in note for note in generator.notes)
    large = completed(Returning(lambda z: z[:, :1, None, None].expand(-1, 3, 512, 512).tanh()),
                      latent=(4,))  # fmt: skip
    assert any("of 5 samples (seed 0)" in note for note in large.notes)


class Conditional(nn.Module):
    """Needs a class."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Embedding(7, 9)
        self.body = images_of(9, nn.Tanh())

    def forward(self, z: Tensor, class_label: Tensor) -> Tensor:
        images: Tensor = self.body(z + self.classes(class_label))
        return images


class Biggan(Conditional):
    """Needs a class as a vector, and a truncation."""

    def forward(self, z: Tensor, class_label: Tensor, truncation: float) -> Tensor:  # type: ignore[override]
        images: Tensor = self.body(z + class_label @ self.classes.weight) * truncation
        return images


def test_a_class_that_is_needed_is_asked_for_with_the_likely_number() -> None:
    told = r"forward\(z, class_label\) of mine needs a class .* count = 7 under \[classes\]"
    with pytest.raises(UsageError, match=told):
        completed(Conditional())
    generator = completed(Conditional(), toml={"classes": {"count": 7}})
    assert generator.classes == Classes(7)
    assert generator.latent_space.shape == (9,)


def test_another_call_is_asked_for_with_its_form() -> None:
    told = r'arguments = \["\$z", "\$label", \.\.\.\] under \[call\]'
    with pytest.raises(UsageError, match=told):
        completed(Biggan())
    call = {"arguments": ("$z", "$one-hot", "$truncation")}
    generator = completed(Biggan(), toml={"classes": {"names": tuple("abcdefg")}, "call": call})
    assert generator.classes is not None
    assert generator.classes.name(3) == "d"
    assert generator.with_truncation(0.5).truncation == 0.5


def test_likely_shapes_are_told_with_their_reasons() -> None:
    assert likely_shapes(Viewed(z_dim=3)) == {
        (3, 1, 1): "layer 'up' (ConvTranspose2d)",
        (3,): "its z_dim",
    }
