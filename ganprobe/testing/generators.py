"""Tests that any generator passes: subclass `GeneratorTests` in a test file of yours.

They run some forty forwards of a few samples, and copy the module a few times.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganprobe.errors import GanprobeError
from ganprobe.generators import Generator
from ganprobe.interventions import Ablate, Patch
from ganprobe.latents import Latents
from ganprobe.loaders import GeneratorLoader
from ganprobe.probe import Probe
from ganprobe.sites import SiteTensor
from ganprobe.spaces import Space
from ganprobe.testing.conformance import (
    ConformanceTests,
    check,
    check_nothing,
    check_sentence,
    fail,
    refusal_of_plugin,
    skip,
)
from ganprobe.testing.traces import ModuleTraces, ProcessTraces, scrambled_noise

__all__ = ["GeneratorTests"]

_N = 7
_N_FOR_RANGE = 16
_MOST_OUTSIDE = 0.05  # of the values of images
_EXACTLY = 1e-6  # in shares of the image range, in float64: what other orders of sums may change
_HALF_A_LEVEL = 1 / 512  # in shares of the image range: no 8-bit image shows it
_A_FEW_LEVELS = 5 / 256


class GeneratorTests(ConformanceTests):
    """The tests of a generator. Subclass it, with a name that starts with ``Test``.

    Attributes:
        loader: as `register_generators` gives it; or define ``make_generator(self)``.
        excused: tests that do not hold for it, each with the reason why.

    Example::

        from ganprobe.testing import GeneratorTests
        from my_module import register_generators

        class TestFaces(GeneratorTests):
            loader = register_generators()[0]
    """

    loader: ClassVar[GeneratorLoader | None] = None

    _kept: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._kept = {}

    def make_generator(self) -> Generator:
        """The generator; define it where there is no loader."""
        if self.loader is None:
            fail(
                f"{type(self).__name__} says nothing of what it tests; write loader ="
                " GeneratorLoader(...), or define make_generator"
            )
        return self.loader.make()

    # What it says of itself

    def test_it_can_be_registered(self) -> None:
        """Its plugin would load, and its summary is one line."""
        if self.loader is None:
            skip("it has no loader")
        reason = refusal_of_plugin("register_generators", self.loader)
        check(reason is None, f"a plugin that gives it does not load: {reason}")
        check_sentence(self.loader.summary, f"the summary of generator {self.loader.name!r}")
        check(
            not set(self.loader.name) & set(" \t\n:/\\"),
            f"the name {self.loader.name!r} is typed after a command; take letters, digits, -",
        )

    def test_loading_it_leaves_the_process_as_it_was(self) -> None:
        """Modes, settings and folders are; layers may draw their first weights."""
        self._generator()  # what it imports, it may
        with scrambled_noise(0):
            traces = ProcessTraces.before()
            self.make_generator()
            left = traces.left(but="random state")
        check_nothing(left, f"loading {self._it} does not leave everything as it was")

    def test_it_loads_the_same_weights_each_time(self) -> None:
        """What is found can be found again."""
        with scrambled_noise(1):
            again = self.make_generator()
        check(
            again.weights_sha256() == self._generator().weights_sha256(),
            f"loading {self._it} again gives other weights; read them from a file, or seed them",
        )

    def test_it_loads_in_eval_mode_on_the_cpu(self) -> None:
        """Every layer; a device is chosen by who uses it."""
        module = self._generator().module
        training = [name or "the module" for name, one in module.named_modules() if one.training]
        check_nothing(training, f"layers of {self._it} are in train mode; call module.eval()")
        elsewhere = sorted({str(one.device) for one in module.parameters()} - {"cpu"})
        check_nothing(elsewhere, f"{self._it} loads weights on another device than the CPU")

    def test_its_record_for_the_provenance_is_json(self) -> None:
        """Name, weights, latents, classes, how it was loaded."""
        generator = self._generator()
        try:
            json.dumps(generator.to_json(), allow_nan=False)
        except (TypeError, ValueError) as error:
            fail(f"the provenance of {self._it} is not JSON: {error}; give plain values in source")

    # Its images

    def test_it_makes_images_of_its_latents(self) -> None:
        """(n, channels, height, width) of floating point, finite."""
        images = self._images(self._latents(2))
        check(
            images.dtype.is_floating_point,
            f"{self._it} gives images of {images.dtype}; give floats in its image_range",
        )
        check(bool(images.isfinite().all()), f"{self._it} gives images with NaN or infinity")

    def test_its_images_are_in_their_range(self) -> None:
        """At most 5 % of the values are outside, and they are not all in one half of it."""
        black, white = self._generator().image_range
        images = self._images(self._latents(_N_FOR_RANGE))
        low, high = images.min().item(), images.max().item()
        seen = f"from {low:.3g} to {high:.3g}, and its image_range is ({black:g}, {white:g})"
        margin = 0.01 * (white - black)
        outside = (images < black - margin) | (images > white + margin)
        share = outside.double().mean().item()
        check(
            share <= _MOST_OUTSIDE,
            f"{100 * share:.0f} % of the values of {self._it} are outside of its range: they go"
            f" {seen}",
        )
        middle = (black + white) / 2
        check(
            low < middle < high,
            f"{self._it} uses one half of its range: values go {seen}; is it another one?",
        )

    def test_a_sample_does_not_depend_on_its_batch(self) -> None:
        """Sample i alone is what it is among seven."""
        probe, tolerance = self._exact_probe()
        latents = self._latents(_N)
        whole = probe.images(latents)
        singles = torch.cat([probe.images(one) for one in latents.split(1)])
        self._check_close(
            whole,
            singles,
            tolerance,
            "a sample is another in another batch; let no sample depend on the others (BatchNorm"
            " in train mode, statistics over the batch)",
        )

    def test_the_same_latents_give_the_same_images(self) -> None:
        """Whatever the global random states are; noise that it draws begins anew each time."""
        latents = self._latents(2)
        with scrambled_noise(1):
            first = self._images(latents)
        with scrambled_noise(2):
            second = self._images(latents)
        self._check_close(
            first,
            second,
            0.0,
            "the same latents give other images a second time; draw noise with torch alone, and"
            " keep no state from one forward to the next",
        )

    def test_other_latents_give_other_images(self) -> None:
        """Each sample is another."""
        images = self._images(self._latents(2))
        check(
            not torch.equal(images[0], images[1]),
            f"{self._it} gives the same image for two latents; are its weights loaded?",
        )

    def test_its_classes_matter(self) -> None:
        """Another class of the same latents is another image."""
        generator = self._generator()
        if generator.classes is None:
            skip("it is not class-conditional")
        if generator.classes.count < 2:
            skip("it has one class")
        latents = Latents(self._latents(2).z)
        one, other = (
            Probe(generator.with_class(chosen)).images(latents)
            for chosen in (0, generator.classes.count - 1)
        )
        check(
            not torch.equal(one, other),
            f"{self._it} gives the same images for class 0 and class"
            f" {generator.classes.count - 1}; does its call pass the class on?",
        )
        for name in generator.classes.names[:3]:
            check(
                generator.with_class(name).classes is not None,
                f"{self._it} does not know its class {name!r}",
            )

    def test_its_truncation_matters(self) -> None:
        """Less of it is another image."""
        generator = self._generator()
        if generator.call is None or "$truncation" not in generator.call.places:
            skip("its call passes no truncation")
        latents = Latents(self._latents(2).z, labels=self._latents(2).labels)
        strong, weak = (Probe(generator.with_truncation(one)).images(latents) for one in (0.3, 1.0))
        check(
            not torch.equal(strong, weak),
            f"{self._it} gives the same images with truncation 0.3 and 1; does its call pass it to"
            " the argument that is meant?",
        )

    def test_its_intermediate_latents_make_its_images(self) -> None:
        """What stands at its w_site, and at its w_plus_site, is what the rest of it begins with."""
        generator = self._generator()
        named = {"w": generator.w_site, "w_plus": generator.w_plus_site}
        spaces = [name for name, site in named.items() if site is not None]
        if not spaces:
            skip("it says nothing of a w_site")
        probe, latents = Probe(generator), self._latents(2)
        plain = probe.images(latents)
        for name in spaces:
            space = Space.of(probe, name)
            points = space.points(latents)
            self._check_close(
                plain,
                space.images(points, latents),
                _HALF_A_LEVEL,
                f"the {name} of a sample gives another image when it is put back",
            )
            check(
                not torch.equal(plain, space.images(points.flip(0), latents)),
                f"{self._it} gives the same images for another {name}; is {named[name]} where it"
                " is?",
            )

    # Looking inside

    def test_its_layers_can_be_listed(self) -> None:
        """With sites that have units, of which each can be edited."""
        table = Probe(self._generator()).layers()
        check(len(table) > 1, f"{self._it} has no layers that run as modules; call modules")
        check(
            bool(self._sites()),
            f"{self._it} has no site with a unit axis and a batch axis; give unit_axes",
        )

    def test_recording_changes_nothing(self) -> None:
        """The images are those of a plain forward."""
        probe, latents = Probe(self._generator()), self._latents(3)
        plain = probe.images(latents)
        for site in self._sites():
            run = probe.run(latents, record=[site.site])
            self._check_close(plain, run.images, 0.0, f"recording {site.site} gives other images")
            check(
                len(run[site.site]) == len(latents),
                f"{self._it} has {len(run[site.site])} rows at {site.site} for {len(latents)}"
                " samples",
            )

    def test_what_was_recorded_gives_the_same_images_when_put_in(self) -> None:
        """A site is where the images come from."""
        probe, latents = Probe(self._generator()), self._latents(3)
        plain = probe.images(latents)
        for site in self._sites():
            held = probe.run(latents, record=[site.site])[site.site]
            patched = probe.run(latents, Patch(site.site, values=held)).images
            self._check_close(
                plain,
                patched,
                _HALF_A_LEVEL,
                f"putting in what was recorded at {site.site} gives other images",
            )

    def test_sweeps_agree_with_plain_forwards(self) -> None:
        """Of each unit alone set to zero, whatever way is the fastest."""
        probe, latents = Probe(self._generator()), self._latents(2)
        for site in self._sites():
            units = sorted({0, site.n_units // 2, site.n_units - 1})
            edits = [Ablate(site.site, units=[unit]) for unit in units]
            try:
                found = list(probe.sweep(latents, edits))
            except GanprobeError as error:
                fail(f"a sweep at {site.site} of {self._it} fails: {error}")
            for edit, swept in zip(edits, found, strict=True):
                alone = probe.run(latents, edit).images
                self._check_close(
                    alone, swept, _HALF_A_LEVEL, f"a sweep at {site.site} gives other images"
                )

    def test_gradients_reach_its_latents(self) -> None:
        """Finite ones, and not all zero."""
        probe = Probe(self._generator())
        given = self._latents(2)
        z = given.z.to(probe.device, probe.dtype).clone().requires_grad_()
        latents = Latents(z, given.seed, given.indices, given.labels)
        images = probe.run(latents, grad=True).images
        check(
            images.requires_grad,
            f"no gradients go through {self._it}; leave no_grad, detach and numpy out of its"
            " forward, or excuse this",
        )
        (gradient,) = torch.autograd.grad(images.sum(), z)
        check(bool(gradient.isfinite().all()), f"gradients through {self._it} are not finite")
        check(bool(gradient.any()), f"gradients through {self._it} are all zero")

    def test_it_runs_in_float64(self) -> None:
        """With the same images to a few levels of grey, but for noise that it draws."""
        try:
            exact = Probe(self._generator(), dtype=torch.float64).images(self._latents(2))
        except GanprobeError as error:
            fail(
                f"{self._it} does not run in float64: {error}; make tensors in its forward with"
                " the dtype of what it is given"
            )
        if Probe(self._generator()).layers().draws_noise:
            return  # which is other noise in another dtype
        plain = self._images(self._latents(2))
        self._check_close(plain, exact, _A_FEW_LEVELS, "its images in float64 are others")

    # What is left of it

    def test_probing_leaves_it_as_it_was(self) -> None:
        """No hook, attribute or flag, no other weight."""
        generator, latents = self.make_generator(), self._latents(2)
        self._forward(generator)
        traces, before = ModuleTraces.before(generator), generator.weights_sha256()
        probe, site = Probe(generator), self._sites()[0]
        probe.run(latents, Ablate(site.site), record=[site.site])
        list(probe.sweep(latents, [Ablate(site.site, units=[0])]))
        check_nothing(traces.left(), f"forwards of {self._it} change it; keep its state as it is")
        check(
            generator.weights_sha256() == before,
            f"forwards of {self._it} change its weights or buffers; leave them in eval mode",
        )

    def test_it_can_be_copied(self) -> None:
        """A copy gives the same images: devices, dtypes and normalisations are made so."""
        self._check_copied(copy.deepcopy, "copied")

    def test_it_can_be_pickled(self) -> None:
        """As processes that share the work do."""
        self._check_copied(lambda module: pickle.loads(pickle.dumps(module)), "pickled")

    # How that is done

    @property
    def _it(self) -> str:
        return f"generator {self._generator().name!r}"

    def _generator(self) -> Generator:
        """One for all tests that leave it as it is."""
        if "generator" not in self._kept:
            traces = ProcessTraces.before()
            try:
                generator = self.make_generator()
            except GanprobeError as error:
                fail(f"it does not load: {error}")
            finally:
                traces.left()  # which is put back, and told by a test
            check(
                isinstance(generator, Generator),
                f"it loads a {type(generator).__name__}; make a ganprobe.Generator of it, as by"
                " Generator.from_module",
            )
            self._kept["generator"] = generator
        kept: Generator = self._kept["generator"]
        return kept

    def _latents(self, n: int) -> Latents:
        return self._generator().sample(n, seed=1)

    def _images(self, latents: Latents) -> Tensor:
        try:
            return Probe(self._generator()).images(latents)
        except GanprobeError as error:
            fail(f"{self._it} makes no images: {error}")

    def _forward(self, generator: Generator) -> None:
        with scrambled_noise(0):
            Probe(generator).images(self._latents(2))

    def _exact_probe(self) -> tuple[Probe, float]:
        """A probe in float64, where that works, and what may then be apart."""
        try:
            probe = Probe(self._generator(), dtype=torch.float64)
            probe.images(self._latents(1))
        except GanprobeError:
            return Probe(self._generator()), _HALF_A_LEVEL
        return probe, _EXACTLY

    def _sites(self) -> Sequence[SiteTensor]:
        """The first, the middle and the last of those that can be edited by unit."""
        layers = [layer for layer in Probe(self._generator()).layers() if layer.name]
        sites = [
            tensor
            for layer in layers
            for tensor in layer.tensors
            if tensor.site.port == "out" and tensor.is_batched and tensor.n_units > 0
        ]
        places = sorted({0, len(sites) // 2, len(sites) - 1})
        return [sites[place] for place in places] if sites else []

    def _check_close(self, first: Tensor, second: Tensor, tolerance: float, sentence: str) -> None:
        black, white = self._generator().image_range
        check(first.shape == second.shape, f"{self._it}: {sentence}")
        apart = (first.double() - second.double()).abs().max().item() / (white - black)
        check(
            apart <= tolerance,
            f"{self._it}: {sentence} (by up to {apart:.2g} of the image range)",
        )

    def _check_copied(self, copied: Callable[[Any], Any], word: str) -> None:
        generator = self._generator()
        try:
            module = copied(generator.module)
        except Exception as error:  # what a stranger's module raises is its own affair
            fail(f"the module of {self._it} cannot be {word}: {type(error).__name__}: {error}")
        latents = self._latents(2)
        found = Probe(replace(generator, module=module)).images(latents)
        self._check_close(self._images(latents), found, 0.0, f"{word}, it gives other images")
