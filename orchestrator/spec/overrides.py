"""What a spec fixes and what it searches: the variants' own search spaces with the user's changes.

Changes stand in two places. Those at the top of the spec hold for each chosen variant that has the knob, and
its fixed knobs for the baselines too; those below a variant hold for it alone, and go before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from orchestrator.spec.errors import KeyPath, Problem, ProblemsError
from orchestrator.spec.ranges import distribution, knob_value
from search_spaces.space import Extent, load_space
from trainables.common.hints import hint
from trainables.model.variant import Variant
from trainables.parts.part import KnobError, parse_knob
from trainables.variants import BASELINE, load_variant, variant_names


@dataclass(frozen=True)
class Changes:
    """Fixed knobs and search ranges that stand in one place of the spec, below the key `path`."""

    knobs: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)
    path: KeyPath = ()

    def contradictions(self) -> Iterator[Problem]:
        """Knobs that are fixed and searched in the same place."""
        for knob in self.ranges:
            if knob in self.knobs:
                yield Problem((*self.path, "ranges", knob), f"{knob} must be fixed or have a range, got both")


@dataclass(frozen=True)
class VariantPlan:
    """One variant of a sweep: the knobs that are fixed, and the distributions of those that are searched."""

    variant: str
    knobs: dict[str, Any]
    distributions: dict[str, BaseDistribution]


@dataclass(frozen=True)
class _Entry:
    """What the spec says of a knob, and where: a value, or a range."""

    raw: Any
    path: KeyPath


def plan_variants(chosen: Mapping[str, Changes], shared: Changes, *, extent: Extent) -> list[VariantPlan]:
    """A plan for each chosen variant.

    Raises:
        ProblemsError: with all variants, knobs and ranges that cannot be.
    """
    unknown = list(_unknown_variants(chosen))
    if unknown:
        raise ProblemsError(unknown)
    problems = list(shared.contradictions())
    plans: list[VariantPlan] = []
    unused = shared.knobs.keys() | shared.ranges.keys()
    for name, own in chosen.items():
        problems.extend(own.contradictions())
        try:
            planner = _Planner(name, shared, own)
        except ProblemsError as error:  # without its slots filled nobody knows which knobs it has
            problems.extend(error.problems)
            unused = set()
            continue
        unused = {knob for knob in unused if not planner.has(knob)}
        try:
            plans.append(planner.plan(extent))
        except ProblemsError as error:
            problems.extend(error.problems)
    variants = [load_variant(name) for name in chosen]
    for kind, entries in (("knobs", shared.knobs), ("ranges", shared.ranges)):
        for knob in (knob for knob in entries if knob in unused):
            text = f"no chosen variant has a knob {knob!r}; {_knob_hint(knob, variants)}"
            problems.append(Problem((*shared.path, kind, knob), text))
    if problems:
        raise ProblemsError(problems)
    return plans


def parse_value(knob: str, text: str) -> Any:
    """What `text` from a command line stands for as the knob's value; unchanged for an unknown knob.

    Raises:
        KnobError: the text is not of the knob's type.
    """
    for variant in map(load_variant, variant_names()):
        for part in (variant, *(option() for slot in variant.slots().values() for option in slot.values())):
            if knob in part.knobs():
                return parse_knob(part, knob, text)
    return text


class _Planner:
    """Puts one variant's plan together."""

    def __init__(self, name: str, shared: Changes, own: Changes) -> None:
        self.name, self.own = name, own
        self.space = load_space(name)
        self.fixed = _entries("knobs", shared, own, without=own.ranges)
        self.ranged = _entries("ranges", shared, own, without=own.knobs)
        self.shapes = self._shapes(self.space.variant, ())

    def has(self, knob: str) -> bool:
        """Whether the search can build the variant with such a knob."""
        return any(knob in shape.knobs() for shape in self.shapes)

    def plan(self, extent: Extent) -> VariantPlan:
        problems: list[Problem] = []
        knobs: dict[str, Any] = {}
        present = set.intersection(*(set(shape.knobs()) for shape in self.shapes))
        found = {
            knob: value for knob, value in self.space.distributions(extent).items() if knob in present
        }  # a knob whose slot holds another part now is not searched
        for knob, entry in (self.fixed | self.ranged).items():
            try:
                if not self._check_presence(knob, entry, present):
                    continue
                self._check_fairness(knob, entry)
                if knob in self.ranged:
                    found[knob] = distribution(self.shapes, knob, entry.raw, entry.path)
                else:
                    found.pop(knob, None)
                    knobs[knob] = self._value(knob, entry)
            except ProblemsError as error:
                problems.extend(error.problems)
        if problems:
            raise ProblemsError(problems)
        plan = VariantPlan(self.name, knobs, found)
        self._check_combinations(plan, extent)
        return plan

    def _shapes(self, variant: Variant, filled: tuple[str, ...]) -> list[Variant]:
        """The variant with each part that the spec lets stand in its slots."""
        for slot in variant.slots():
            if slot in filled or slot not in self.fixed | self.ranged:
                continue
            if slot in self.ranged:
                entry = self.ranged[slot]
                choices = choices_of(distribution([variant], slot, entry.raw, entry.path))
            else:
                choices = (self.fixed[slot].raw,)
            parts = [
                _with_knob(variant, slot, choice, (self.fixed | self.ranged)[slot]) for choice in choices
            ]
            return [shape for part in parts for shape in self._shapes(part, (*filled, slot))]
        return [variant]

    def _check_fairness(self, knob: str, entry: _Entry) -> None:
        """Refuses a fixed knob that would give the variant another model or training than its baseline."""
        if knob in self.own.knobs and any(knob in shape.shared_knobs() for shape in self.shapes):
            text = f"{knob} must be fixed at the top, so that the baseline has it too, got it for {self.name}"
            raise ProblemsError([Problem(entry.path, text)])

    def _check_combinations(self, plan: VariantPlan, extent: Extent) -> None:
        """Refuses what the search might put together and cannot be combined."""
        tried: list[Variant] = []
        for shape in self.shapes:
            searched = {knob: _edges(found) for knob, found in plan.distributions.items()}
            searched = {knob: edges for knob, edges in searched.items() if knob not in shape.slots()}
            first = shape.with_knobs(plan.knobs | {knob: edges[0] for knob, edges in searched.items()})
            tried += [first.with_knobs({knob: edge}) for knob, edges in searched.items() for edge in edges]
            tried.append(first)
        for variant in tried:
            try:
                variant.check()
                variant.pretraining.check(extent.epochs)
            except KnobError as error:
                raise ProblemsError([Problem(self.own.path, f"{self.name}: {error}")]) from None

    def _check_presence(self, knob: str, entry: _Entry, present: set[str]) -> bool:
        """Whether the variant has the knob; False where an entry at the top means other variants."""
        if knob in present:
            return True
        if self.has(knob):
            slots = [slot for slot in self.ranged if slot in self.shapes[0].slots()]
            text = f"{self.name} has a knob {knob!r} only for some choices of {', '.join(slots)}"
            raise ProblemsError([Problem(entry.path, f"{text}: fix {', '.join(slots)}, or leave it out")])
        if knob in self.own.knobs or knob in self.own.ranges:
            text = f"{self.name} has no knob {knob!r}; {_knob_hint(knob, self.shapes)}"
            raise ProblemsError([Problem(entry.path, text)])
        return False

    def _value(self, knob: str, entry: _Entry) -> Any:
        try:
            values = [knob_value(shape, knob, entry.raw) for shape in self.shapes]
        except KnobError as error:
            raise ProblemsError([Problem(entry.path, str(error))]) from None
        return values[0]


