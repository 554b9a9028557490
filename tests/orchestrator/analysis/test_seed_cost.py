"""What fresh seeds cost beside a fixed number of them."""

from __future__ import annotations

from orchestrator.analysis.seed_cost import seed_cost
from orchestrator.search.rounds import SeedRounds
from tests.orchestrator.sweep_results import small_sweep, trained


def test_spent_where_needed_beside_a_fixed_number() -> None:
    """Spent: two baselines of 400 tokens, two of annealed, as much, two of aggressive of 4,000. Three for
    each: 3 × (400 + 400 + 4,000), and three of cyclical at the 400 of its one training that ended."""
    assert seed_cost(small_sweep(), SeedRounds(3, 6)) == [
        "fresh seeds: 6 trainings, 9.6k tokens; "
        "3 for each of 4 baselines and remedies would have been 12, 15.6k tokens"
    ]


def test_baselines_by_decoder_and_variants_without_a_search() -> None:
    """Two baselines of 200 tokens with one decoder and one of 500 with the other, two of a variant that has
    nothing to search, of 100: 2 × (200 + 500 + 100) in the place of 1,100."""
    results = [
        trained("b0", "language_model", "baseline", 0, [9.0, 8.0]),
        trained("b1", "language_model", "baseline", 1, [9.0, 8.0]),
        trained("b2", "language_model", "baseline", 0, [9.0], tokens=500.0, decoder="dilated"),
        trained("v0", "vanilla", "trial", 0, [9.0]),
        trained("v1", "vanilla", "trial", 1, [9.0]),
    ]
    assert seed_cost(results, SeedRounds(2, 2)) == [
        "fresh seeds: 5 trainings, 1.1k tokens; "
        "2 for each of 3 baselines and remedies would have been 6, 1.6k tokens"
    ]


def test_nothing_to_say() -> None:
    """Each got as many as the first round has; no fresh seeds were planned; nobody knows how many were."""
    two = [result for result in small_sweep() if result.plan.variant != "cyclical"]
    assert seed_cost(two, SeedRounds(2, 6)) == []
    assert seed_cost(small_sweep(), SeedRounds(0, 0)) == []
    assert seed_cost(small_sweep(), None) == []
    assert seed_cost([], SeedRounds(3, 6)) == []
