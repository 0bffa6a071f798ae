"""The causal stage of dissection, against planted generators whose effects are known exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ganprobe import (
    Context,
    Generator,
    ParameterError,
    Probe,
    Result,
    Segmenter,
    UnitSet,
    UnknownNameError,
)
from ganprobe.testing import Planted, planted_generator
from ganprobe_dissection import DissectionAnalysis, DissectionParams
from ganprobe_dissection.causal_report import with_causes
from ganprobe_dissection.causes import Cause, study_causes
from ganprobe_dissection.control import Control, draw_control
from ganprobe_dissection.fill import NO_CLASS, filled
from ganprobe_dissection.insertion import (
    Insertion,
    insert,
    insertion_edit,
    insertion_levels_of,
)
from ganprobe_dissection.question import Question, curve_sizes, make_questions
from ganprobe_dissection.removal import Removal, remove
from ganprobe_dissection.report import make_result
from ganprobe_dissection.shown import active_area, shown_rows
from ganprobe_dissection.study import Study, study_sites

Command = Callable[..., Any]

FEW: dict[str, Any] = {
    "site": ["early"], "segmenter": "planted", "n_samples": 150, "share": 0.02, "n_causal": 24,
    "n_choosing": 6, "n_units": 3, "n_candidates": 7, "n_draws": 5, "n_resamples": 50,
    "n_cards": 1, "memory": 64,
}  # fmt: skip


@cache
def planted() -> Planted:
    return planted_generator(seed=1)


def studied(class_name: str, **more: Any) -> Study:
    params = DissectionParams.parse(FEW | {"causal": [class_name]} | more)
    return study_sites(planted().context(), params)


@cache
def asked(class_name: str, **more: Any) -> Question:
    study = studied(class_name, **more)
    (question,) = make_questions(study.plan, study.sites)
    return question


@cache
def control() -> Control:
    return draw_control(asked("door"))


@cache
def removed(class_name: str, **more: Any) -> Removal:
    return remove(asked(class_name, **more), control())


@cache
def inserted(class_name: str, **more: Any) -> Insertion:
    question = asked(class_name, **more)
    return insert(question, question.units)


def areas_with(question: Question, **edit: Any) -> NDArray[np.float64]:
    """(n, classes) as the planted truth has them for the measured samples."""
    return planted().truth.areas(question.measured, **edit)


def test_what_is_left_of_a_class_is_what_the_truth_says_for_every_order_and_size() -> None:
    question, removal = asked("door"), removed("door")
    before = areas_with(question)[:, question.column]
    assert len(removal.curves) == 2
    for curve in removal.curves:
        for place, size in enumerate(question.sizes):
            after = areas_with(question, removed=curve.units[:size])
            assert curve.areas[place] == pytest.approx(after, abs=1e-7)
            left = after[:, question.column].mean() / before.mean()
            assert curve.share[place] == pytest.approx(left, abs=1e-6)
            assert curve.low[place] <= left <= curve.high[place]


def test_iou_order_is_led_by_a_unit_that_draws_nothing_and_greedy_by_those_that_draw() -> None:
    truth = planted().truth
    by_iou, greedy = removed("door").curves
    assert by_iou.units[0] == truth.followers[0]
    assert by_iou.share[0] == 1.0
    assert by_iou.effects.p[0] == 1.0
    assert set(greedy.units[:2]) == set(truth.units["door"])
    assert greedy.share[0] < 1.0
    assert greedy.share[1] == 0.0


def test_of_a_redundant_pair_neither_does_anything_alone_and_both_are_found() -> None:
    pair = set(planted().truth.units["lamp"])
    for curve in removed("lamp").curves:
        assert set(curve.units[:2]) == pair
        assert curve.share.tolist() == [1.0, 0.0, 0.0]


def test_random_sets_are_nested_and_measured_as_the_truth_has_them() -> None:
    assert control().areas.shape == (5, 3, 5)
    for draw, units in enumerate(control().draws):
        assert len(set(units)) == 3
        for place, size in enumerate(asked("door").sizes):
            expected = areas_with(asked("door"), removed=units[:size]).mean(0)
            assert control().areas[draw, place] == pytest.approx(expected, abs=1e-7)


def test_one_control_serves_all_classes_of_a_site() -> None:
    params = {"causal": ["lamp", "door"], "n_candidates": 0, "n_units": 2, "n_causal": 6}
    first, second = study_causes(studied("door", **params, n_choosing=1))
    assert [first.question.class_name, second.question.class_name] == ["lamp", "door"]
    assert first.removal.control is second.removal.control


def test_units_are_chosen_on_other_samples_than_effects_are_measured_on() -> None:
    question = asked("door")
    assert question.choosing.indices == tuple(range(150, 156))
    assert question.measured.indices == tuple(range(156, 180))


def test_what_fills_a_hole_is_what_was_hidden_behind_it() -> None:
    question, removal = asked("blot"), removed("blot")
    column = question.column
    before = planted().truth.drawn(question.measured)
    after = planted().truth.drawn(question.measured, removed=removal.chosen.units)
    gone = before[:, column] & ~after[:, column]
    expected = (gone[:, None] & after).mean((2, 3))
    nothing = (gone & ~after.any(1)).mean((1, 2))
    assert removal.gone == pytest.approx(gone.mean((1, 2)), abs=1e-12)
    assert removal.hole == pytest.approx(np.column_stack([expected, nothing]), abs=1e-12)
    names, share, _, _ = filled(removal)
    assert share.sum() == pytest.approx(1.0)
    assert dict(zip(names, share, strict=True))[NO_CLASS] > 0
    assert share == pytest.approx(np.append(expected.mean(0), nothing.mean()) / gone.mean())


def test_collateral_is_the_change_of_every_class() -> None:
    question, removal = asked("wall"), removed("wall")
    found, units = removal.collateral, removal.curves[1].units
    change = areas_with(question, removed=units) - areas_with(question)
    assert found.mean == pytest.approx(change.mean(0), abs=1e-7)
    assert found.mean[question.segmenter.place_of("window")] < 0


def test_insertion_at_a_point_is_what_the_truth_says() -> None:
    how = {"insert_at": "0.3,0.7", "insert_size": 0.3, "n_choosing": 1}
    question, insertion = asked("door", **how), inserted("door", **how)
    region = insertion.places.masks()[insertion.place].numpy()
    assert region.sum() == 4
    left, top, right, bottom = insertion.box
    assert left <= 0.3 * 32 <= right
    assert top <= 0.7 * 32 <= bottom
    assert insertion.middle == ((left + right) / 64, (top + bottom) / 64)
    expected = areas_with(question, inserted=question.units, region=region)
    assert insertion.areas == pytest.approx(expected, abs=1e-7)
    change = (expected - areas_with(question)).mean(0)
    assert insertion.effects.mean == pytest.approx(change, abs=1e-7)
    assert not insertion.is_best


def test_the_best_place_is_the_first_of_those_where_the_class_gains_most_on_other_samples() -> None:
    question, insertion = asked("window", n_units=1), inserted("window", n_units=1)
    assert insertion.is_best
    areas, column = partial(planted().truth.areas, question.choosing), question.column
    gains = [
        areas(inserted=question.units, region=mask.numpy())[:, column].mean()
        - areas()[:, column].mean()
        for mask in insertion.places.masks()
    ]
    assert insertion.place == int(np.round(gains, 9).argmax())
    assert max(gains) > 0


def test_a_gated_class_appears_where_its_gate_is_and_nowhere_else() -> None:
    question, found = asked("window", n_units=1), inserted("window", n_units=1).context
    assert question.units == planted().truth.units["window"]
    took = {one.there: one.took for one in found.by_class if one.n_absent}
    assert took["wall"] == 1.0
    drawn = planted().truth.drawn(question.choosing)
    assert took["none of them"] < 0.3  # windows that reach a wall beside the place
    far = ~_near(drawn[:, question.segmenter.place_of("wall")], found.places.masks().numpy())
    assert np.abs(found.change.reshape(6, -1)[far]).max() == 0.0


def _near(wall: NDArray[np.bool_], masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n, places) whether the window around a place holds a pixel of the wall (n, 16, 16)."""
    fine = masks.repeat(2, axis=1).repeat(2, axis=2)
    shared = np.einsum("nyx,pyx->np", wall.astype(int), fine.astype(int))
    return np.asarray(shared > 0, np.bool_)


