"""Fitting weights to a module: all of them or none, whatever they were saved from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from checkpoints import Small, small_state
from ganprobe import Weights, WeightsError, fit_weights, read_weights


def held(tensors: Mapping[str, Tensor], **others: Mapping[str, Tensor]) -> Weights:
    """Weights as they are read from a file that holds these entries."""
    return Weights(tensors, Path("a.pt"), "", "pytorch", found=tuple(others), others=others)


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in module.state_dict().items()}


def equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in left)


def test_every_tensor_is_written_and_nothing_is_said_where_all_fits() -> None:
    module = Small()
    fitted = fit_weights(module, held(small_state(1)), name="small")
    assert equal(state_of(module), small_state(1))
    assert (fitted.key, fitted.prefix, fitted.notes) == ("", "", ())
    assert all(one.requires_grad for one in module.parameters())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "generator.", "netG.", "G.", "module._orig_mod.", "odd.9."]
)
def test_a_prefix_that_all_names_have_is_taken_off_and_said(prefix: str) -> None:
    module = Small()
    fitted = fit_weights(module, held(small_state(1, prefix=prefix)), name="small")
    assert equal(state_of(module), small_state(1))
    assert fitted.prefix == prefix
    assert fitted.notes == (f"took the 9 tensors whose names begin {prefix!r}",)


def test_a_generator_among_other_networks_is_found_by_its_prefix() -> None:
    module = Small()
    flat = {
        **small_state(1, prefix="discriminator."),
        **small_state(2, prefix="generator."),
        **small_state(3, prefix="generator_ema."),
    }
    fitted = fit_weights(module, held(flat), name="small")
    assert equal(state_of(module), small_state(3))
    assert fitted.notes == (
        "took the 9 tensors whose names begin 'generator_ema.', and left the 18 others aside",
    )


def test_layers_of_another_network_are_not_taken_for_the_module() -> None:
    module = nn.Linear(3, 4)
    before = state_of(module)
    with pytest.raises(WeightsError, match=r"do not fit 'small'"):
        fit_weights(module, held(small_state(1)), name="small")  # whose 'first' would fit
    assert equal(state_of(module), before)


def test_a_module_inside_a_wrapper_takes_the_weights_of_what_it_wraps() -> None:
    wrapped = nn.ModuleDict({"network": Small()})
    fitted = fit_weights(wrapped, held(small_state(1)), name="small")
    assert equal(state_of(wrapped["network"]), small_state(1))
    assert fitted.notes == ("put 'network.' before the names in a.pt",)


def test_wrappers_of_single_layers_are_taken_out_of_names_and_said() -> None:
    module = Small()
    given = {
        name.replace("last.", "_orig_mod.last.module."): one for name, one in small_state(1).items()
    }
    fitted = fit_weights(module, held(given), name="small")
    assert equal(state_of(module), small_state(1))
    assert len(fitted.notes) == 1
    assert fitted.notes[0].startswith("2 names in a.pt are written in another way (by wrappers")


def test_two_names_for_one_tensor_do_not_fit() -> None:
    module = Small()
    given = {**small_state(1), "module.last.bias": torch.ones(2)}
    with pytest.raises(
        WeightsError, match=r"1 of 10 tensors in the file is unexpected \('module\."
    ):
        fit_weights(module, held(given), name="small")
    twice = small_state(1)
    twice["module.last.bias"], twice["_orig_mod.last.bias"] = twice.pop("last.bias"), torch.ones(2)
    with pytest.raises(WeightsError, match=r"1 of 10 tensors in the file is unexpected \('_orig_"):
        fit_weights(module, held(twice), name="small")


def test_a_module_without_memory_is_given_that_of_the_file() -> None:
    with torch.device("meta"):
        module = Small().double()
    weights = held(small_state(1))
    fit_weights(module, weights, name="small")
    assert module.first.weight.dtype == torch.float64
    assert {name: one.tolist() for name, one in state_of(module).items()} == {
        name: one.tolist() for name, one in small_state(1).items()
    }
    with torch.no_grad():
        module.first.weight.zero_()
    assert torch.equal(weights.tensors["first.weight"], small_state(1)["first.weight"])


def test_of_several_entries_the_one_that_fits_is_taken_and_the_others_named() -> None:
    module = Small()
    wide = Small(9).state_dict()
    fitted = fit_weights(module, held(wide, d=small_state(1), g=small_state(2)), name="small")
    assert equal(state_of(module), small_state(2))
    assert fitted.key == "g"
    assert fitted.notes == ("took entry 'g' of a.pt; it also holds its own tensors, 'd'",)


def test_an_average_over_training_is_preferred_among_those_that_fit() -> None:
    module = Small()
    entries = {"g": small_state(1), "ema": small_state(2), "weights": small_state(3)}
    fitted = fit_weights(module, held({"step": torch.ones(1)}, **entries), name="small")
    assert equal(state_of(module), small_state(2))
    assert fitted.key == "ema"


def test_a_chosen_entry_is_taken_or_nothing(tmp_path: Path) -> None:
    torch.save(
        {"g": small_state(1), "g_ema": small_state(2), "wide": Small(9).state_dict()},
        tmp_path / "a.pt",
    )
    module = Small()
    fit_weights(module, read_weights(tmp_path / "a.pt", key="g"), name="small")
    assert equal(state_of(module), small_state(1))
    with pytest.raises(WeightsError, match=r"\(entry 'wide'\) do not fit .* entry \('g_ema', "):
        fit_weights(module, read_weights(tmp_path / "a.pt", key="wide"), name="small")
    assert equal(state_of(module), small_state(1))


def test_a_misfit_names_counts_first_names_nearest_names_and_shapes() -> None:
    module = Small()
    before = state_of(module)
    given = small_state(1)
    given["frist.weight"] = given.pop("first.weight")
    given["last.weight"], given["more"] = torch.ones(5, 4), torch.ones(1)
    with pytest.raises(WeightsError) as raised:
        fit_weights(module, held(given), name="small")
    told = str(raised.value)
    assert told.startswith("the weights in a.pt do not fit 'small': ")
    assert "1 of 9 tensors is missing ('first.weight'; nearest in the file: 'frist.weight'" in told
    assert "2 of 10 tensors in the file are unexpected ('frist.weight', 'more'; nearest" in told
    assert "1 of 9 tensors is of another shape ('last.weight' wants (2, 4), got (5, 4))" in told
    assert "the module is as it was" in told
    assert equal(state_of(module), before)


def test_of_many_that_do_not_fit_the_first_are_named() -> None:
    with pytest.raises(WeightsError) as raised:
        fit_weights(Small(), held(Small(9).state_dict()), name="small")
    assert (
        "7 of 9 tensors are of another shape (first: 'first.weight' wants (4, 3), got (9, 3),"
        " 'first.bias' wants (4,), got (9,), 'norm.weight'" in str(raised.value)
    )
    assert "'norm.bias'" not in str(raised.value)


def test_a_misfit_is_told_of_the_reading_that_comes_nearest() -> None:
    given = small_state(1, prefix="module.")
    given["module.last.weight"] = torch.ones(5, 4)
    with pytest.raises(WeightsError, match=r"without the prefix 'module\.', do .*: 1 of 9 "):
        fit_weights(Small(), held({"x": torch.ones(1)}, g=given), name="small")


def test_missing_counts_of_batches_are_tolerated_and_said() -> None:
    module = Small()
    given = small_state(1)
    del given["norm.num_batches_tracked"]
    fitted = fit_weights(module, held(given), name="small")
    assert torch.equal(module.norm.running_mean, given["norm.running_mean"])  # type: ignore[arg-type]
    assert len(fitted.notes) == 1
    assert fitted.notes[0].startswith("1 counts of batches (num_batches_tracked) are not in a.pt")
    del given["norm.running_mean"]
    with pytest.raises(WeightsError, match=r"1 of 9 tensors is missing \('norm.running_mean'"):
        fit_weights(module, held(given), name="small")


def test_a_tensor_with_two_names_may_be_saved_under_one() -> None:
    module = Small()
    tied = nn.ModuleDict({"one": module, "two": module})
    fit_weights(tied, held(small_state(1, prefix="two.")), name="tied")
    assert equal(state_of(module), small_state(1))


def test_the_module_keeps_its_dtype_unless_told() -> None:
    module = Small().double()
    half = {
        name: one.half() if one.is_floating_point() else one for name, one in small_state(1).items()
    }
    fitted = fit_weights(module, held(half), name="small")
    assert module.first.weight.dtype == torch.float64
    assert torch.equal(module.first.weight, half["first.weight"].double())
    assert fitted.notes == ("8 tensors are float16 in a.pt and float64 in the module",)
    fit_weights(module, held(half), name="small", dtype=torch.float16)
    assert all(torch.equal(one, half[name]) for name, one in module.state_dict().items())
    assert module.norm.num_batches_tracked.dtype == torch.int64  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("first.bias", torch.full((4,), 2.0**99, dtype=torch.float64), None),
        ("first.bias", torch.full((4,), 1e300, dtype=torch.float64), "float64 whose values it"),
        ("first.bias", torch.full((4,), torch.inf), None),
        ("first.bias", torch.full((4,), 1j), "complex64 whose values it cannot hold"),
        ("norm.num_batches_tracked", torch.tensor(7.0), None),
        ("norm.num_batches_tracked", torch.tensor([7]), None),
        ("norm.num_batches_tracked", torch.tensor(7.5), "float32 whose values it cannot hold"),
    ],
)
def test_values_that_the_modules_dtype_cannot_hold_do_not_fit(
    name: str, given: Tensor, told: str | None
) -> None:
    module = Small()
    weights = held({**small_state(1), name: given})
    if told is None:
        fit_weights(module, weights, name="small")
        assert torch.equal(
            module.state_dict()[name].double().reshape(-1), given.double().reshape(-1)
        )
    else:
        with pytest.raises(WeightsError, match=told):
            fit_weights(module, weights, name="small")


def _normalised(norm: Callable[..., Any]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the older way is the older way
        return nn.Sequential(norm(nn.Linear(3, 4)), nn.Tanh(), norm(nn.Conv1d(4, 2, 1)))


WAYS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "weight": (nn.utils.weight_norm, parametrizations.weight_norm),
    "spectral": (nn.utils.spectral_norm, parametrizations.spectral_norm),
}


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("saved", [0, 1])
@pytest.mark.parametrize("loaded", [0, 1])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_normalised_weights_are_taken_in_both_ways_of_writing_them(
    kind: str, saved: int, loaded: int, prefix: str
) -> None:
    torch.manual_seed(0)
    source, module = _normalised(WAYS[kind][saved]), _normalised(WAYS[kind][loaded])
    given = {f"{prefix}{name}": one for name, one in source.state_dict().items()}
    fitted = fit_weights(module, held(given), name="normalised")
    assert any("written in another way" in note for note in fitted.notes) == (saved != loaded)
    source.eval()
    module.eval()
    z = torch.randn(2, 3)
    assert torch.allclose(_run(module, z), _run(source, z), atol=1e-6)


def _run(module: Any, z: Tensor) -> Tensor:
    hidden = module[1](module[0](z))
    images: Tensor = module[2](hidden[:, :, None])
    return images


def test_a_layer_that_does_not_know_its_size_yet_takes_that_of_the_file() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that lazy modules are under development
        module = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    known = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    fit_weights(module, held(known.state_dict()), name="lazy")
    z = torch.ones(2, 3)
    assert torch.equal(module.eval()(z), known(z))


class Renaming(Small):
    """Reads what an older version of it saved, whose first layer was called otherwise."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], *given: Any) -> None:
        for name in ("weight", "bias"):
            state_dict[f"first.{name}"] = state_dict.pop(f"entrance.{name}")
        super()._load_from_state_dict(state_dict, *given)


