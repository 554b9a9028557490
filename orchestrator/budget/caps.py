"""What a sweep has used, and which of its caps that reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.spec.budget import Budget
from orchestrator.spec.sections import Resources


@dataclass(frozen=True)
class Used:
    """Hours in which trials ran, those hours × the trials that ran at a time, and predicted words."""

    hours: float = 0.0
    trial_hours: float = 0.0
    tokens: float = 0.0

    def after(self, hours: float, running: int) -> Used:
        """With so many hours more, in which so many trials ran."""
        if not running:
            return self
        return replace(self, hours=self.hours + hours, trial_hours=self.trial_hours + hours * running)


@dataclass(frozen=True)
class Caps:
    """The budget of a sweep whose trials reserve these resources."""

    budget: Budget
    resources: Resources

    def gpu_hours(self, used: Used) -> float:
        """Hours × reserved GPUs."""
        return used.trial_hours * self.resources.share

    def cost(self, used: Used) -> float | None:
        """At the budget's price, of GPUs or, where trials reserve none, of CPUs; None without one."""
        price, reserved = self.budget.price, self.resources.share or self.resources.cpus
        return None if price is None else price * used.trial_hours * reserved

    def reached(self, used: Used, now: datetime) -> str | None:
        """The first cap that is reached, in words; None while there is room."""
        budget = self.budget
        amounts = (
            ("max_tokens", used.tokens, budget.max_tokens),
            ("max_hours", used.hours, budget.max_hours),
            ("max_gpu_hours", self.gpu_hours(used), budget.max_gpu_hours),
            ("max_cost", self.cost(used) or 0.0, budget.max_cost),
        )
        for name, amount, most in amounts:
            if most is not None and amount >= most:
                return f"budget.{name}, {most:g}, is reached ({amount:.3g})"
        deadline = budget.deadline_at
        if deadline is not None and now >= deadline:
            return f"budget.deadline, {deadline:%Y-%m-%d %H:%M}, has come"
        return None
