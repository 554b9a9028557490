"""Reads from the posterior means what the latent knows of a corpus's labels.

Two readings of the posterior means μ of the active units: a linear classifier, which learns the training
labels, and a Gaussian mixture with a component a label, fitted by EM to μ alone.

Shape suffixes: N sentences, D features, C labels, K components.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from orchestrator.examination.probe import Probe

MIXTURE_STARTS = 5
LEAST_VARIANCE = 1e-3
"""Added to the variances of the mixture; a prior of variance 1 is the scale, an active unit has 0.01."""
SENTENCES_A_PARAMETER = 10
"""Full covariances need so many sentences for each component and feature; else they are diagonal."""

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def probe(
    train_ND: Features, train_labels_N: Labels, test_ND: Features, test_labels_N: Labels, *, seed: int = 0
) -> Probe:
    """Fits classifier and mixture on train and judges them on test; labels are 0 … C − 1.

    A latent that says the same of every sentence, or has no active unit (D = 0), is no error: the classifier
    then says the most frequent label, and the mixture puts all sentences into one component.
    """
    counts_C = np.bincount(train_labels_N)
    majority = int(counts_C.argmax())
    fitted_N, component_N = _components(train_ND, test_ND, len(counts_C), seed)
    name_K = naming(fitted_N, train_labels_N)
    return Probe(
        accuracy=float((_classified(train_ND, train_labels_N, test_ND, seed) == test_labels_N).mean()),
        majority=float((test_labels_N == majority).mean()),
        mixture_accuracy=float((name_K[component_N] == test_labels_N).mean()),
        nmi=_nmi(test_labels_N, component_N),
        train_sentences=len(train_ND),
        test_sentences=len(test_ND),
    )


def naming(component_N: Labels, label_N: Labels) -> Labels:
    """name_K: a label for each component, no two the same, so that the most sentences have their own label's;
    −1 for components beyond the number of labels (Hungarian method)."""
    table_KC = np.zeros((component_N.max() + 1, label_N.max() + 1), dtype=np.int64)
    np.add.at(table_KC, (component_N, label_N), 1)
    component, label = linear_sum_assignment(table_KC, maximize=True)
    name_K = np.full(len(table_KC), -1)
    name_K[component] = label
    return name_K


def _classified(train_ND: Features, labels_N: Labels, test_ND: Features, seed: int) -> Labels:
    if not _varies(train_ND) or len(np.unique(labels_N)) == 1:
        return np.full(len(test_ND), np.bincount(labels_N).argmax())
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        said_N: Labels = classifier.fit(train_ND, labels_N).predict(test_ND)
    return said_N


def _components(train_ND: Features, test_ND: Features, components: int, seed: int) -> tuple[Labels, Labels]:
    """The most probable component of each sentence of train and of test."""
    sentences, features = train_ND.shape
    if sentences < components or not _varies(train_ND):
        return np.zeros(sentences, dtype=np.int64), np.zeros(len(test_ND), dtype=np.int64)
    full = sentences >= SENTENCES_A_PARAMETER * components * features
    mixture = GaussianMixture(
        components,
        covariance_type="full" if full else "diag",
        n_init=MIXTURE_STARTS,
        reg_covar=LEAST_VARIANCE,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as with fewer distinct points than components
        mixture.fit(train_ND.astype(np.float64))
    return mixture.predict(train_ND.astype(np.float64)), mixture.predict(test_ND.astype(np.float64))


def _nmi(label_N: Labels, component_N: Labels) -> float:
    if len(np.unique(label_N)) == 1:  # sklearn calls two constants alike
        return 0.0
    return float(normalized_mutual_info_score(label_N, component_N))


def _varies(features_ND: Features) -> bool:
    return bool(np.ptp(features_ND, axis=0).any())