def test_units_are_inserted_at_their_mean_where_the_class_is_or_at_their_peak() -> None:
    question, peak = asked("lamp", insert_level="mean"), asked("lamp", insert_level="peak")
    mean, high = question.dissection.class_mean[:, question.column], question.dissection.peak_level
    assert insertion_levels_of(question) == pytest.approx(mean)
    assert insertion_levels_of(peak) == pytest.approx(np.maximum(mean, high))
    assert 0 < (high > mean).sum() < 18
    edit = insertion_edit("early", question.units, mean, torch.ones(8, 8))
    assert edit.site.units == question.units
    assert edit.to == pytest.approx([mean[unit] for unit in question.units])


def test_the_average_effect_of_units_that_draw_is_far_from_0_and_of_the_follower_is_0() -> None:
    window = inserted("window", n_units=1).average
    assert 0 < window.effects.mean[0] < 0.2  # on walls alone
    follower = inserted("door", n_units=1, n_choosing=1).average
    assert follower.sets == (planted().truth.followers,)
    assert follower.effects.mean[0] == 0.0


@pytest.mark.slow
def test_optimised_units_are_those_that_draw() -> None:
    insertion = inserted("lamp", n_units=2, n_candidates=6, optimise=True)
    assert insertion.optimised is not None
    best = insertion.optimised.top(1)
    assert set(best) <= set(planted().truth.units["lamp"])
    assert len(insertion.average.sets) == 2
    assert insertion.average.effects.mean[1] > 0.9


