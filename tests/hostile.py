"""Hostile modules: each has one thing in it that breaks what one likes to think of a forward.

Values decide what is computed, samples influence each other, noise is drawn, memory is shared,
something happens that no tensor shows. Each takes latents (n, 6) in float64 and gives images
(n, 1, 4, 4); building one takes milliseconds.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

from modules import LATENT

__all__ = ["HOSTILE", "hostile_module"]


class Hostile(nn.Module):
    """Four layers of eight units, and a forward that is written as a function of them."""

    def __init__(self, written: Trouble, extra: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.written = written
        self.first, self.middle = nn.Linear(LATENT, 8), nn.Linear(8, 8)
        self.later, self.last = nn.Linear(8, 8), nn.Linear(8, 16)
        self.same, self.extra = nn.Identity(), extra()

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.last(self.written(self, z)).view(-1, 1, 4, 4)
        return images


Trouble = Callable[[Any, Tensor], Any]
"""From a `Hostile` module and latents to what its last layer is given."""

HOSTILE: dict[str, Callable[[], nn.Module]] = {}
"""By what is hostile about them; each must be replayed rightly or refused."""


def hostile_module(name: str, *, seed: int = 0) -> nn.Module:
    """The hostile module of this name with random weights, float64, in eval mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return HOSTILE[name]().double().eval()


def hostile(
    *,
    extra: Callable[[], nn.Module] = nn.Identity,
    prepare: Callable[[Any], object] = lambda module: None,
) -> Callable[[Trouble], Trouble]:
    """Enter a forward under its name, with a layer `extra`, and something done to the module."""

    def entered(written: Trouble) -> Trouble:
        def make() -> nn.Module:
            module = Hostile(written, extra)
            prepare(module)
            return module

        HOSTILE[written.__name__.replace("_", " ")] = make
        return written

    return entered