def _entries(kind: str, shared: Changes, own: Changes, without: Mapping[str, Any]) -> dict[str, _Entry]:
    """Own entries before shared ones; `without` are the knobs of which the variant says otherwise."""
    return {
        knob: _Entry(raw, (*changes.path, kind, knob))
        for changes in (shared, own)
        for knob, raw in getattr(changes, kind).items()
        if changes is own or knob not in without
    }


def _with_knob(variant: Variant, knob: str, value: Any, entry: _Entry) -> Variant:
    try:
        return variant.with_knobs({knob: knob_value(variant, knob, value)})
    except KnobError as error:
        raise ProblemsError([Problem(entry.path, str(error))]) from None


def _knob_hint(knob: str, variants: Sequence[Variant]) -> str:
    for slot, options in (item for variant in variants for item in variant.slots().items()):
        for name, option in options.items():
            if knob in option().knobs():
                return f"it comes with {slot}={name}"
    return hint(knob, dict.fromkeys(known for variant in variants for known in variant.knobs()))


def _unknown_variants(chosen: Mapping[str, Changes]) -> Iterator[Problem]:
    known = [name for name in variant_names() if name != BASELINE]
    for name, changes in chosen.items():
        if name == BASELINE:
            yield Problem(
                changes.path, f"variants must be without {BASELINE}: it is run always, as the baseline"
            )
        elif name not in known:
            yield Problem(changes.path, f"no variant {name!r}; {hint(name, known)}")


def _edges(found: BaseDistribution) -> Sequence[Any]:
    """The choices of a categorical distribution, the ends of an interval."""
    if isinstance(found, FloatDistribution | IntDistribution):
        return found.low, found.high
    return choices_of(found)


def choices_of(found: BaseDistribution) -> tuple[Any, ...]:
    """The choices of a categorical distribution; none of a range of numbers."""
    return found.choices if isinstance(found, CategoricalDistribution) else ()
