"""What was seen of a training loop: a record for each event, numbers in place of tensors.

Parameters, optimizers, schedulers and models go by the numbers that they have in the log. Records
that are made while the loop runs are not frozen: it would take four times as long to make one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from oracles.harness.arithmetic.formats import FloatArray

Values = tuple[float, ...]
"""Some elements of a tensor, the same ones each time; none where they cannot be read."""

MEAN, SUM = "mean", "sum"
"""What the losses of rows may be reduced to."""


class Gradient(NamedTuple):
    """One gradient, as a look finds it.

    Attributes:
        tensor: which tensor it is: another number is another tensor.
        version: how often torch has written into it.
        values: some of its elements.
    """

    tensor: int
    version: int
    values: Values


class Places(NamedTuple):
    """Where in a row elements of parameters are.

    Attributes:
        parameters: of which parameters, in order.
        counts: how many of each.
        places: where they are, one parameter after the other.
        spans: where all elements of each are, if they are there.
    """

    parameters: Sequence[int] = ()
    counts: Sequence[int] = ()
    places: Any = ()
    spans: Sequence[slice] = ()


class Elements(NamedTuple):
    """Some elements of many tensors, as they are read: in one row, beside others.

    Attributes:
        of: of which parameters, and where.
        row: that; or whole tensors, as lists.
    """

    of: Places = Places()
    row: Any = ()

    def by_parameter(self) -> dict[int, Values]:
        """Those of each; what is no number is one object, so that it is the same as itself."""
        if not self.of.parameters:
            return {}
        row = self._numbers[self.of.places].tolist()
        if not math.isfinite(sum(row)):
            row = [v if v == v else math.nan for v in row]
        ends = accumulate(self.of.counts)
        places = zip(self.of.parameters, self.of.counts, ends, strict=True)
        return {p: tuple(row[end - count : end]) for p, count, end in places}

    def infinite(self) -> tuple[int, ...]:
        """Parameters all of whose elements are there, and not all finite."""
        finite = np.isfinite(self._numbers)
        spans = zip(self.of.parameters, self.of.spans, strict=True)
        return () if finite.all() else tuple(p for p, span in spans if not finite[span].all())

    @property
    def _numbers(self) -> FloatArray:
        row: Any = self.row
        return np.concatenate([*map(np.ravel, row)]) if isinstance(row, list) else row


UNSEEN = Elements()


@dataclass(eq=False)
class Seen:
    """The gradients of some parameters at one moment, as they are read.

    Attributes:
        parameters: which.
        tensors: which tensor each has.
        versions: how often torch has written into it; None where there is no gradient.
        elements: some of their elements.
    """

    parameters: Sequence[int]
    tensors: Sequence[int]
    versions: Sequence[int | None]
    elements: Elements

    @cached_property
    def gradients(self) -> Mapping[int, Gradient | None]:
        """That of each; None where there is none."""
        values = self.elements.by_parameter()
        each = zip(self.parameters, self.tensors, self.versions, strict=True)
        return {
            p: None if version is None else Gradient(tensor, version, values.get(p, ()))
            for p, tensor, version in each
        }


@dataclass(eq=False)
class Look:
    """All parameters at one moment, kept as it was read: loops have hundreds of them.

    Attributes:
        seen: the gradients of all; then those of some, as they were seen later.
        until: so many of these were seen by then.
        of_weights: elements of parameters, the same as of gradients; none where only gradients can
            have changed.
    """

    seen: Sequence[Seen] = ()
    until: int = 0
    of_weights: Elements = UNSEEN

    @property
    def latest(self) -> Seen:
        """Gradients that were seen last."""
        return self.seen[self.until - 1]

    @cached_property
    def weights(self) -> Mapping[int, Values]:
        """By the number of the parameter; none where they were not looked at."""
        return self.of_weights.by_parameter()

    def gradient(self, parameter: int) -> Gradient | None:
        """Of a parameter as it was seen last; it may not have been known yet."""
        for place in range(self.until - 1, -1, -1):
            if parameter in (found := self.seen[place].gradients):
                return found[parameter]
        return None

    def weight(self, parameter: int) -> Values:
        """Of a parameter, which may not have been known yet."""
        return self.weights.get(parameter, ())


class Loss(NamedTuple):
    """What ``backward`` is called on, as far as its graph can be read.

    Attributes:
        factor: what the reduced loss is multiplied with, the scale of a scaler included; None if
            it is not known.
        reduction: ``"mean"`` or ``"sum"`` of the losses of rows; None if it is not known.
        rows: how many there are.
        elements: how many losses were reduced, or the sum of their weights: one for each row, or
            more.
        scale: of the scaler that has scaled it, 1 if none has; None if that is not known.
        kind: the operation that reduces them, by name.
        pairs: the outputs and the targets were both spread out before they were compared.
    """

    factor: float | None = None
    reduction: str | None = None
    rows: int | None = None
    elements: float | None = None
    scale: float | None = None
    kind: str = ""
    pairs: bool = False


NOT_READ = Loss()


@dataclass(kw_only=True, eq=False)
class Event:
    """Something that happened, and what there was at that moment, or right after it.

    Attributes:
        look: that; None where nothing can have changed.
    """

    look: Look | None = None


@dataclass(kw_only=True, eq=False)
class Begun(Event):
    """A backward pass begins.

    Attributes:
        loss: what it was called on.
        kept: its graph is kept for another pass.
        training: by the number of the model, whether it is in training mode.
        again: it is called on the very loss of the pass before.
    """

    loss: Loss = NOT_READ
    kept: bool = False
    training: tuple[bool, ...] = ()
    again: bool = False


@dataclass(kw_only=True, eq=False)
class Derived(Event):
    """Gradients of parameters were computed, and put nowhere yet.

    Attributes:
        elements: some of their elements.
    """

    elements: Elements

    @cached_property
    def values(self) -> Mapping[int, Values]:
        """By the number of the parameter."""
        return self.elements.by_parameter()


@dataclass(kw_only=True, eq=False)
class Unrecorded(Event):
    """No graphs were recorded for a while, as in a validation.

    Attributes:
        training: by the number of the model, whether it is in training mode.
    """

    training: tuple[bool, ...]


@dataclass(kw_only=True, eq=False)
class Turned(Event):
    """A model was told its mode, which may be the one that it was in.

    Attributes:
        model: which.
        training: whether it is training mode.
    """

    model: int
    training: bool


@dataclass(kw_only=True, eq=False)
class Ended(Event):
    """It is over."""


@dataclass(kw_only=True, eq=False)
class Used(Event):
    """An optimizer takes the gradients that there are.

    It does so at the beginning of a step, or after each call of its closure.

    Attributes:
        optimizer: whose.
        groups: the settings of each group.
        infinite: parameters whose gradient has elements that are not finite; None before that is
            read.
        frozen: parameters that require no gradient and have one of zeros.
        unscaling: the step unscales the gradients itself, or may: it was given more than a closure.
    """

    optimizer: int
    groups: tuple[Mapping[str, Any], ...] = ()
    infinite: tuple[int, ...] | None = ()
    frozen: tuple[int, ...] = ()
    unscaling: bool = False

    @property
    def gradients(self) -> Mapping[int, Gradient | None]:
        """Those of all parameters that the optimizer has by then, groups may come later."""
        return self.look.latest.gradients if self.look else {}


@dataclass(kw_only=True, eq=False)
class Stepped(Event):
    """An optimizer has made a step.

    Attributes:
        optimizer: which.
        calls: how often it has called its closure; None if it was given none.
    """

    optimizer: int
    calls: int | None = None


@dataclass(kw_only=True, eq=False)
class Skipped(Event):
    """A scaler has left out a step, as gradients were not finite."""

    optimizer: int


@dataclass(kw_only=True, eq=False)
class Unscaled(Event):
    """A scaler has divided the gradients of an optimizer by its scale."""

    optimizer: int
    scale: float


@dataclass(kw_only=True, eq=False)
class Asked(Event):
    """Somebody has asked a scaler for its scale."""


@dataclass(kw_only=True, eq=False)
class Clipped(Event):
    """Gradients were clipped; the look is the one after that.

    Attributes:
        before: the look before.
        parameters: whose gradients.
        limit: ``max_norm``, or ``clip_value``.
        by_norm: the limit is one of the norm of all of them.
        spent: it was given an iterator that it had been given before.
    """

    before: Look
    parameters: tuple[int, ...]
    limit: float
    by_norm: bool = True
    spent: bool = False


@dataclass(kw_only=True, eq=False)
class Advanced(Event):
    """A scheduler has made a step.

    Attributes:
        scheduler: which.
        placed: it was told the epoch, and has not gone on by one.
        based: its first rates, ``base_lrs``, were set since it went on before.
        before: the rates of the groups before, where it has an optimizer.
        after: and after.
        left: the rates that it has set last; none where it does not say.
    """

    scheduler: int
    placed: bool = False
    based: bool = False
    before: Values = ()
    after: Values = ()
    left: Values = ()


@dataclass(kw_only=True, eq=False)
class Built(Event):
    """A scheduler was built, and has set the first rates.

    Attributes:
        optimizer: whose.
        rates: of its groups, from then on.
    """

    optimizer: int
    rates: Values


@dataclass(kw_only=True, eq=False)
class Averaged(Event):
    """An averaged model was told the weights of a model.

    Attributes:
        average: which averaged model, by a number of its own.
        parameters: whose weights.
    """

    average: int
    parameters: tuple[int, ...]


class Parameter(NamedTuple):
    """A parameter of an optimizer or of a model.

    Attributes:
        name: that its model has for it, or where it is in its optimizer.
        shape: its shape.
        dtype: its dtype, without ``torch.``.
        trainable: whether it required a gradient when it was last seen.
        still: whether no bit of it is another than when it was first seen.
        kind: the class of the module that has it, and its name there; None if no model is known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool = True
    still: bool = False
    kind: tuple[str, str] | None = None


