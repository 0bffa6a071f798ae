"""StyleGANs of both kinds as generators: w, w_plus, truncation, noise and classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    Classes,
    Generator,
    Latents,
    ParameterError,
    Probe,
    ShapeError,
    Space,
    UsageError,
    is_style_network,
    style_generator,
)

# The second kind: one module that takes w where it is told so


def one_network(seed: int = 0) -> Any:
    """StyleGAN2 of spandrel: z (8,) to (3, 16, 16) with 6 styles and 5 layers of noise."""
    from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import StyleGAN2GeneratorClean

    torch.manual_seed(seed)
    network = StyleGAN2GeneratorClean(out_size=16, num_style_feat=8, num_mlp=3, narrow=1 / 64)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("style_conv1.weight", "bias")) or parameter.ndim == 1:
                parameter.uniform_(0.2, 1.0)
    return network.eval()


# The first kind, as NVIDIA's code has it


class Mapping(nn.Module):
    def __init__(self, n_classes: int, num_ws: int, average: float) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws = 6, n_classes, num_ws
        self.fc = nn.Linear(6 + n_classes, 5)
        self.register_buffer("w_avg", torch.full((5,), average))
        self.w_avg: Tensor

    def forward(
        self, z: Tensor, c: Tensor | None, truncation_psi: float = 1, truncation_cutoff: Any = None
    ) -> Tensor:
        given = z if not self.c_dim else torch.cat([z, c], dim=1)  # type: ignore[list-item]
        x = self.fc(given).tanh().unsqueeze(1).repeat([1, self.num_ws, 1])
        if truncation_psi != 1:
            x[:, :truncation_cutoff] = self.w_avg.lerp(x[:, :truncation_cutoff], truncation_psi)
        return torch.as_tensor(x)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(5, 4)
        self.register_buffer("noise_const", torch.randn(4, 4))
        self.noise_const: Tensor

    def forward(self, x: Tensor, w: Tensor, noise_mode: str = "random") -> Tensor:
        x = x * self.affine(w)[:, :, None, None]
        if noise_mode == "random":
            x = x + torch.randn([x.shape[0], 1, 4, 4], device=x.device)
        if noise_mode == "const":
            x = x + self.noise_const
        return x.sin()


class Synthesis(nn.Module):
    def __init__(self, num_ws: int) -> None:
        super().__init__()
        self.num_ws, self.img_channels = num_ws, 3
        self.const = nn.Parameter(torch.randn(4, 4, 4))
        self.blocks = nn.ModuleList(Block() for _ in range(num_ws))
        self.torgb = nn.Conv2d(4, 3, 1)

    def forward(self, ws: Tensor, **block_kwargs: Any) -> Tensor:
        assert block_kwargs.pop("force_fp32") is True  # half precision is for CUDA alone
        x = self.const.expand(len(ws), 4, 4, 4)
        for block, w in zip(self.blocks, ws.unbind(1), strict=True):
            x = block(x, w, **block_kwargs)
        return torch.as_tensor(self.torgb(x))


class TwoNetworks(nn.Module):
    def __init__(self, n_classes: int = 0, average: float = 0.3) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = 6, n_classes, 5
        self.synthesis = Synthesis(3)
        self.num_ws = 3
        self.mapping = Mapping(n_classes, 3, average)

    def forward(
        self, z: Tensor, c: Tensor | None, truncation_psi: float = 1, **kwargs: Any
    ) -> Tensor:
        ws = self.mapping(z, c, truncation_psi=truncation_psi)
        return torch.as_tensor(self.synthesis(ws, force_fp32=True, **kwargs))


def two_networks(n_classes: int = 0, average: float = 0.3) -> TwoNetworks:
    torch.manual_seed(1)
    return TwoNetworks(n_classes, average).eval()


def both(noise: Any, **options: Any) -> list[Generator]:
    return [style_generator(make(), noise=noise, **options) for make in (one_network, two_networks)]


def test_without_truncation_the_images_are_those_of_the_network_itself() -> None:
    one, two = one_network(), two_networks()
    latents = style_generator(one, noise="fixed").sample(3)
    drawn = Probe(style_generator(one, noise="fixed")).images(latents)
    with torch.no_grad():
        assert torch.equal(drawn, one([latents.z], randomize_noise=False)[0])
        none = one([latents.z], noise=[torch.zeros(1, 1, 1, 1)] * one.num_layers)[0]
    assert torch.equal(Probe(style_generator(one, noise="none")).images(latents), none)
    latents = style_generator(two).sample(3)
    for noise, mode in (("fixed", "const"), ("none", "none")):
        drawn = Probe(style_generator(two, noise=noise)).images(latents)  # type: ignore[arg-type]
        with torch.no_grad():
            assert torch.equal(drawn, two(latents.z, None, noise_mode=mode))


def test_truncation_is_that_of_the_network_itself() -> None:
    one, two = one_network(), two_networks()
    mean = torch.randn(8)
    generator = style_generator(one, noise="fixed", w_mean=mean, truncation=0.6)
    latents = generator.sample(3)
    with torch.no_grad():
        how: Any = {"randomize_noise": False, "truncation": 0.6, "truncation_latent": mean}
        expected = one([latents.z], **how)[0]
    assert torch.allclose(Probe(generator).images(latents), expected, atol=1e-6)
    for cutoff in (None, 0, 2):
        generator = style_generator(two, noise="none", truncation=0.6, cutoff=cutoff)
        latents = generator.sample(3)
        with torch.no_grad():
            ws = two.mapping(latents.z, None, truncation_psi=0.6, truncation_cutoff=cutoff)
            expected = two.synthesis(ws, noise_mode="none", force_fp32=True)
        assert torch.allclose(Probe(generator).images(latents), expected, atol=1e-6)


def test_a_truncation_near_0_gives_the_image_of_the_mean_w() -> None:
    for generator in both("fixed"):
        near = generator.with_truncation(1e-9)
        assert near.to_json()["truncation"] == 1e-9
        assert near.latent_space == generator.latent_space  # w is pulled, z is not cut
        images = Probe(near).images(near.sample(4))
        assert torch.allclose(images, images[:1].expand_as(images), atol=1e-5)
        mean = near.module.w_plus.mean
        w = Space.of(Probe(generator), "w")
        drawn = w.images(torch.as_tensor(mean)[None], generator.sample(1))
        assert torch.allclose(drawn, images[:1], atol=1e-5)


def test_a_mean_that_the_network_lacks_is_estimated_from_samples_of_a_seed() -> None:
    generator = style_generator(one_network())
    assert generator.notes == (
        "the mean w, which truncation pulls to, is that of 4,096 samples of seed 0",
    )
    latents = generator.sample(4096)
    w = Space.of(Probe(generator), "w").points(latents)
    mean = torch.as_tensor(generator.module.w_plus.mean)
    assert torch.allclose(mean, w.mean(0), atol=1e-5)
    again = style_generator(one_network())
    assert again.weights_sha256() == generator.weights_sha256()
    assert style_generator(two_networks()).notes == ()
    known = style_generator(two_networks()).module.w_plus.mean
    assert torch.equal(torch.as_tensor(known), torch.full((5,), 0.3))
    assert style_generator(two_networks(average=0.0)).notes  # which was never updated


@pytest.mark.parametrize("noise", ["random", "fixed", "none"])
def test_images_of_the_points_of_latents_are_those_of_the_latents(noise: Any) -> None:
    for generator in both(noise, truncation=0.7):
        probe = Probe(generator, dtype=torch.float64)
        latents = generator.sample(4, seed=3)
        expected = probe.images(latents)
        for name, shape in (("z", 1), ("w", 1), ("w_plus", 2)):
            space = Space.of(probe, name)
            points = space.points(latents)
            assert len(space.shape) == shape
            assert torch.allclose(space.images(points, latents), expected, atol=1e-9)
        assert space.n_axes == space.shape[0] * space.shape[1]


def test_noise_is_that_of_the_sample_or_of_the_network_or_none() -> None:
    for random, fixed, none in zip(both("random"), both("fixed"), both("none"), strict=True):
        assert Probe(random).layers().draws_noise
        assert not Probe(fixed).layers().draws_noise
        z = random.sample(1).z.repeat(2, 1)
        images = [Probe(one).images(z) for one in (random, fixed, none)]
        assert not torch.allclose(images[0][0], images[0][1], atol=1e-3)
        assert torch.allclose(images[1][0], images[1][1], atol=1e-5)
        assert not torch.allclose(images[1], images[2], atol=1e-3)


def test_one_style_of_w_plus_can_be_edited_alone() -> None:
    generator = style_generator(two_networks(), noise="none")
    probe, latents = Probe(generator), generator.sample(2)
    tensor = probe.layers().resolve_one("w_plus")
    assert (tensor.shape, tensor.unit_axis) == ((3, 5), 2)
    first = torch.zeros(3)
    first[0] = 1.0
    run = probe.run(latents, Ablate("w_plus", region=first), record=["w_plus"])
    assert (run["w_plus"][:, 0] == 0).all()
    assert (run["w_plus"][:, 1:] != 0).any()


def test_a_class_conditional_network_is_asked_for_classes() -> None:
    network = two_networks(n_classes=4)
    generator = style_generator(network, noise="none")
    assert generator.classes == Classes(4)
    latents = generator.sample(6)
    with torch.no_grad():
        labels = torch.eye(4)[[0, 1, 2, 3, 0, 1]]
        expected = network(latents.z, labels, noise_mode="none")
    assert torch.allclose(Probe(generator).images(latents), expected, atol=1e-6)
    third = generator.with_class(2)
    with torch.no_grad():
        expected = network(latents.z, torch.eye(4)[[2] * 6], noise_mode="none")
    assert torch.allclose(Probe(third).images(Latents(latents.z)), expected, atol=1e-6)
    named = style_generator(network, classes=Classes(4, ("a", "b", "c", "d"))).with_class("c")
    assert named.classes is not None
    assert named.classes.chosen == 2
    with pytest.raises(ParameterError, match="the network has 4 classes, got 3"):
        style_generator(network, classes=Classes(3))


def test_what_is_no_stylegan_is_refused() -> None:
    assert is_style_network(one_network())
    assert is_style_network(two_networks())
    assert not is_style_network(nn.Linear(3, 3))
    with pytest.raises(UsageError, match="Linear is no StyleGAN that is known: it has neither"):
        style_generator(nn.Linear(3, 3).eval())
    with pytest.raises(ParameterError, match="noise is random, fixed or none, got 'some'"):
        style_generator(two_networks(), noise="some")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="a cutoff is from 0 to 3 styles, got 4"):
        style_generator(two_networks(), cutoff=4)
    with pytest.raises(ShapeError, match=r"a mean w is \(w,\), got \(2, 5\)"):
        style_generator(two_networks(), w_mean=torch.zeros(2, 5))
    with pytest.raises(UsageError, match="train mode"):
        style_generator(two_networks().train())
    partly = two_networks()
    partly.synthesis.torgb.train()
    with pytest.raises(UsageError, match=r"torgb.*train mode"):
        style_generator(partly)