def test_a_greedy_search_can_be_left_out() -> None:
    removal = removed("blot", n_candidates=0)
    assert [curve.order for curve in removal.curves] == ["IoU"]
    assert removal.chosen.units == asked("blot").units


def test_a_site_with_fewer_units_than_asked_for_uses_all_of_those_that_were_dissected() -> None:
    question = asked("door", site=("early#0-3,16",), n_units=20)
    assert sorted(question.units) == [0, 1, 2, 3, 16]
    assert question.sizes == (1, 2, 3, 4, 5)
    assert question.site == "early"
    assert question.tensor.n_units == 18


def test_samples_that_show_the_class_are_shown_first() -> None:
    areas = np.array([0.0, 0.3, 0.01, 0.2, 0.0, 0.25, 0.3, 0.2, 0.2, 0.2, 0.2, 0.3])
    assert shown_rows(areas) == (1, 3, 5, 6, 7, 8, 9, 10)
    assert shown_rows(np.array([0.0, 0.2, 0.001])) == (1, 2, 0)


def test_masks_and_active_areas_that_are_shown_are_those_of_the_samples() -> None:
    question = asked("door")
    shown = result_and_causes()[1][0].shown
    latents = question.measured.z[list(shown.rows)]
    drawn = planted().truth.drawn(latents)[:, question.column]
    assert (shown.before.masks == drawn.repeat(2, 1).repeat(2, 2)).all()
    units = result().unit_sets["early-door-greedy-3"].units
    after = planted().truth.drawn(latents, removed=units)[:, question.column]
    assert (shown.removed.masks == after.repeat(2, 1).repeat(2, 2)).all()
    assert shown.active.shape == shown.before.masks.shape
    assert (shown.active & shown.before.masks).sum() > 0.5 * shown.active.sum()


def test_curve_sizes_begin_at_1_end_at_all_and_grow_by_steps() -> None:
    assert curve_sizes(1) == (1,)
    assert curve_sizes(5) == (1, 2, 3, 4, 5)
    assert curve_sizes(64) == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
    for n_units in range(1, 200):
        sizes = curve_sizes(n_units)
        assert sizes[0] == 1
        assert sizes[-1] == n_units
        assert list(sizes) == sorted(set(sizes))


def test_nothing_is_edited_unless_it_is_asked_for() -> None:
    study = study_sites(planted().context(), DissectionParams.parse(FEW))
    assert study_causes(study) == ()


