"""Runs: what one forward of a generator made and left."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ganprobe.errors import NotRecordedError
from ganprobe.latents import Latents
from ganprobe.recordings import Recording
from ganprobe.sites import Site

__all__ = ["Run"]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One forward: its latents, what was recorded, and its images.

    Args:
        finished: the images (n, channels, height, width), or None where the forward was stopped
            before it had made them.
    """

    latents: Latents
    recording: Recording
    finished: Tensor | None

    @property
    def images(self) -> Tensor:
        """The images, (n, channels, height, width) in the generator's image range.

        Raises:
            NotRecordedError: the forward was stopped early.
        """
        if self.finished is None:
            raise NotRecordedError(
                "this run has no images: it was stopped when everything was recorded; leave out"
                " stop_early=True"
            )
        return self.finished

    def __repr__(self) -> str:
        images = "stopped early" if self.finished is None else f"images {tuple(self.images.shape)}"
        return f"<Run of {len(self.latents)} latents, {images}, {self.recording!r}>"

    def __getitem__(self, site: str | Site) -> Tensor:
        """The activation recorded at a site, as the site was written."""
        return self.recording[site]
