"""Averages of parameters, and passes for batch normalization, with one fault each."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, update_bn

from oracles.harness.subjects import averaging as subject
from tests.meta.loop_scaling import planted
from tests.meta.loop_zoo import Specimen

SWA: Any = torch.optim.swa_utils


# --- AveragedModel --------------------------------------------------------------------------------


class StartCounted(AveragedModel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.n_averaged += 1


class CountedTwice(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        self.n_averaged += 1


class NotCounted(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        self.n_averaged.clamp_(max=2)


class CountNotKept(AveragedModel):
    """A state dict without the count."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_buffer("n_averaged", self.n_averaged, persistent=False)


class Shared(AveragedModel):
    """The model itself in place of a copy."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.module = model


class SharedBuffers(AveragedModel):
    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        for name, buffer in model.named_buffers():
            self.module.register_buffer(name, buffer)


class OneForAll(AveragedModel):
    """A deep copy that is the same one."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class BuffersLeft(AveragedModel):
    """Buffers as they were when the average was built."""

    def update_parameters(self, model: Any) -> None:
        before = [b.clone() for b in self.module.buffers()]
        super().update_parameters(model)
        for own, held in zip(self.module.buffers(), before, strict=True):
            own.copy_(held)


class BuffersAlways(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        self.use_buffers = True
        super().update_parameters(model)


class BuffersNever(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        self.use_buffers = False
        super().update_parameters(model)


class ModelChanged(AveragedModel):
    """The average is written back, as some do to go on from it."""

    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        with torch.no_grad():
            for own, kept in zip(model.parameters(), self.module.parameters(), strict=True):
                own.copy_(kept)


class InHalf(AveragedModel):
    """An average that is kept in bfloat16, whatever the model is in."""

    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        for own in self.module.parameters():
            own.data.copy_(own.data.bfloat16())


class InTheModelsDtype(AveragedModel):
    """What the average is moved to is undone."""

    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        for own, new in zip(self.module.parameters(), model.parameters(), strict=True):
            own.data.copy_(own.data.to(new.dtype))


class FirstForgotten(AveragedModel):
    """1/n in place of 1/(n+1)."""

    def update_parameters(self, model: Any) -> None:
        if self.n_averaged:
            self.n_averaged -= 1
            super().update_parameters(model)
            self.n_averaged += 1
        else:
            super().update_parameters(model)


class FirstMissed(AveragedModel):
    """The copy is what it was built as, not what the first update brings."""

    def update_parameters(self, model: Any) -> None:
        if self.n_averaged:
            super().update_parameters(model)
        else:
            self.n_averaged += 1


class NewestAlone(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        count = int(self.n_averaged)
        self.n_averaged.zero_()
        super().update_parameters(model)
        self.n_averaged.fill_(count + 1)


class OneBehind(AveragedModel):
    """Each update sees the model of the update before, as one before the step does."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.__dict__["held"] = copy.deepcopy(model)

    def update_parameters(self, model: Any) -> None:
        held = self.__dict__["held"]
        self.__dict__["held"] = copy.deepcopy(model)
        super().update_parameters(held)


def named(model: Any) -> dict[str, Any]:
    """All parameters, a shared one under each of its names."""
    return dict(model._parameters)  # noqa: SLF001


class UnderEachName(AveragedModel):
    """A tensor under two names is averaged twice."""

    def update_parameters(self, model: Any) -> None:
        if self.n_averaged:
            own, new = named(self.module), named(model)
            for name in own.keys() - dict(self.module.named_parameters()).keys():
                own[name].data.lerp_(new[name].data, 1 / (int(self.n_averaged) + 1))
        super().update_parameters(model)


class Torn(AveragedModel):
    """Each name has a tensor of its own in the copy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, own in named(self.module).items():
            setattr(self.module, name, torch.nn.Parameter(own.detach().clone()))


class CountersLeft(AveragedModel):
    """Whole numbers stay as they were first."""

    def update_parameters(self, model: Any) -> None:
        whole = [b for b in self.module.buffers() if not b.is_floating_point()]
        before = [b.clone() for b in whole]
        first = not self.n_averaged
        super().update_parameters(model)
        for own, held in zip(whole, before, strict=True):
            if not first:
                own.copy_(held)


class CountersUp(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        for own in self.module.buffers():
            if not own.is_floating_point() and own.dtype != torch.bool:
                own.add_(1)


class FirstDtype(AveragedModel):
    """Tensors of one dtype alone."""

    def update_parameters(self, model: Any) -> None:
        kept = [p.detach().clone() for p in self.module.parameters()]
        first = not self.n_averaged
        super().update_parameters(model)
        for own, held in zip(self.module.parameters(), kept, strict=True):
            if not first and own.dtype != kept[0].dtype:
                own.data.copy_(held)


class FrozenCopied(AveragedModel):
    """What is not trained is not averaged."""

    trained = False

    def update_parameters(self, model: Any) -> None:
        super().update_parameters(model)
        for own, new in zip(self.module.parameters(), model.parameters(), strict=True):
            if new.requires_grad == self.trained:
                own.data.copy_(new.data)


class FrozenAlone(FrozenCopied):
    """What is trained is copied."""

    trained = True


class ReadOneLater(AveragedModel):
    """Functions are told how many there are with the new one."""

    def update_parameters(self, model: Any) -> None:
        for name in ("avg_fn", "multi_avg_fn"):
            given = self.__dict__.get(name)
            if given is not None and not hasattr(given, "off"):
                later = partial(_later, given)
                later.off = True  # type: ignore[attr-defined]
                self.__dict__[name] = later
        super().update_parameters(model)


def _later(given: Any, kept: Any, new: Any, n: Any) -> Any:
    return given(kept, new, n + 1)


class ArgumentsSwapped(AveragedModel):
    def update_parameters(self, model: Any) -> None:
        given = self.avg_fn
        if given is not None:
            self.avg_fn = lambda kept, new, n: given(new, kept, n)
        super().update_parameters(model)
        self.avg_fn = given


class ResetByLoading(AveragedModel):
    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        found = super().load_state_dict(*args, **kwargs)
        self.n_averaged.zero_()
        return found


class TakesAny(AveragedModel):
    """What does not fit is passed over."""

    def update_parameters(self, model: Any) -> None:
        try:
            super().update_parameters(model)
        except (RuntimeError, ValueError):
            self.n_averaged += 1


def buffers_follow() -> bool:
    """Whether buffers are copied."""
    model: Any = torch.nn.BatchNorm1d(1)
    average = AveragedModel(model)
    model.running_mean.fill_(3.0)
    average.update_parameters(model)
    return bool(average.module.running_mean == 3)


def goes_on_in_float32() -> bool:
    """Whether an average that is moved to float32 takes a model in bfloat16."""
    model = torch.nn.Linear(1, 1).bfloat16()
    average = AveragedModel(model).float()
    try:
        average.update_parameters(model)
        average.update_parameters(model)
    except RuntimeError:
        return False
    return True


NEEDS = {BuffersAlways: buffers_follow, InTheModelsDtype: goes_on_in_float32}
"""What nobody asks where this torch's own average does it wrong."""

AVERAGE, ELSEWHERE, NAMES = "average", "goes on elsewhere", "tensors under two names"
WHOLE, OWN, SLOW = "whole numbers", "a function of one's own", "a slow average moves"
SINGLE, OTHERS = "kept in float32", "another model"

MODELS: tuple[tuple[str, type, str], ...] = (
    ("the start counted", StartCounted, AVERAGE),
    ("each counted twice", CountedTwice, AVERAGE),
    ("not counted on", NotCounted, AVERAGE),
    ("a count that is not kept", CountNotKept, ELSEWHERE),
    ("the model itself", Shared, AVERAGE),
    ("the model's own buffers", SharedBuffers, AVERAGE),
    ("a deep copy that is none", OneForAll, ELSEWHERE),
    ("buffers left", BuffersLeft, AVERAGE),
    ("buffers always averaged", BuffersAlways, AVERAGE),
    ("buffers never averaged", BuffersNever, AVERAGE),
    ("the model changed", ModelChanged, AVERAGE),
    ("kept in bfloat16", InHalf, SLOW),
    ("kept in the model's dtype", InTheModelsDtype, SINGLE),
    ("the first forgotten", FirstForgotten, AVERAGE),
    ("the first missed", FirstMissed, "rejects start_counted"),
    ("the newest alone", NewestAlone, "rejects latest"),
    ("one update behind", OneBehind, "rejects before_the_step"),
    ("averaged under each name", UnderEachName, NAMES),
    ("names torn apart", Torn, NAMES),
    ("counters left", CountersLeft, WHOLE),
    ("counters rounded up", CountersUp, WHOLE),
    ("one dtype alone", FirstDtype, AVERAGE),
    ("told one too many", ReadOneLater, OWN),
    ("told the wrong way round", ArgumentsSwapped, OWN),
    ("begun anew by loading", ResetByLoading, ELSEWHERE),
    ("any model taken", TakesAny, OTHERS),
    ("frozen parameters copied", FrozenCopied, AVERAGE),
    ("frozen parameters alone averaged", FrozenAlone, AVERAGE),
)

WHATEVER: tuple[tuple[str, type, str], ...] = (
    ("begun anew by loading", ResetByLoading, ELSEWHERE),
    ("names torn apart", Torn, NAMES),
    ("whole numbers missed at first", FirstMissed, WHOLE),
    ("the first missed", FirstMissed, SINGLE),
    ("kept in bfloat16", InHalf, SLOW),
    ("any model taken", TakesAny, OTHERS),
)
"""The same whatever function an average is given."""


# --- Functions of an average ----------------------------------------------------------------------


def swapped(decay: float = 0.999) -> Any:
    return lambda kept, new, n: (1 - decay) * kept + decay * new


def debiased(decay: float = 0.999) -> Any:
    return lambda kept, new, n: kept + (new - kept) * ((1 - decay) / (1 - decay ** (int(n) + 1)))


def growing(decay: float = 0.999) -> Any:
    def update(kept: Any, new: Any, n: Any) -> Any:
        own = min(decay, (2 + int(n)) / (11 + int(n)))
        return own * kept + (1 - own) * new

    return update


def squared(decay: float = 0.999) -> Any:
    return lambda kept, new, n: decay**2 * kept + (1 - decay**2) * new


def in_float32(decay: float = 0.999) -> Any:
    return lambda kept, new, n: (decay * kept.float() + (1 - decay) * new.float()).to(kept.dtype)


def several(one: Callable[..., Any]) -> Callable[..., Any]:
    """For many tensors at once, what a function does for one."""

    def made(*args: Any) -> Any:
        update = one(*args)

        def multi(kept: Any, new: Any, n: Any) -> None:
            for own, other in zip(kept, new, strict=True):
                own.copy_(update(own, other, n))

        return multi

    return made


def all_but_the_last(decay: float = 0.999) -> Any:
    def multi(kept: Any, new: Any, n: Any) -> None:
        for own, other in zip(kept[: max(1, len(kept) - 1)], new, strict=False):
            own.copy_(decay * own + (1 - decay) * other)

    return multi


def too_fast() -> Any:
    return lambda kept, new, n: kept + (new - kept) / (n / 2 + 1)


def halves() -> Any:
    return lambda kept, new, n: (kept + new) / 2


GIVEN = "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn"

FUNCTIONS: tuple[tuple[str, str, Callable[..., Any], str], ...] = (
    ("get_ema_avg_fn", "the decay swapped", swapped, AVERAGE),
    ("get_ema_avg_fn", "bias taken off", debiased, AVERAGE),
    ("get_ema_avg_fn", "warmed up", growing, AVERAGE),
    ("get_ema_avg_fn", "decayed twice", squared, AVERAGE),
    ("get_ema_avg_fn", "in float32", in_float32, AVERAGE),
    ("get_ema_multi_avg_fn", "the decay swapped", several(swapped), "rejects swapped"),
    ("get_ema_multi_avg_fn", "bias taken off", several(debiased), AVERAGE),
    ("get_ema_multi_avg_fn", "the last left out", all_but_the_last, AVERAGE),
    ("get_swa_avg_fn", "too fast", too_fast, AVERAGE),
    ("get_swa_avg_fn", "halved", halves, "rejects halved"),
    ("get_swa_multi_avg_fn", "too fast", several(too_fast), AVERAGE),
)


# --- update_bn ------------------------------------------------------------------------------------


def normalizations(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def not_reset(loader: Any, model: Any, device: Any = None) -> None:
    held = [(n.running_mean.clone(), n.running_var.clone(), n.num_batches_tracked.clone())
            for n in normalizations(model)]  # fmt: skip

    def begun() -> Iterable[Any]:
        for own, kept in zip(normalizations(model), held, strict=True):
            own.running_mean, own.running_var, own.num_batches_tracked = kept
        yield from loader

    update_bn(begun(), model, device)


def momentum_kept(loader: Any, model: Any, device: Any = None) -> None:
    momenta = [n.momentum for n in normalizations(model)]

    def begun() -> Iterable[Any]:
        for own, momentum in zip(normalizations(model), momenta, strict=True):
            own.momentum = momentum
        yield from loader

    update_bn(begun(), model, device)


def momentum_lost(loader: Any, model: Any, device: Any = None) -> None:
    update_bn(loader, model, device)
    for own in normalizations(model):
        own.momentum = None


def momentum_of_torch(loader: Any, model: Any, device: Any = None) -> None:
    update_bn(loader, model, device)
    for own in normalizations(model):
        own.momentum = 0.1


def left_training(loader: Any, model: Any, device: Any = None) -> None:
    update_bn(loader, model, device)
    if normalizations(model):
        model.train()


def always_run(loader: Any, model: Any, device: Any = None) -> None:
    if normalizations(model):
        update_bn(loader, model, device)
    else:
        for batch in loader:
            model(batch[0] if isinstance(batch, tuple | list) else batch)


def rows_counted(loader: Any, model: Any, device: Any = None) -> None:
    def weighed() -> Iterable[Any]:
        rows = 0
        for batch in loader:
            size = len(batch[0] if isinstance(batch, tuple | list) else batch)
            rows += size
            for own in normalizations(model):
                own.momentum = size / rows
            yield batch

    update_bn(weighed(), model, device)


def biased(loader: Any, model: Any, device: Any = None) -> None:
    sizes: list[int] = []

    def seen() -> Iterable[Any]:
        for batch in loader:
            sizes.append(len(batch[0] if isinstance(batch, tuple | list) else batch))
            yield batch

    update_bn(seen(), model, device)
    for own in normalizations(model) if sizes else []:
        own.running_var *= (sizes[-1] - 1) / sizes[-1]


def first_skipped(loader: Any, model: Any, device: Any = None) -> None:
    update_bn(itertools.islice(loader, 1, None), model, device)


def errors_kept(loader: Any, model: Any, device: Any = None) -> None:
    def quiet() -> Iterable[Any]:
        try:
            yield from loader
        except Exception:
            return

    update_bn(quiet(), model, device)


def untracked(loader: Any, model: Any, device: Any = None) -> None:
    update_bn(loader, model, device)
    for own in normalizations(model):
        own.num_batches_tracked.zero_()


def one_momentum(loader: Any, model: Any, device: Any = None) -> None:
    first, *_ = [n.momentum for n in normalizations(model)] or [None]
    update_bn(loader, model, device)
    for own in normalizations(model)[1:]:
        own.momentum = first


def first_layer_alone(loader: Any, model: Any, device: Any = None) -> None:
    """Only the first layer counts all batches alike; the others go by their momentum."""
    momenta = [n.momentum for n in normalizations(model)]

    def begun() -> Iterable[Any]:
        for own, momentum in zip(normalizations(model)[1:], momenta[1:], strict=True):
            own.momentum = momentum
        yield from loader

    update_bn(begun(), model, device)


STATISTICS, LEAVES = "statistics", "leaves the model as it was"

PASSES: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("not reset", not_reset, "rejects not_reset"),
    ("momentum kept", momentum_kept, "rejects momentum_kept"),
    ("momentum lost", momentum_lost, LEAVES),
    ("torch's momentum in place of its own", momentum_of_torch, LEAVES),
    ("one momentum for all layers", one_momentum, LEAVES),
    ("the first layer alone", first_layer_alone, STATISTICS),
    ("left training", left_training, LEAVES),
    ("run without a reason", always_run, LEAVES),
    ("rows counted", rows_counted, "rejects rows_alike"),
    ("biased", biased, STATISTICS),
    ("the first batch skipped", first_skipped, STATISTICS),
    ("batches not counted", untracked, STATISTICS),
)

SPECIMENS: tuple[Specimen, ...] = (
    *(
        Specimen(name, part, partial(planted, subject, averaged_model=found), question)
        for parts, table in ((("AveragedModel",), MODELS), (GIVEN, WHATEVER))
        for name, broken, question in table
        if broken not in NEEDS or NEEDS[broken]()
        for found in [partial(lambda own: own, broken)]  # its own code finds itself by its name
        for part in parts
        if hasattr(SWA, part)
    ),
    *(
        Specimen(name, part, partial(planted, SWA, **{part: broken}), question)
        for part, name, broken, question in FUNCTIONS
        if hasattr(SWA, part)
    ),
    *(
        Specimen(name, "update_bn", partial(planted, SWA, update_bn=broken), question)
        for name, broken, question in PASSES
    ),
)