class Doing(nn.Module):
    """A layer that is a function of what it is given."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


def doing(function: Callable[..., Any]) -> Callable[[], nn.Module]:
    """Makes a layer that does so."""
    return lambda: Doing(function)


# Values decide


@hostile()
def branch_on_the_mean_over_the_batch(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) if hidden.mean() > 0 else hidden.tanh()


@hostile()
def branch_on_one_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) if hidden[0, 0] > 0 else net.later(-hidden) * 2.0


@hostile()
def branch_on_any_value(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return net.later(early) if (hidden > 1.0).any() else net.later(hidden)


@hostile()
def number_of_calls_by_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    for _ in range(3):
        hidden = net.later(hidden).tanh()
        if hidden.mean() < 0:
            break
    return hidden


@hostile()
def item_as_a_factor(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * hidden[0, 1].item() + hidden.max().item()


@hostile()
def item_of_an_upstream_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early)) * early[0, 1].item()


@hostile()
def through_a_list(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(torch.tensor(hidden.tolist(), dtype=z.dtype))


@hostile()
def through_numpy(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z)).detach()
    return net.later(torch.from_numpy(hidden.numpy() * 2.0))


@hostile()
def written_through_numpy(net: Any, z: Tensor) -> Any:
    early = net.first(z).detach()
    hidden = net.middle(early)
    early.numpy()[:, :4] *= 0.5
    return net.later(hidden) + early


@hostile()
def tensor_made_of_values(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * torch.tensor([*hidden[0]], dtype=z.dtype)


@hostile()
def branch_upstream(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return net.later(early) + hidden if early[0, 0] > 0 else net.later(hidden) + early


@hostile()
def number_of_calls_upstream(net: Any, z: Tensor) -> Any:
    hidden = net.first(z)
    for _ in range(1 + 3 * int(z[0, 0] > 0)):
        hidden = net.middle(hidden).tanh()
    return net.later(hidden)


@hostile()
def number_of_different_values(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden) * len(hidden.round().unique())


@hostile()
def error_that_values_decide(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    try:
        torch.linalg.cholesky(torch.diag_embed(hidden + 1.0))
    except RuntimeError:
        hidden = hidden * 2.0
    return net.later(hidden)


@hostile()
def slice_by_value(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    shift = int(hidden.sum().abs().item() * 10) % 8
    return net.later(hidden.roll(shift, 1))


@hostile()
def samples_chosen_by_a_mask(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    chosen = hidden[:, 0] > 0
    images = hidden.clone()
    images[chosen] = net.later(hidden[chosen])
    return images


@hostile()
def values_chosen_by_a_mask(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    hidden[hidden > 0] *= 0.5
    picked = hidden[hidden < 0]
    return net.later(hidden) + picked.sum() / 10.0


@hostile()
def sorted_units(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)).sort(dim=1).values)


@hostile()
def sorted_samples(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)).sort(dim=0).values)


@hostile(extra=lambda: nn.Embedding(5, 8))
def nearest_code(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    codes = torch.cdist(hidden, net.extra.weight).argmin(1)
    return net.later(net.extra(codes)) + 0.1 * hidden


# Samples influence each other, or their number decides


@hostile()
def mean_over_the_batch(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden - hidden.mean(0))


@hostile()
def deviation_over_everything(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden / hidden.std())


@hostile()
def mean_over_the_batch_upstream(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early - early.mean(0)))


@hostile(extra=doing(lambda hidden: _with_minibatch_deviation(hidden)))
def minibatch_deviation(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


def _with_minibatch_deviation(hidden: Tensor, n_group: int = 4) -> Tensor:
    """One more unit in place of the last, as in ProGAN, Karras et al. 2018 (arXiv 1710.10196)."""
    n = min(n_group, len(hidden)) if len(hidden) % min(n_group, len(hidden)) == 0 else len(hidden)
    groups = hidden.view(n, -1, hidden.shape[1])
    deviation = groups.std(0, correction=0).mean(1, keepdim=True).repeat(n, 1)  # (n, 1)
    return torch.cat([hidden[:, :-1], deviation], 1)


@hostile()
def squeezed(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z)).squeeze()
    return net.later((hidden - hidden.mean(0)).view(-1, 8))


@hostile()
def branch_on_one_sample(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden * 2.0) if len(hidden) == 1 else net.later(hidden)


@hostile()
def branch_on_more_than_four_samples(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden * 2.0) if hidden.shape[0] > 4 else net.later(hidden)


@hostile(extra=doing(lambda hidden: hidden / len(hidden)))
def divided_by_the_number_of_samples(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


@hostile(extra=lambda: Calling())
def child_called_twice_for_a_batch(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


class Calling(nn.Module):
    """Calls its child once more where there is more than one sample."""

    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(8, 8)

    def forward(self, hidden: Tensor) -> Tensor:
        for _ in range(2 if len(hidden) > 1 else 1):
            hidden = self.child(hidden)
        return hidden


@hostile()
def number_of_samples_in_the_attention(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later((hidden @ hidden.T).softmax(-1) @ hidden)


@hostile()
def samples_influence_each_other_where_one_is_large(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden / (hidden.abs().max() / 5.0).clamp(min=1.0))


@hostile()
def units_influence_each_other_where_one_is_large(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    largest = hidden.abs().amax(1, keepdim=True)  # (n, 1)
    return net.later(hidden / (largest / 5.0).clamp(min=1.0))


# Noise


@hostile()
def noise_after(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.first(z))
    return net.later(hidden + torch.randn(len(hidden), 8, dtype=z.dtype))


@hostile()
def noise_before(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early + torch.randn_like(early)))


@hostile()
def noise_on_both_sides(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early + torch.randn_like(early))
    return net.later(hidden + torch.empty_like(hidden).normal_())


@hostile(extra=doing(lambda hidden: hidden + torch.randn_like(hidden)))
def noise_inside_layers(net: Any, z: Tensor) -> Any:
    return net.extra(net.later(net.extra(net.middle(net.extra(net.first(z))))))


@hostile()
def dropout_that_is_always_on(net: Any, z: Tensor) -> Any:
    hidden = functional.dropout(net.first(z), 0.3, training=True)
    return net.later(functional.dropout(net.middle(hidden), 0.3, training=True))


class Streaming(nn.Module):
    """Adds noise from a stream of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = torch.Generator()

    def forward(self, hidden: Tensor) -> Tensor:
        noise = torch.randn(hidden.shape, generator=self.stream, dtype=hidden.dtype)
        return hidden + noise


@hostile(extra=Streaming)
def stream_of_its_own(net: Any, z: Tensor) -> Any:
    return net.extra(net.later(net.middle(net.extra(net.first(z)))))


