"""The classes of painted places, and a colour for each."""

from __future__ import annotations

__all__ = ["CLASSES", "CLASS_COLOURS"]

_COLOUR_OF = {
    "sky": "#8fc7f4",
    "ground": "#7cb356",
    "path": "#e0c48c",
    "house": "#e08a5a",
    "church": "#8d86a8",
    "roof": "#a03c32",
    "door": "#5a2d0c",
    "window": "#33d6e5",
    "tree": "#1f6b34",
    "sun": "#ffd21f",
    "cloud": "#ffffff",
}

CLASSES = tuple(_COLOUR_OF)
CLASS_COLOURS = tuple(_COLOUR_OF.values())
