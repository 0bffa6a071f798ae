"""Merging: the shards of one recording as one file, as a single process would have made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ganprobe.errors import ParameterError
from ganprobe.latents import LatentSpace
from ganprobe.progress import Progress, silent
from ganprobe.provenance import Provenance
from ganprobe.runs import Run
from ganprobe.sites import Site, SiteTensor
from ganprobe.store.contents import StoredDataset
from ganprobe.store.layout import Compression, RecordingSpec
from ganprobe.store.reader import ActivationStore
from ganprobe.store.writer import write_store

__all__ = ["merge_stores"]


def merge_stores(
    paths: Sequence[str | Path],
    output: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write the shards of a recording into one file, with the same samples, bit for bit.

    Args:
        paths: all shards, in any order, or the one file that joins them.
        output: the file to write; the shards stay.
        overwrite: replace an existing file.

    Raises:
        StoreError: a shard is missing, incomplete, damaged, or of another recording; or the
            file cannot be written.
        OutputExistsError: it exists, and `overwrite` is False.
        ParameterError: no file was given, or the output is among them.
    """
    if not paths:
        raise ParameterError("no shard was given; name all of them, or the file that joins them")
    output = Path(output)
    with ActivationStore.of_shards(paths) as store:
        if output.resolve() in {path.resolve() for path in store.files}:
            raise ParameterError(f"{output} is one of the shards; name another --output")

        def batches(first: int) -> Iterator[Run]:
            return store.batches(samples=slice(first, None), batch_size=store.batch_size)

        try:
            return write_store(_spec(store, output, overwrite=overwrite), batches, progress)
        except BaseException as error:
            if getattr(error, "__notes__", None):
                error.__notes__[:] = [f"{output} is not complete; merge again with --force"]
            raise


def _spec(store: ActivationStore, output: Path, *, overwrite: bool) -> RecordingSpec:
    made = store.provenance
    merged = [path.name for path in store.files]
    made["parameters"] = {**made["parameters"], "share": None, "merged": merged}
    latents = store.stored("latents")
    images = store.stored("images") if store.has_images else None
    compression: Compression = store.compression
    return RecordingSpec(
        path=output,
        samples=store.indices,
        seed=made["seed"],
        batch_size=store.batch_size,
        sites={site: _site_tensor(site, store.stored(site)) for site in store.sites},
        latent_space=LatentSpace(latents.extent.tiling.shape[1:]),
        image_shape=None if images is None else images.extent.tiling.shape[1:],
        latent_dtype=latents.extent.dtype,
        image_dtype=latents.extent.dtype if images is None else images.extent.dtype,
        provenance=Provenance(**made),
        identity=store.identity,
        compression=compression,
        overwrite=overwrite,
    )


def _site_tensor(site: Site, stored: StoredDataset) -> SiteTensor:
    shape = stored.extent.tiling.shape[1:]
    axis = stored.dimensions.index("unit") if "unit" in stored.dimensions else 1
    dtype = str(stored.extent.dtype).removeprefix("torch.")
    return SiteTensor(site, shape, dtype, axis, is_batched=True, is_overwritten=False)