def test_all_stands_for_every_class_that_the_samples_show() -> None:
    study = studied("all")
    names = [question.class_name for question in make_questions(study.plan, study.sites)]
    assert names == list(planted().truth.classes)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"causal": ["dor"]}, UnknownNameError, "no class 'dor'.*nearest: door"),
        ({"insert_at": "0.5"}, ParameterError, "give auto, or X,Y in shares of the image"),
        ({"insert_at": "0.5,1.2"}, ParameterError, "give auto, or X,Y in shares of the image"),
        ({"n_causal": 3}, ParameterError, "from 4 to 100000, got 3"),
    ],
)
def test_what_does_not_fit_is_refused(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        asked("door", **{name: tuple(one) if isinstance(one, list) else one
                         for name, one in given.items()})  # fmt: skip


class Stripes(nn.Module):
    """Latents (n, 3, 1, 1) to grey images of 9 x 15; unit 1 of 4 lights the left third."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        on = (z[:, :1] > 0).float()  # (n, 1, 1, 1)
        maps = torch.zeros(len(z), 4, 3, 5)
        maps[:, 1:2, :, :2] = on * (1 + z[:, 1:2].abs())
        maps[:, 2:3, :, 3:] = z[:, 2:3].abs()
        drawn: Tensor = self.maps(maps)
        return (drawn[:, 1:2] >= 0.5).float().repeat_interleave(3, 2).repeat_interleave(3, 3)


class Light(Segmenter):
    name, summary = "light", "what is light, and what never is"
    classes = ("light", "nothing ever")

    def segment(self, images: Tensor) -> Tensor:
        light = images.mean(1) > 0.5
        return torch.stack([light, torch.zeros_like(light)], 1)


def striped() -> Context:
    generator = Generator.from_module(
        Stripes().eval(), latent=(3, 1, 1), image_range=(0.0, 1.0), name="stripes"
    )
    return Context(
        Probe(generator), 0, lambda _: pytest.fail("no"), find_segmenter=lambda _: Light()
    )


STRIPES: dict[str, Any] = FEW | {"site": ["maps"], "segmenter": "light", "n_samples": 31,
                                 "n_causal": 5, "n_choosing": 1, "n_units": 1}  # fmt: skip


def test_grey_images_latents_with_space_oblong_maps_and_one_choosing_sample_will_do() -> None:
    result = DissectionAnalysis().run(
        striped(), DissectionParams.parse(STRIPES | {"causal": ["light"]})
    )
    left = result.arrays["share_left_maps-light"].values
    assert left[0].tolist() == [0.0]
    assert result.arrays["context_change_maps-light"].values.shape == (1, 3, 5)
    assert {"four-maps-light", "context-maps-light"} <= result.figures.keys()


def test_a_class_that_no_sample_shows_is_refused_with_those_that_are_shown() -> None:
    params = DissectionParams.parse(STRIPES | {"causal": ["nothing ever"]})
    with pytest.raises(ParameterError, match=r"none of 5 samples shows it.*name one of light"):
        study_causes(study_sites(striped(), params))


@cache
def result_and_causes() -> tuple[Result, tuple[Cause, ...]]:
    study = studied("door")
    causes = study_causes(study)
    return with_causes(make_result(study), causes), causes


def result() -> Result:
    return result_and_causes()[0]


def test_arrays_have_dimensions_that_are_named_by_class_and_numbers_that_agree() -> None:
    found = result()
    left = found.arrays["share_left_early-door"]
    assert left.dims == ("order_early-door", "removed_early-door")
    assert list(found.coordinates["order_early-door"]) == ["IoU", "greedy"]
    assert list(found.coordinates["removed_early-door"]) == [1, 2, 3]
    after = found.arrays["areas_removed_early-door"].values
    before = found.arrays["areas_early-door"].values
    door = planted().segmenter.place_of("door")
    assert left.values == pytest.approx(after.mean(2)[..., door] / before[:, door].mean())
    rows = {row[1:5]: row[5] for row in found.tables["removal"].rows}
    greedy = found.unit_sets["early-door-greedy-3"].units
    assert rows["door", "greedy", 2, greedy[1]] == 0.0


def test_findings_say_what_is_left_what_fills_the_hole_and_where_it_can_go() -> None:
    told = " ".join(result().findings)
    assert "removed greedily, 3 of 18 units leave 0% [0%, 0%], at most half of it from 1 on" in told
    assert "where door went away with the 3 units chosen greedily there is now no class" in told
    assert "door appears on" in told
    assert "5 random sets of 3 leave" in told
    assert "n = 24 samples that no unit was chosen on, seed 0" in told


def test_sets_of_each_order_can_be_given_to_other_commands() -> None:
    found = result().unit_sets["early-door-greedy-3"]
    assert UnitSet.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.site == "early"
    assert set(found.units[:2]) == set(planted().truth.units["door"])
    assert found.found["order"] == "greedy, that leaves least of the class"
    assert found.generator["weights_sha256"] == planted().generator.weights_sha256()


def words_of(figure: Figure) -> str:
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    texts = [one for one in figure.findobj(Text) if isinstance(one, Text)]
    return "\n".join(text.get_text() for text in texts)


def test_the_four_rows_show_the_same_samples_and_tell_what_was_measured() -> None:
    figure = result().figures["four-early-door"].drawing
    words = words_of(figure)
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 4 * 8
    cause = result_and_causes()[1][0]
    for row in cause.shown.rows:
        assert f"sample {156 + row}" in words
    assert f"{cause.removal.curves[1].share[-1]:.0%} left" in words
    assert "Generated" in words
    assert "the best place" in words
    first = np.asarray(images[0].images[0].get_array())
    assert first == pytest.approx(np.moveaxis(cause.shown.before.images[0], 0, 2))


def test_the_curve_is_labelled_directly_and_says_what_its_band_is() -> None:
    words = words_of(result().figures["removal-early-door"].drawing)
    assert "greedy order: 0 %" in words
    assert "random units: " in words
    assert "least to most that 5 random sets of equal size leave" in words


def test_figures_of_collateral_and_context_name_classes() -> None:
    words = words_of(result().figures["collateral-early-door"].drawing)
    assert NO_CLASS in words
    assert "door (" in words
    words = words_of(result().figures["context-early-door"].drawing)
    assert "none of them (" in words
    assert "change of the area of door" in words


def test_the_command_line_gives_pictures_and_refuses_in_a_sentence(
    ganprobe_command: Command, tmp_path: Path
) -> None:
    asked = ("run", "dissection", "digits", "--site", "conv2", "--segmenter", "luminance:3",
             "--n-samples", 40, "--n-cards", 1, "--n-causal", 4, "--n-choosing", 1, "--n-units", 2,
             "--n-candidates", 0, "--n-draws", 2)  # fmt: skip
    done = ganprobe_command(*asked, "--causal", "darkest", "--output", tmp_path / "out")
    assert done.status != 0
    assert "no class 'darkest'" in done.err
    assert "Traceback" not in done.err
    done = ganprobe_command(*asked, "--causal", "bright", "--output", tmp_path / "out")
    assert done.status == 0, done.err
    for name in ("four", "removal", "collateral", "context"):
        picture = tmp_path / "out" / "figures" / f"{name}-conv2-bright.png"
        assert picture.stat().st_size > 10_000
    assert (tmp_path / "out" / "units" / "conv2-bright-iou-2.json").exists()
    assert "bright" in done.out


@pytest.mark.parametrize("domain", ["upsampled", "iqr"])
def test_the_active_area_is_above_the_threshold_of_the_class_for_one_unit_or_more(
    domain: str,
) -> None:
    question = asked("door", domain=domain)
    latents, found = question.measured[:8], question.dissection
    maps = Probe(planted().generator).run(latents, record=["early"])["early"]
    expected = np.zeros((8, 32, 32), bool)
    for unit in question.own_units:
        large = functional.interpolate(maps[:, [unit]], (32, 32), mode="bilinear")[:, 0]
        level = found.threshold[unit]
        expected |= large.numpy() > (level[question.column] if domain == "iqr" else level)
    assert (active_area(question, latents) == expected).all()
    assert expected.any()
