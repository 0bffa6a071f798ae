"""Uses what a later ganprobe will have."""

from ganprobe import Hologram, hookimpl


@hookimpl
def register_generators():
    return [Hologram()]
