"""Expects to be given what no hook is given."""

from ganprobe import Segmenter, hookimpl


@hookimpl
def register_segmenters(manager, config) -> list[Segmenter]:
    return manager.segmenters(config)