def test_a_module_that_reads_older_names_by_itself_may() -> None:
    given = {name.replace("first", "entrance"): one for name, one in small_state(1).items()}
    module = Renaming()
    fitted = fit_weights(module, held(given), name="renaming")
    assert fitted.notes == ("'renaming' read older names by itself",)
    assert equal(state_of(module), small_state(1))
    before = state_of(module)
    with pytest.raises(WeightsError, match=r"2 of 9 tensors are missing"):
        fit_weights(module, held({**given, "more": torch.ones(1)}), name="renaming")
    assert equal(state_of(module), before)


class Failing(Small):
    """Raises when half of it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.last.register_load_state_dict_pre_hook(_fail)


def _fail(*_: object) -> None:
    raise RuntimeError("the disk is on fire")


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_write_that_fails_half_way_is_taken_back(dtype: torch.dtype | None) -> None:
    module = Failing()
    before = state_of(module)
    with pytest.raises(WeightsError, match=r"writing the weights in a\.pt failed: the disk is on"):
        fit_weights(module, held(small_state(1)), name="failing", dtype=dtype)
    assert equal(state_of(module), before)
    assert module.first.weight.dtype == torch.float32


def test_a_file_of_nothing_that_the_module_has_fits_not_even_a_module_without_tensors() -> None:
    with pytest.raises(WeightsError, match=r"1 of 1 tensors in the file is unexpected \('a'\)"):
        fit_weights(nn.Tanh(), held({"a": torch.ones(1)}), name="none")
