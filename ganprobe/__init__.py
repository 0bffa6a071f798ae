"""See what is inside an image generator: record and ablate its feature maps.

    import ganprobe as gp

    digits = gp.load("digits")
    probe = gp.Probe(digits)
    run = probe.run(digits.sample(16, seed=0), [gp.Ablate("conv2#0-19")], record=["conv3"])
    run.images, run["conv3"]

Names are resolved when they are first used: importing ganprobe imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "COLOURS",
    "CONTROL_COLOUR",
    "IQR_SHARES",
    "MOST_EXACT",
    "Ablate",
    "ActivationDataset",
    "ActivationStore",
    "Analysis",
    "Animation",
    "AnimationFormat",
    "Apply",
    "AreaMeasure",
    "Array",
    "Associations",
    "Boundary",
    "Call",
    "CarriedBack",
    "CausalEffects",
    "Classes",
    "Coefficients",
    "Components",
    "Context",
    "ContextEffect",
    "ContextMap",
    "DescribedNetwork",
    "Description",
    "DirectionSet",
    "Directions",
    "Dissection",
    "DissectionCounts",
    "DissectionLevels",
    "DissectionSettings",
    "Extent",
    "Factorisation",
    "FactoryError",
    "Field",
    "Figure",
    "FileImage",
    "Fitted",
    "ForwardError",
    "FoundUnits",
    "GanprobeError",
    "Generator",
    "GeneratorLoader",
    "How",
    "ImageCell",
    "ImageChanges",
    "Indices",
    "Intervention",
    "LatentSet",
    "LatentSpace",
    "Latents",
    "Layer",
    "LayerTable",
    "LearnedMap",
    "Measure",
    "MeasureColumn",
    "MeasureName",
    "MeasuredSweep",
    "ModelName",
    "NotATensorError",
    "NotDifferentiableError",
    "NotFiniteError",
    "NotRecordedError",
    "NotReplayableError",
    "OneSite",
    "OptimisedUnits",
    "OutputExistsError",
    "Overlap",
    "OverwrittenError",
    "PairedEffects",
    "ParameterError",
    "ParameterType",
    "Params",
    "Patch",
    "Places",
    "PluginError",
    "Predictability",
    "Probe",
    "Provenance",
    "RandomUnits",
    "Recall",
    "Recording",
    "Refusal",
    "ReplayPlan",
    "Result",
    "Run",
    "SampleChoice",
    "Samples",
    "Scale",
    "Segmenter",
    "SegmenterName",
    "Session",
    "ShapeError",
    "Share",
    "Shift",
    "Site",
    "SiteError",
    "SiteNotReachedError",
    "SiteSet",
    "SiteTensor",
    "Sites",
    "Space",
    "SpaceName",
    "StatisticsSettings",
    "StoreError",
    "StyleGenerator",
    "Swap",
    "Sweep",
    "Table",
    "Trust",
    "UnitSet",
    "UnitStatistics",
    "UnitSummary",
    "UnitValues",
    "Units",
    "UnknownNameError",
    "UntrustedError",
    "UsageError",
    "Weights",
    "WeightsError",
    "__version__",
    "associations",
    "attribute_boundary",
    "average_causal_effect",
    "average_causal_effects",
    "carried_back",
    "closed_form",
    "conditional_direction",
    "context_map",
    "control_band",
    "cosines",
    "difference_images",
    "dissect",
    "draw_context_map",
    "draw_image_grid",
    "effective_number",
    "extreme_rows",
    "file_kind",
    "find_image_files",
    "find_measure",
    "find_segmenter",
    "fit_predictor",
    "fit_weights",
    "frames_of",
    "gather_changes",
    "hookimpl",
    "information_quality",
    "insertion_levels",
    "is_style_network",
    "jvp_images",
    "kernel_levels",
    "learned_map",
    "lerp",
    "load",
    "load_described_network",
    "luminance",
    "mark_area",
    "mean_interval",
    "merge_stores",
    "optimise_units",
    "overlap_elsewhere",
    "paired_effects",
    "plain_axes",
    "predictability",
    "principal_components",
    "random_units",
    "ratio_of_means",
    "read_description",
    "read_image",
    "read_images",
    "read_pixels",
    "read_region",
    "read_weights",
    "renormalised",
    "search_units",
    "share",
    "sign",
    "slerp",
    "small_step",
    "store_statistics",
    "style_generator",
]

if TYPE_CHECKING:
    from ganprobe.analysis import Analysis, Context
    from ganprobe.animations import Animation, AnimationFormat, frames_of
    from ganprobe.association import (
        Associations,
        Coefficients,
        associations,
        cosines,
        effective_number,
    )
    from ganprobe.boundaries import (
        Boundary,
        attribute_boundary,
        conditional_direction,
        extreme_rows,
    )
    from ganprobe.calls import Call
    from ganprobe.catalogue import find_measure, find_segmenter, load
    from ganprobe.causal import (
        CausalEffects,
        ContextEffect,
        ContextMap,
        OptimisedUnits,
        Places,
        average_causal_effect,
        average_causal_effects,
        context_map,
        insertion_levels,
        optimise_units,
    )
    from ganprobe.classes import Classes
    from ganprobe.components import (
        MOST_EXACT,
        CarriedBack,
        Components,
        carried_back,
        principal_components,
    )
    from ganprobe.context_figure import draw_context_map
    from ganprobe.direction_sets import DirectionSet
    from ganprobe.dissection import (
        IQR_SHARES,
        Dissection,
        DissectionCounts,
        DissectionLevels,
        DissectionSettings,
        Overlap,
        dissect,
        information_quality,
        overlap_elsewhere,
    )
    from ganprobe.drawing import (
        COLOURS,
        CONTROL_COLOUR,
        ImageCell,
        draw_image_grid,
        plain_axes,
        sign,
    )
    from ganprobe.effects import (
        PairedEffects,
        Share,
        control_band,
        mean_interval,
        paired_effects,
        ratio_of_means,
        share,
    )
    from ganprobe.engine import Session
    from ganprobe.errors import (
        FactoryError,
        ForwardError,
        GanprobeError,
        NotATensorError,
        NotDifferentiableError,
        NotFiniteError,
        NotRecordedError,
        NotReplayableError,
        OutputExistsError,
        OverwrittenError,
        ParameterError,
        PluginError,
        ShapeError,
        SiteError,
        SiteNotReachedError,
        StoreError,
        UnknownNameError,
        UntrustedError,
        UsageError,
        WeightsError,
    )
    from ganprobe.factorisation import Factorisation, LearnedMap, closed_form, learned_map
    from ganprobe.generators import Generator
    from ganprobe.hookspecs import hookimpl
    from ganprobe.image_files import (
        FileImage,
        find_image_files,
        read_image,
        read_images,
        read_pixels,
    )
    from ganprobe.interpolation import lerp, renormalised, slerp
    from ganprobe.interventions import Ablate, Apply, Intervention, Patch, Scale, Shift, Swap
    from ganprobe.jacobians import (
        ImageChanges,
        difference_images,
        gather_changes,
        jvp_images,
        small_step,
    )
    from ganprobe.kernels import kernel_levels
    from ganprobe.latent_sets import LatentSet
    from ganprobe.latents import Latents, LatentSpace
    from ganprobe.layers import Layer, LayerTable
    from ganprobe.loaders import GeneratorLoader
    from ganprobe.loading import (
        DescribedNetwork,
        Description,
        load_described_network,
        read_description,
    )
    from ganprobe.measures import Measure
    from ganprobe.overlays import mark_area
    from ganprobe.params import (
        Directions,
        Field,
        Indices,
        MeasureColumn,
        MeasureName,
        OneSite,
        ParameterType,
        Params,
        Samples,
        SegmenterName,
        Sites,
        SpaceName,
        Units,
    )
    from ganprobe.prediction import ModelName, Predictability, fit_predictor, predictability
    from ganprobe.probe import Probe
    from ganprobe.provenance import Provenance
    from ganprobe.recordings import Recording
    from ganprobe.regions import read_region
    from ganprobe.replay import ReplayPlan
    from ganprobe.results import Array, Figure, Result, Table
    from ganprobe.runs import Run
    from ganprobe.sample_choices import SampleChoice
    from ganprobe.search import FoundUnits, RandomUnits, Recall, random_units, search_units
    from ganprobe.segmenters import AreaMeasure, Segmenter
    from ganprobe.site_sets import SiteSet
    from ganprobe.sites import Site, SiteTensor
    from ganprobe.spaces import Extent, Space
    from ganprobe.statistics import StatisticsSettings, UnitStatistics, UnitSummary
    from ganprobe.store import ActivationDataset, ActivationStore, merge_stores
    from ganprobe.stored_statistics import store_statistics
    from ganprobe.style import StyleGenerator, is_style_network, style_generator
    from ganprobe.sweeps import How, MeasuredSweep, Refusal, Sweep, UnitValues
    from ganprobe.tones import luminance
    from ganprobe.unit_sets import UnitSet
    from ganprobe.weight_files import Fitted, Trust, Weights, file_kind, fit_weights, read_weights

_HOMES = {
    "analysis": (
        "Analysis",
        "Context",
    ),
    "animations": (
        "Animation",
        "AnimationFormat",
        "frames_of",
    ),
    "association": (
        "Associations",
        "Coefficients",
        "associations",
        "cosines",
        "effective_number",
    ),
    "boundaries": (
        "Boundary",
        "attribute_boundary",
        "conditional_direction",
        "extreme_rows",
    ),
    "calls": ("Call",),
    "catalogue": (
        "find_measure",
        "find_segmenter",
        "load",
    ),
    "causal": (
        "CausalEffects",
        "ContextEffect",
        "ContextMap",
        "OptimisedUnits",
        "Places",
        "average_causal_effect",
        "average_causal_effects",
        "context_map",
        "insertion_levels",
        "optimise_units",
    ),
    "classes": ("Classes",),
    "components": (
        "MOST_EXACT",
        "CarriedBack",
        "Components",
        "carried_back",
        "principal_components",
    ),
    "context_figure": ("draw_context_map",),
    "direction_sets": ("DirectionSet",),
    "dissection": (
        "IQR_SHARES",
        "Dissection",
        "DissectionCounts",
        "DissectionLevels",
        "DissectionSettings",
        "Overlap",
        "dissect",
        "information_quality",
        "overlap_elsewhere",
    ),
    "drawing": (
        "COLOURS",
        "CONTROL_COLOUR",
        "ImageCell",
        "draw_image_grid",
        "plain_axes",
        "sign",
    ),
    "effects": (
        "PairedEffects",
        "Share",
        "control_band",
        "mean_interval",
        "paired_effects",
        "ratio_of_means",
        "share",
    ),
    "engine": ("Session",),
    "errors": (
        "FactoryError",
        "ForwardError",
        "GanprobeError",
        "NotATensorError",
        "NotDifferentiableError",
        "NotFiniteError",
        "NotRecordedError",
        "NotReplayableError",
        "OutputExistsError",
        "OverwrittenError",
        "ParameterError",
        "PluginError",
        "ShapeError",
        "SiteError",
        "SiteNotReachedError",
        "StoreError",
        "UnknownNameError",
        "UntrustedError",
        "UsageError",
        "WeightsError",
    ),
    "factorisation": (
        "Factorisation",
        "LearnedMap",
        "closed_form",
        "learned_map",
    ),
    "generators": ("Generator",),
    "hookspecs": ("hookimpl",),
    "image_files": (
        "FileImage",
        "find_image_files",
        "read_image",
        "read_images",
        "read_pixels",
    ),
    "interpolation": (
        "lerp",
        "renormalised",
        "slerp",
    ),
    "interventions": (
        "Ablate",
        "Apply",
        "Intervention",
        "Patch",
        "Scale",
        "Shift",
        "Swap",
    ),
    "jacobians": (
        "ImageChanges",
        "difference_images",
        "gather_changes",
        "jvp_images",
        "small_step",
    ),
    "kernels": ("kernel_levels",),
    "latent_sets": ("LatentSet",),
    "latents": (
        "LatentSpace",
        "Latents",
    ),
    "layers": (
        "Layer",
        "LayerTable",
    ),
    "loaders": ("GeneratorLoader",),
    "loading": (
        "DescribedNetwork",
        "Description",
        "load_described_network",
        "read_description",
    ),
    "measures": ("Measure",),
    "overlays": ("mark_area",),
    "params": (
        "Directions",
        "Field",
        "Indices",
        "MeasureColumn",
        "MeasureName",
        "OneSite",
        "ParameterType",
        "Params",
        "Samples",
        "SegmenterName",
        "Sites",
        "SpaceName",
        "Units",
    ),
    "prediction": (
        "ModelName",
        "Predictability",
        "fit_predictor",
        "predictability",
    ),
    "probe": ("Probe",),
    "provenance": ("Provenance",),
    "recordings": ("Recording",),
    "regions": ("read_region",),
    "replay": ("ReplayPlan",),
    "results": (
        "Array",
        "Figure",
        "Result",
        "Table",
    ),
    "runs": ("Run",),
    "sample_choices": ("SampleChoice",),
    "search": (
        "FoundUnits",
        "RandomUnits",
        "Recall",
        "random_units",
        "search_units",
    ),
    "segmenters": (
        "AreaMeasure",
        "Segmenter",
    ),
    "site_sets": ("SiteSet",),
    "sites": (
        "Site",
        "SiteTensor",
    ),
    "spaces": (
        "Extent",
        "Space",
    ),
    "statistics": (
        "StatisticsSettings",
        "UnitStatistics",
        "UnitSummary",
    ),
    "store": (
        "ActivationDataset",
        "ActivationStore",
        "merge_stores",
    ),
    "stored_statistics": ("store_statistics",),
    "style": (
        "StyleGenerator",
        "is_style_network",
        "style_generator",
    ),
    "sweeps": (
        "How",
        "MeasuredSweep",
        "Refusal",
        "Sweep",
        "UnitValues",
    ),
    "tones": ("luminance",),
    "unit_sets": ("UnitSet",),
    "weight_files": (
        "Fitted",
        "Trust",
        "Weights",
        "file_kind",
        "fit_weights",
        "read_weights",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ganprobe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ganprobe.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