@hostile()
def more_noise_where_a_value_asks_for_it(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early + torch.randn_like(early))
    if hidden.mean() > 0.5:
        hidden = hidden + torch.randn_like(hidden)
    return net.later(hidden + torch.randn_like(hidden))


# Memory that several share


@hostile()
def upstream_written_later(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.mul_(0.5).add_(hidden)
    return net.later(hidden) + early


@hostile(extra=doing(lambda early, hidden: early.add_(hidden)))
def upstream_written_by_a_later_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    net.extra(early, hidden)
    return net.later(hidden) + early


@hostile()
def upstream_written_through_its_data(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.data.mul_(0.5)
    return net.later(hidden) + early


@hostile()
def upstream_given_other_memory(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    early.data = early.data * 0.5
    return net.later(hidden) + early


@hostile(extra=doing(lambda early: early[:, :4]))
def view_of_upstream_written_later(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    view = net.extra(early)
    hidden = net.middle(early)
    view.mul_(0.5)
    return net.later(hidden) + early


@hostile(extra=doing(lambda early: early.t()))
def upstream_written_and_its_view_read(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    view = net.extra(early)
    hidden = net.middle(early)
    early.add_(hidden)
    return net.later(hidden) + view.t()


@hostile()
def same_tensor_written_under_another_name(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    same = net.same(early)
    hidden = net.middle(early)
    same += 1.0
    return net.later(hidden) + early


@hostile()
def branch_on_identity(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    same = net.same(early)
    hidden = net.middle(early)
    return net.later(hidden) if same is early else hidden


@hostile(extra=doing(lambda hidden: hidden[:1].expand(len(hidden), -1)))
def branch_on_the_layout(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    spread = net.extra(early)
    hidden = net.middle(early)
    return net.later(hidden) if spread.stride(0) == 0 else hidden


@hostile(extra=doing(lambda early: early.t().contiguous().t()))
def memory_read_in_its_order(net: Any, z: Tensor) -> Any:
    turned = net.extra(net.first(z))
    return net.later(net.middle(turned)) + turned.as_strided((len(z), 8), (8, 1))


class Scratch(nn.Module):
    """Returns memory of its own, which its next call overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        if self.memory is None or self.memory.shape != hidden.shape:
            self.memory = torch.empty_like(hidden)
        return torch.mul(hidden, 0.5, out=self.memory)


@hostile(extra=Scratch)
def memory_that_the_next_call_overwrites(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    halved = net.extra(hidden)
    return net.later(halved) + early


def _ends_in_extra(net: Any) -> None:
    net.last = nn.Sequential(net.last, net.extra)


@hostile(extra=Scratch, prepare=_ends_in_extra)
def images_in_memory_that_the_next_forward_overwrites(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


# What no tensor shows


class Keeping(nn.Module):
    """Keeps what it returns, for another layer to read."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Any = None

    def forward(self, hidden: Tensor) -> Tensor:
        self.kept = hidden.tanh()
        return hidden * 0.5


@hostile(extra=Keeping)
def output_kept_on_a_layer(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.extra(net.first(z)))
    return net.later(hidden) + net.extra.kept


@hostile(extra=Keeping)
def output_kept_on_a_layer_and_written(net: Any, z: Tensor) -> Any:
    hidden = net.middle(net.extra(net.first(z)))
    net.extra.kept += hidden
    return net.later(hidden) + net.extra.kept


class Counting(nn.Module):
    """Acts on how often it has run since the forward began."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, hidden: Tensor) -> Tensor:
        self.calls.append(len(self.calls))
        return hidden * len(self.calls)


@hostile(extra=Counting)
def calls_are_counted(net: Any, z: Tensor) -> Any:
    net.extra.calls = []
    hidden = net.extra(net.first(z))
    hidden = net.extra(net.middle(hidden))
    return net.extra(net.later(hidden)) * sum(net.extra.calls)


class Tracking(nn.Module):
    """Writes into buffers that no image depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(8))
        self.register_buffer("n_forwards", torch.zeros(()))
        self.level: Tensor
        self.n_forwards: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        self.level.lerp_(hidden.mean(0), 0.1)
        self.n_forwards += 1
        return hidden


@hostile(extra=Tracking)
def buffers_written_in_eval_mode(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.extra(net.first(z)))))


class Passing(nn.Module):
    """Passes something on in a buffer, which each forward overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(8))
        self.level: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        self.level.copy_(hidden[0])
        return hidden


@hostile(extra=Passing)
def buffer_written_and_read(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    return net.later(hidden) + net.extra.level


class Doubling(nn.Linear):
    """Does more when it is called than a module does."""

    def __call__(self, hidden: Tensor) -> Any:
        return super().__call__(hidden) * 2.0


@hostile(extra=lambda: Doubling(8, 8))
def layer_with_a_call_of_its_own(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    return net.extra(net.later(net.middle(early)))


@hostile()
def layer_copied_in_the_forward(net: Any, z: Tensor) -> Any:
    early = copy.deepcopy(net.first)(z)
    hidden = copy.deepcopy(net.later)(net.middle(net.first(z) + early))
    return net.later(hidden)


@hostile()
def weights_made_by_a_layer(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    return torch.func.functional_call(net.later, {"bias": hidden.mean(0)}, (early,)) + hidden


@hostile()
def layer_called_past_its_hooks(net: Any, z: Tensor) -> Any:
    return net.later.forward(net.middle(net.first.forward(z)))


@hostile()
def keyword_arguments(net: Any, z: Tensor) -> Any:
    return net.later(input=net.middle(input=net.first(input=z)))


@hostile(extra=doing(lambda hidden, levels: levels.append(hidden.tanh())))
def list_that_a_layer_fills(net: Any, z: Tensor) -> Any:
    levels: list[Tensor] = []
    early = net.first(z)
    net.extra(early, levels)
    hidden = net.middle(early)
    net.extra(hidden, levels)
    return net.later(hidden) + sum(levels)


@hostile(extra=doing(lambda hidden, levels: levels.update(level=hidden.tanh()) or hidden))
def dict_that_a_layer_fills(net: Any, z: Tensor) -> Any:
    levels: dict[str, Tensor] = {}
    early = net.extra(net.first(z), levels)
    return net.later(net.middle(early)) + levels["level"]


@hostile(extra=doing(lambda hidden: [hidden.tanh(), hidden.sin()]))
def list_that_the_forward_empties(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    levels = net.extra(early)
    hidden = net.middle(early)
    levels.append(hidden)
    while levels:
        hidden = net.later(hidden) + levels.pop()
    return hidden


def _halve(hidden: Tensor) -> None:
    hidden.mul_(0.5)


@hostile(extra=doing(_halve))
def layer_that_writes_and_returns_nothing(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    net.extra(early)
    hidden = net.middle(early)
    net.extra(hidden)
    return net.later(hidden) + early


@hostile(extra=doing(lambda hidden: hidden.mul_(0.5).tanh()))
def layer_that_writes_and_returns_another(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    bent = net.extra(early)
    return net.later(net.middle(early)) + bent + early


@hostile(extra=doing(lambda hidden: (hidden * level for level in (1.0, 2.0))))
def layer_that_returns_an_iterator(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    levels = net.extra(early)
    hidden = net.middle(early)
    return sum(levels, net.later(hidden))


@hostile(extra=doing(lambda hidden: SimpleNamespace(level=hidden.tanh(), n_reads=0)))
def layer_that_returns_an_object(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    held = net.extra(early)
    hidden = net.middle(early)
    held.level += hidden
    held.n_reads += 1
    return net.later(hidden) + held.level * held.n_reads


@hostile(extra=doing(lambda hidden: lambda other: hidden.mul_(0.5) + other))
def layer_that_returns_a_function(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    added = net.extra(early)
    return net.later(added(net.middle(early)))


def _marked(hidden: Any) -> Any:
    marked = hidden * 1.0
    marked.factor = 3.0
    return marked


@hostile(extra=doing(_marked))
def tensor_with_an_attribute(net: Any, z: Tensor) -> Any:
    early = net.extra(net.first(z))
    hidden = net.middle(early)
    return net.later(hidden) * getattr(early, "factor", 1.0)


@hostile()
def errors_caught(net: Any, z: Tensor) -> Any:
    hidden = z.new_zeros(len(z), 8)
    for layer in (net.first, net.middle, net.later):
        try:
            hidden = layer(hidden if layer is not net.first else z)
        except Exception:
            hidden = hidden * 0.0
    return hidden


class Recursive(nn.Module):
    """Calls itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, hidden: Tensor, depth: int = 2) -> Any:
        made = self.linear(hidden).tanh()
        return made + self(made, depth - 1) if depth else made


@hostile(extra=Recursive)
def layer_that_calls_itself(net: Any, z: Tensor) -> Any:
    return net.later(net.extra(net.middle(net.first(z))))


# Hooks and rewritten weights


def _hooked(layer: str, hook: Callable[..., Any]) -> Callable[[Any], object]:
    return lambda net: getattr(net, layer).register_forward_hook(hook)


@hostile(prepare=_hooked("first", lambda layer, args, output: output * 2.0))
def hook_that_changes_an_output(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    return net.later(net.middle(early)) + early


@hostile(prepare=_hooked("middle", lambda layer, args, output: output.tanh()))
def hook_at_the_site(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _halves_inputs(net: Any) -> None:
    for layer in (net.first, net.later):
        layer.register_forward_pre_hook(lambda layer, args: (args[0] * 0.5,))


@hostile(prepare=_halves_inputs)
def pre_hook_that_changes_an_input(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _keeps_outputs(net: Any) -> None:
    net.outputs = {}
    for name in ("first", "middle"):
        layer = getattr(net, name)
        layer.register_forward_hook(partial(_keep_output, net.outputs, name))


def _keep_output(outputs: dict[str, Tensor], name: str, *call: Any) -> None:
    outputs[name] = call[-1]


@hostile(prepare=_keeps_outputs)
def hook_that_keeps_what_is_read_later(net: Any, z: Tensor) -> Any:
    net.outputs.clear()
    hidden = net.middle(net.first(z))
    return net.later(hidden) + net.outputs["first"] + net.outputs["middle"]


def _normed(net: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for layer in (net.first, net.later):
            spectral_norm(layer)
        weight_norm(net.middle)


@hostile(prepare=_normed)
def norms_of_weights_as_hooks(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


def _parametrised(net: Any) -> None:
    parametrizations.spectral_norm(net.first)
    parametrizations.weight_norm(net.middle)
    parametrize.register_parametrization(net.later, "weight", nn.Tanh())


@hostile(prepare=_parametrised)
def norms_of_weights_as_parametrisations(net: Any, z: Tensor) -> Any:
    return net.later(net.middle(net.first(z)))


# Other ways to run


@hostile()
def checkpointed(net: Any, z: Tensor) -> Any:
    hidden = checkpoint(net.first, z, use_reentrant=False)
    return checkpoint(lambda given: net.later(net.middle(given)), hidden, use_reentrant=False)


@hostile()
def gradient_inside(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    with torch.enable_grad():
        moved = early.detach().requires_grad_()
        energy = net.middle(moved).square().sum()
        (slope,) = torch.autograd.grad(energy, moved)
    return net.later(early - 0.3 * slope)


@hostile()
def upstream_in_inference_mode(net: Any, z: Tensor) -> Any:
    with torch.inference_mode():
        early = net.first(z)
    return net.later(net.middle(early)) + early


@hostile()
def each_sample_by_itself(net: Any, z: Tensor) -> Any:
    early = torch.stack([net.first(latent) for latent in z])
    return net.later(net.middle(early))


@hostile()
def upstream_in_another_thread(net: Any, z: Tensor) -> Any:
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(torch.no_grad()(net.first), z).result()
    return net.later(net.middle(early)) + early


@hostile()
def downstream_in_another_thread(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    hidden = net.middle(early)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(torch.no_grad()(net.later), hidden).result()
    return later + net.extra(early)


@hostile()
def complex_numbers(net: Any, z: Tensor) -> Any:
    spectrum = net.same(torch.fft.fft(net.first(z)))
    return net.later(net.middle(spectrum.abs()) + spectrum.real)


@hostile()
def samples_last(net: Any, z: Tensor) -> Any:
    turned = net.same(net.first(z).t())
    return net.later(net.middle(turned.t()) + turned.t())


@hostile()
def latents_written_into(net: Any, z: Tensor) -> Any:
    early = net.first(z)
    z *= 0.5
    return net.later(net.middle(early)) + functional.pad(z, (0, 2))