class Optimizer(NamedTuple):
    """An optimizer.

    Attributes:
        name: of its class; with a number, if there are several of it.
        groups: parameters, by group, as often as they are listed.
        watched: whether it is one of those that were to be watched.
        fresh: whether it had made no step when it was first seen.
        torchs: whether its class is torch's own.
        hooked: whether code of the user runs within its steps.
        remembers: whether it keeps tensors from one step to the next.
    """

    name: str
    groups: tuple[tuple[int, ...], ...]
    watched: bool = True
    fresh: bool = True
    torchs: bool = True
    hooked: bool = False
    remembers: bool = False

    @property
    def parameters(self) -> tuple[int, ...]:
        """Of all groups, each one once."""
        return tuple(dict.fromkeys(p for group in self.groups for p in group))


class Scheduler(NamedTuple):
    """A scheduler of learning rates.

    Attributes:
        name: of its class.
        optimizer: whose rates it sets; None if it does not say.
        fresh: whether it had made no step when it was first seen.
        closed: whether it computes its rates from the first one, and not from the last one.
        length: after so many steps it has come to its end; None if it does not say.
        metric: whether it goes by a metric, and not by the number of its steps.
        part: whether it is a part of another one, which makes its steps.
        last: whether it is made for the end of a training, which others are before.
    """

    name: str
    optimizer: int | None
    fresh: bool = False
    closed: bool = False
    length: int | None = None
    metric: bool = False
    part: bool = False
    last: bool = False


