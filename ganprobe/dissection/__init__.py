"""Dissection: which units of a generator draw what.

A unit is dissected by where in the image it is active: its activation is brought to the size of
the image, and the pixels above a threshold are compared with the pixels of each class of a
segmenter, over many samples, by intersection over union (Bau et al. 2019, arXiv 1811.10597).

Samples are read once where the activations fit the memory, else twice, in memory that does not
grow with them. Disjoint parts of the samples can be counted apart and merged: `DissectionLevels`
finds the thresholds, `DissectionCounts` counts the pixels.
"""

from __future__ import annotations

from ganprobe.dissection.elsewhere import Overlap, overlap_elsewhere
from ganprobe.dissection.information import IQR_SHARES, information_quality
from ganprobe.dissection.levels import DissectionLevels
from ganprobe.dissection.parts import DissectionCounts
from ganprobe.dissection.reading import dissect
from ganprobe.dissection.result import Dissection
from ganprobe.dissection.settings import DissectionSettings

__all__ = [
    "IQR_SHARES",
    "Dissection",
    "DissectionCounts",
    "DissectionLevels",
    "DissectionSettings",
    "Overlap",
    "dissect",
    "information_quality",
    "overlap_elsewhere",
]
