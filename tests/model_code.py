"""Somebody's file of network code, and model folders made with it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ganprobe.loading.factory_code import import_typed
from ganprobe.loading.specs import CodeSpec

__all__ = ["CODE", "made", "model_folder", "write_code"]

CODE = '''
"""Networks of somebody's."""

import torch
from torch import nn


class Dcgan(nn.Module):
    """Latents (n, nz, 1, 1) to images (n, 3, 8, 8)."""

    def __init__(self, nz: int = 6, width=4, *, has_norm: bool = True, sizes: tuple = (4, 4)):
        super().__init__()
        self.nz, self.sizes = nz, sizes
        norm = nn.BatchNorm2d(width) if has_norm else nn.Identity()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(nz, width, sizes[0]), norm, nn.ReLU(),
            nn.ConvTranspose2d(width, 3, sizes[1], 2, 1), nn.Tanh(),
        )

    def forward(self, z):
        return self.body(z)

    @classmethod
    def small(cls, nz: int):
        return cls(nz, 2)


class Vae(nn.Module):
    """Its decoder makes flat grey images of 7 x 7 in [0, 1]."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(49, 3), nn.Linear(3, 49)

    def forward(self, images):
        return self.decode(self.encoder(images))

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


class Conditional(nn.Module):
    """Latents and class numbers to images."""

    def __init__(self, n_classes=5):
        super().__init__()
        self.label_emb = nn.Embedding(n_classes, 6)
        self.body = nn.Sequential(nn.Linear(6, 3 * 8 * 8), nn.Tanh(), nn.Unflatten(1, (3, 8, 8)))

    def forward(self, z, labels):
        return self.body(z + self.label_emb(labels))


def trainer(nz=6):
    return {"models": {"g_ema": Dcgan(nz), "d": nn.Linear(2, 1)}, "step": 3}


def broken():
    raise KeyError("no such layer")


def text():
    return "a generator"


NUMBER = 3
'''


def write_code(folder: Path, name: str = "network.py") -> Path:
    """The file of code in a folder."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(CODE)
    return file


def model_folder(folder: Path, toml: str = "", *, width: int = 4) -> nn.Module:
    """Write code, weights of a `Dcgan` and a description; returns that network, in eval mode."""
    code = write_code(folder)
    network = made(code, "Dcgan", width=width)
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "ganprobe.toml").write_text(
        toml
        or f'[generator]\nfactory = "network.py:Dcgan"\nweights = "weights.safetensors"\n'
        f"[arguments]\nwidth = {width}\n[latent]\nshape = [6, 1, 1]\n[images]\nrange = [-1, 1]\n"
    )
    return network


def made(code: Path, name: str, **arguments: object) -> nn.Module:
    """A network of the code with random weights of seed 1, in eval mode."""
    torch.manual_seed(1)
    network: nn.Module = import_typed(CodeSpec(name, file=code)).factory(**arguments)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return network.eval()
