"""The contract of every search space, and that every variant has one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import create_trial

import search_spaces
from search_spaces.space import Extent, load_space
from trainables.parts.schedules import Annealed, Cyclical
from trainables.parts.updates import Aggressive
from trainables.variants import UnknownVariantError, load_variant, variant_names

EPOCHS = (1, 2, 5, 20, 100)
ALL = pytest.mark.parametrize("name", variant_names())


def edges(distribution: BaseDistribution) -> Iterator[Any]:
    if isinstance(distribution, CategoricalDistribution):
        yield from distribution.choices
    else:
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        yield from (distribution.low, distribution.high)


def test_spaces_and_variants_match() -> None:
    folder = Path(search_spaces.__path__[0])
    files = {path.stem for path in folder.glob("[!_]*.py")} - {"space"}
    assert files == set(variant_names())


@ALL
def test_a_space_is_of_its_variant(name: str) -> None:
    assert load_space(name).variant is load_variant(name)


@ALL
@pytest.mark.parametrize("epochs", EPOCHS)
def test_every_edge_is_accepted(name: str, epochs: int) -> None:
    space = load_space(name)
    for knob, distribution in space.distributions(Extent(epochs)).items():
        assert knob in space.variant.knobs()
        for value in edges(distribution):
            assert space.variant.with_knobs({knob: value}).knobs()[knob] == value


@ALL
@pytest.mark.parametrize("epochs", EPOCHS)
def test_whole_configurations_are_accepted(name: str, epochs: int) -> None:
    space = load_space(name)
    distributions = dict(space.distributions(Extent(epochs)))
    study = create_study(sampler=RandomSampler(seed=epochs))
    for _ in range(20):
        values = study.ask(distributions).params
        configured = space.variant.with_knobs(values)
        assert configured.knobs() == space.variant.knobs() | values
        configured.check()  # nothing is proposed that cannot be combined, or that leaves no training proper
        configured.pretraining.check(epochs)


@ALL
@pytest.mark.parametrize("epochs", EPOCHS)
def test_a_searched_knob_has_something_to_search(name: str, epochs: int) -> None:
    for knob, distribution in load_space(name).distributions(Extent(epochs)).items():
        assert not distribution.single() or epochs == 1, knob


@ALL
def test_the_default_lies_in_the_ranges_of_a_default_sweep(name: str) -> None:
    space = load_space(name)
    distributions = dict(space.distributions(Extent(12, 30)))
    knobs = space.variant.knobs()
    create_trial(params={knob: knobs[knob] for knob in distributions}, distributions=distributions, value=0)


@pytest.mark.parametrize("epochs", EPOCHS)
def test_knobs_in_epochs_stay_within_the_training(epochs: int) -> None:
    aggressive = load_space("aggressive").distributions(Extent(epochs))["aggressive_epochs"]
    assert isinstance(aggressive, IntDistribution)
    assert 1 <= aggressive.low <= aggressive.high <= epochs
    cycles = load_space("cyclical").distributions(Extent(epochs))["cycles"]
    assert isinstance(cycles, IntDistribution)
    assert 1 <= cycles.low <= cycles.high <= epochs
    delay = load_space("annealed").distributions(Extent(epochs))["anneal_delay"]
    assert isinstance(delay, FloatDistribution)
    assert 0 <= delay.low < delay.high < epochs
    for name in ("annealed", "aggressive"):
        rate = load_space(name).distributions(Extent(epochs))["anneal_rate"]
        assert isinstance(rate, FloatDistribution)
        assert (rate.low * epochs, rate.high * epochs) == pytest.approx((1, 20))


def test_searched_parts_are_the_ones_in_the_papers() -> None:
    assert isinstance(load_space("annealed").variant.rate.schedule, Annealed)
    assert isinstance(load_space("cyclical").variant.rate.schedule, Cyclical)
    assert isinstance(load_space("aggressive").variant.updates, Aggressive)
    dilation = load_space("dilated").distributions(Extent(10))["dilation"]
    assert set(edges(dilation)) == {"S", "M", "L", "VL"}


@pytest.mark.parametrize("name", ["vanilla", "language_model"])
def test_baselines_have_nothing_to_search(name: str) -> None:
    assert dict(load_space(name).distributions(Extent(10))) == {}


def test_an_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownVariantError, match="did you mean 'dilated'"):
        load_space("dilatd")
