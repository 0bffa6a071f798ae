"""A generator of lanterns: each latent dimension lights one of them."""

import torch
from torch import Tensor, nn

N_LANTERNS, SIZE = 4, 16


class Lanterns(nn.Module):
    """Latents (n, 4) to images (n, 3, 16, 16), black where no lantern is."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lamps = nn.Linear(N_LANTERNS, N_LANTERNS)
        nn.init.eye_(self.lamps.weight)
        nn.init.zeros_(self.lamps.bias)
        self.flicker = nn.Sigmoid()
        along = torch.linspace(-1.0, 1.0, SIZE)
        corners = torch.tensor([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
        distances = (along.view(1, -1, 1) - corners[:, 0].view(-1, 1, 1)).square()
        distances = distances + (along.view(1, 1, -1) - corners[:, 1].view(-1, 1, 1)).square()
        self.register_buffer("places", torch.exp(-distances / 0.1))  # (lanterns, y, x)

    def forward(self, latents: Tensor) -> Tensor:
        lit = self.flicker(self.lamps(latents))  # (n, lanterns)
        light = torch.einsum("nk,kyx->nyx", lit, self.places).clamp(0.0, 1.0)
        return torch.stack([light, 0.7 * light, 0.3 * light], dim=1)  # (n, 3, y, x)