class Model(NamedTuple):
    """A model.

    Attributes:
        name: of its class.
        parameters: its parameters.
        given: whether it was said to be what is trained.
        modal: whether it computes something else in training mode.
    """

    name: str
    parameters: tuple[int, ...]
    given: bool = False
    modal: bool = False


class Meant(NamedTuple):
    """What whoever watches says the loop is meant to do; None and False where nothing is said.

    Attributes:
        loss: what a step follows: the ``"mean"`` or the ``"sum"`` of the losses of all rows.
        accumulation: how many backward passes a step takes.
        weight_decay: of the groups that are decayed.
        ranks: all processes are to hold the same parameters after each step.
    """

    loss: str | None = None
    accumulation: int | None = None
    weight_decay: float | None = None
    ranks: bool = False


NOTHING_SAID = Meant()


class Told(NamedTuple):
    """What one process tells the others of one step of an optimizer.

    Attributes:
        marks: for each parameter, a number made of all its bits after the step.
        own: elements of the gradients after its last backward pass.
        used: the same elements, as the step took them.
    """

    marks: tuple[int, ...]
    own: tuple[Values, ...]
    used: tuple[Values, ...]


@dataclass(frozen=True)
class Log:
    """All that was seen of a loop.

    Attributes:
        events: in the order in which they came.
        parameters, optimizers, schedulers, models: by their numbers.
        strangers: shapes of parameters that the first backward pass reaches, and that neither a
            model nor an optimizer has; none where no model was given.
        meant: what was said of the loop.
        whole: whether the loop was watched from its beginning to its own end.
        error: what it raised.
        cut: after so many seconds it was ended; None if it was not.
        ranks: what each process told, by optimizer and step, where all were asked.
    """

    events: tuple[Event, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    optimizers: tuple[Optimizer, ...] = ()
    schedulers: tuple[Scheduler, ...] = ()
    models: tuple[Model, ...] = ()
    strangers: tuple[tuple[int, ...], ...] = ()
    meant: Meant = NOTHING_SAID
    whole: bool = False
    error: str = ""
    cut: float | None = None
    ranks: tuple[Mapping[tuple[int, int], Told], ...] = field(default=())
