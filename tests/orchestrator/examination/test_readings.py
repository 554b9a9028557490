"""Planted mixtures, whose best accuracy is known, and latents that know nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from orchestrator.examination.readings import Features, Labels, naming, probe


def planted(
    sentences: int, centres_CD: np.ndarray, seed: int, shares: tuple[float, ...] | None = None
) -> tuple[Features, Labels]:
    """Unit Gaussians around a centre for each label."""
    rng = np.random.default_rng(seed)
    labels_N = rng.choice(len(centres_CD), sentences, p=shares)
    noise_ND = rng.normal(size=(sentences, centres_CD.shape[1]))
    return (centres_CD[labels_N] + noise_ND).astype(np.float32), labels_N


def test_two_labels_come_near_the_best_possible() -> None:
    """Two unit Gaussians at distance d: the best classifier is right with probability Φ(d / 2)."""
    centres_CD = np.zeros((2, 6))
    centres_CD[1, :2] = 2.4, -1.0
    best = norm.cdf(math.hypot(2.4, 1.0) / 2)
    found = probe(*planted(3000, centres_CD, 1), *planted(4000, centres_CD, 2))
    noise = 3 * math.sqrt(best * (1 - best) / 4000)
    assert best - 0.01 - noise < found.accuracy < best + noise
    assert best - 0.02 - noise < found.mixture_accuracy < best + noise
    # NMI of a symmetric channel with error 1 - best: 1 - H(error), in bits.
    error = 1 - best
    bits = 1 + error * math.log2(error) + best * math.log2(best)
    assert found.nmi == pytest.approx(bits, abs=0.04)
    assert found.majority == pytest.approx(0.5, abs=0.03)


def test_far_apart_labels_are_found_without_being_told() -> None:
    centres_CD = 12 * np.eye(5)
    found = probe(*planted(1000, centres_CD, 1), *planted(600, centres_CD, 2))
    assert (found.accuracy, found.mixture_accuracy) == (1.0, 1.0)
    assert found.nmi == pytest.approx(1.0)
    assert (found.train_sentences, found.test_sentences) == (1000, 600)


def test_covariances_that_overlap_are_told_apart_by_their_shape() -> None:
    """One label is a wide cloud around the narrow one of the other: no line parts them, a mixture does."""
    rng = np.random.default_rng(0)

    def cloud(sentences: int) -> tuple[Features, Labels]:
        labels_N = rng.integers(0, 2, sentences)
        scale_N1 = np.where(labels_N == 1, 6.0, 0.2)[:, None]
        return (scale_N1 * rng.normal(size=(sentences, 3))).astype(np.float32), labels_N

    found = probe(*cloud(2000), *cloud(2000))
    assert found.accuracy == pytest.approx(0.5, abs=0.06)
    assert found.mixture_accuracy > 0.99


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_pure_noise_knows_as_much_as_chance(scale: float) -> None:
    shares = (0.4, 0.3, 0.2, 0.1)
    train, test = (planted(2500, np.zeros((4, 8)), seed, shares) for seed in (1, 2))
    found = probe(scale * train[0], train[1], scale * test[0], test[1])
    assert found.majority == pytest.approx(0.4, abs=0.04)
    assert found.accuracy == pytest.approx(found.majority, abs=0.03)
    assert found.mixture_accuracy < 0.4 + 0.04
    assert found.nmi < 10 * 9 / (2 * 2500)


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_a_collapsed_latent_gives_the_majority_share(value: float) -> None:
    shares = (0.2, 0.7, 0.1)
    (_, train_labels_N), (_, test_labels_N) = (
        planted(count, np.zeros((3, 1)), seed, shares) for seed, count in enumerate((900, 500))
    )
    constant = [np.full((count, 16), value, dtype=np.float32) for count in (900, 500)]
    share = float((test_labels_N == 1).mean())
    for units in (16, 0):
        train_ND, test_ND = (features_ND[:, :units] for features_ND in constant)
        found = probe(train_ND, train_labels_N, test_ND, test_labels_N)
        assert (found.accuracy, found.majority, found.mixture_accuracy) == (share, share, share)
        assert found.nmi == 0.0


def test_one_label_is_known_without_a_latent() -> None:
    (train_ND, _), (test_ND, _) = (planted(50, np.zeros((1, 3)), seed) for seed in (1, 2))
    zeros = np.zeros(50, dtype=np.int64)
    found = probe(train_ND, zeros, test_ND, zeros)
    assert (found.accuracy, found.majority, found.mixture_accuracy) == (1.0, 1.0, 1.0)


def test_fewer_sentences_than_labels() -> None:
    features = np.eye(3, dtype=np.float32)
    found = probe(features, np.array([0, 4, 4]), features, np.array([4, 4, 0]))
    assert found.majority == pytest.approx(2 / 3)


def test_more_features_than_sentences_could_fill_covariances_with() -> None:
    centres_CD = np.zeros((4, 300))
    centres_CD[np.arange(4), np.arange(4)] = 30.0
    found = probe(*planted(400, centres_CD, 1), *planted(300, centres_CD, 2))
    assert found.mixture_accuracy == 1.0


def test_the_same_seed_gives_the_same_figures() -> None:
    train, test = (planted(400, np.eye(6)[:4] * 2, seed) for seed in (1, 2))
    assert probe(*train, *test, seed=3) == probe(*train, *test, seed=3)


def test_names_are_given_one_to_one() -> None:
    # Rows: component 0 holds 5 of label 0 and 4 of label 1; component 1 holds 4 of label 0 and none of 1.
    component_N = np.array([0] * 9 + [1] * 4)
    label_N = np.array([0] * 5 + [1] * 4 + [0] * 4)
    assert naming(component_N, label_N).tolist() == [1, 0]  # 4 + 4 fit, and not 5 + 0
    assert naming(np.array([0, 1, 2]), np.array([1, 0, 0])).tolist() in ([1, 0, -1], [1, -1, 0])


def test_metrics_have_their_names() -> None:
    features = np.eye(4, dtype=np.float32)
    labels_N = np.array([0, 1, 0, 1])
    assert set(probe(features, labels_N, features, labels_N).named()) == {
        *("probe/accuracy", "probe/majority", "probe/mixture_accuracy", "probe/nmi"),
        *("probe/train_sentences", "probe/test_sentences"),
    }


def test_of_a_single_label_nothing_is_known() -> None:
    features = np.zeros((8, 0), dtype=np.float32)
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    assert probe(features, labels, features, np.zeros(8, dtype=np.int64)).nmi == 0.0
