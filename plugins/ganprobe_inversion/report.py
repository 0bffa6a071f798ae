"""What the study says: sentences, tables, arrays, figures, and latents for other commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ganprobe import Array, Context, Figure, LatentSet, Result, Table, mean_interval
from ganprobe_inversion.figures import draw_convergence, draw_errors, draw_training
from ganprobe_inversion.pictures import draw_images
from ganprobe_inversion.sentences import WHOSE, findings, true_distances
from ganprobe_inversion.study import Study


def make_result(study: Study, context: Context) -> Result:
    """The result of a study."""
    return Result(
        findings=findings(study),
        arrays=_arrays(study),
        coordinates={"image": list(study.plan.targets.names), "method": list(study.outcomes)},
        tables={"images": _images_table(study), "summary": _summary_table(study)},
        figures=_figures(study),
        latent_sets=_latent_sets(study, context),
    )


def _images_table(study: Study) -> Table:
    """A row for each image."""
    targets, methods = study.plan.targets, list(study.outcomes)
    distances = true_distances(study)
    ratios, recovered = study.ratios(study.found), study.is_recovered(study.found)
    norms = study.found.points.double().flatten(1).norm(dim=1).tolist()
    outside = study.plan.extent.is_outside(study.found.points)
    rows = [
        ("own" if row < targets.n_own else "real", name,
         *(float(study.outcomes[method].errors[row]) for method in methods),
         study.best[row], float(ratios[row]), bool(recovered[row]), norms[row], bool(outside[row]),
         float(distances[row]) if distances is not None and row < targets.n_own else None)
        for row, name in enumerate(targets.names)
    ]  # fmt: skip
    errors = ("nearest random", *methods[1:])
    columns = ("kind", "image", *errors, "best", "ratio", "recovered", "norm", "outside prior",
               "distance to the true latent")  # fmt: skip
    text = (
        "Mean squared difference of images in [0, 1] by each method; what follows is of the best:"
        " its share of the nearest random sample's, and its point's Euclidean norm and place."
    )
    return Table(columns, tuple(rows), text)


def _summary_table(study: Study) -> Table:
    """A row for each kind of images and method."""
    rows = []
    for kind in study.plan.targets.kinds():
        own = study.plan.targets.rows(kind)
        for one in [*study.outcomes.values(), study.found]:
            errors, ratios = one.errors[own], study.ratios(one)[own]
            mean, low, high = (float(limit[0]) for limit in mean_interval(errors))
            n_recovered = int(study.is_recovered(one)[own].sum())
            rows.append((kind, one.method, mean, low, high, float(np.median(errors)),
                         float(errors.max()), float(np.median(ratios)), float(ratios.max()),
                         n_recovered, len(errors)))  # fmt: skip
    columns = ("kind", "method", "mean", "mean low", "mean high", "median", "worst",
               "median ratio", "worst ratio", "recovered", "n")  # fmt: skip
    text = "Mean squared difference of images in [0, 1], with 95 % intervals of the mean."
    return Table(columns, tuple(rows), text)


def _arrays(study: Study) -> dict[str, Array]:
    n = len(study.plan.targets)
    errors = np.stack([one.errors for one in study.outcomes.values()])
    unit = "squared brightness"
    points = study.found.points.reshape(n, -1).cpu().double().numpy()
    arrays = {
        "errors": Array(errors, ("method", "image"), unit, "mean squared difference"),
        "points": Array(points, ("image", "number"), "", "the best points found, flattened"),
        "found images": Array(_plain(study.found.images), _IMAGE_DIMS, "", "what they give"),
        "target images": Array(_plain(study.plan.targets.images), _IMAGE_DIMS, "", "given"),
    }
    for name, one in study.outcomes.items():
        if one.path is not None:
            text = f"{name}: mean squared difference of the best so far, after each step"
            arrays[f"path {name.replace('+', ' and ')}"] = Array(
                one.path, ("step", "image"), unit, text
            )
    return arrays


_IMAGE_DIMS = ("image", "channel", "y", "x")


def _plain(images: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(images.detach().cpu().float().numpy(), np.float32)


def _latent_sets(study: Study, context: Context) -> dict[str, LatentSet]:
    if not study.plan.space.is_latent:
        return {}
    identity = context.generator.to_json()
    generator = {key: identity[key] for key in ("name", "weights_sha256", "normalisation")}
    sets = {}
    for kind in study.plan.targets.kinds():
        rows = study.plan.targets.rows(kind)
        names = study.plan.targets.names[rows]
        z = _plain(study.found.points[rows])
        groups = {"z": z}
        if kind == "real":
            groups |= {name: z[[row]] for row, name in enumerate(names) if name != "z"}
        found = {
            "analysis": "inversion",
            "images": list(names),
            "methods": list(study.best[rows]),
            "errors": study.found.errors[rows].tolist(),
            "seed": context.seed,
        }
        sets[kind] = LatentSet(groups, generator=generator, found=found)
    return sets


def _figures(study: Study) -> dict[str, Figure]:
    figures = {}
    for kind in reversed(study.plan.targets.kinds()):
        caption = f"{WHOSE[kind]}, the nearest random sample, and what each method makes of it."
        figures[kind] = Figure(draw_images(study, kind), caption)
    figures["errors"] = Figure(draw_errors(study), "The error of each method, for every image.")
    if any(one.path is not None for one in study.outcomes.values()):
        caption = "How the error falls along the descent."
        figures["convergence"] = Figure(draw_convergence(study), caption)
    if study.encoder is not None:
        figures["encoder"] = Figure(draw_training(study, study.encoder), "How it was trained.")
    return figures
