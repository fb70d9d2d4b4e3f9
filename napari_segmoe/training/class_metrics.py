"""How good class probabilities are: right, well ranked, and honest.

Probabilities are (N, C) arrays whose rows sum to 1, truth is (N,) class indices.
A figure that the data cannot give (one class only, no rows) is NaN.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import rankdata

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


def accuracy(probabilities: Floats, truth: Indices) -> float:
    """Return the fraction of rows whose most probable class is the true one."""
    if truth.size == 0:
        return float("nan")
    return float(np.mean(probabilities.argmax(1) == truth))


def balanced_accuracy(probabilities: Floats, truth: Indices) -> float:
    """Average, over the classes that occur, the fraction of rows that are right."""
    right = probabilities.argmax(1) == truth
    shares = [right[truth == index].mean() for index in np.unique(truth)]
    return float(np.mean(shares)) if shares else float("nan")


def macro_f1(probabilities: Floats, truth: Indices) -> float:
    """Average the F1 of the classes that occur in the truth or the answers."""
    answers = probabilities.argmax(1)
    scores = []
    for index in np.union1d(answers, truth):
        hits = np.sum((answers == index) & (truth == index))
        scores.append(2 * hits / (np.sum(answers == index) + np.sum(truth == index)))
    return float(np.mean(scores)) if scores else float("nan")


def binary_auc(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve by ranks; ties count one half.

    Parameters
    ----------
    scores : (N,) float
        Higher means more likely positive.
    positive : (N,) bool
        The truth.

    Returns
    -------
    float
        Chance that a random positive scores above a random negative; NaN where
        one of the two is absent.
    """
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = rankdata(scores)[positive].sum()
    pairs_won = rank_sum - n_positive * (n_positive + 1) / 2  # Mann-Whitney U
    return float(pairs_won / (n_positive * n_negative))


def auc(probabilities: Floats, truth: Indices) -> float:
    """Compute the AUC: of the second class for two classes, else macro.

    Parameters
    ----------
    probabilities : (N, C) float
        Rows sum to 1.
    truth : (N,) int
        Class indices.

    Returns
    -------
    float
        For C = 2 the AUC of class 1; for more the plain mean of the one-vs-rest
        AUCs of the classes that occur. NaN where fewer than two classes occur.
    """
    if probabilities.shape[1] == 2:
        return binary_auc(probabilities[:, 1], truth == 1)
    present = np.unique(truth)
    if present.size < 2:
        return float("nan")
    return float(
        np.mean([binary_auc(probabilities[:, k], truth == k) for k in present])
    )


def expected_calibration_error(
    probabilities: Floats, truth: Indices, *, bins: int = 15
) -> float:
    """Compare stated confidence with accuracy, in bins of equal width.

    Parameters
    ----------
    probabilities : (N, C) float
        Rows sum to 1.
    truth : (N,) int
        Class indices.
    bins : int
        Number of bins of the confidence between 0 and 1.

    Returns
    -------
    float
        Mean of |accuracy - confidence| over bins, weighted by their counts.
    """
    if truth.size == 0:
        return float("nan")
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / truth.size)


def brier_score(probabilities: Floats, truth: Indices) -> float:
    """Average the squared distance to the one-hot truth, summed over classes."""
    if truth.size == 0:
        return float("nan")
    one_hot = np.eye(probabilities.shape[1])[truth]
    return float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))


def accuracy_at_coverage(
    probabilities: Floats, truth: Indices, coverages: Sequence[float] = (1.0, 0.8, 0.6)
) -> dict[str, float]:
    """Measure accuracy on the most confident part of the answers.

    Parameters
    ----------
    probabilities : (N, C) float
        Rows sum to 1.
    truth : (N,) int
        Class indices.
    coverages : sequence of float
        Fractions of the rows to keep, in (0, 1].

    Returns
    -------
    dict of str to float
        Accuracy by coverage in per cent, such as ``{"80": 0.93}``; at least one
        row is kept.
    """
    order = np.argsort(-probabilities.max(1), kind="stable")
    result = {}
    for coverage in coverages:
        kept = order[: max(1, round(coverage * truth.size))]
        result[f"{100 * coverage:g}"] = accuracy(probabilities[kept], truth[kept])
    return result


def fit_temperature(logits: Floats, truth: Indices) -> float:
    """Find the temperature that makes held-out probabilities most honest.

    Parameters
    ----------
    logits : (N, C) float
        Unnormalised scores on validation data.
    truth : (N,) int
        Class indices.

    Returns
    -------
    float
        T between 0.05 and 20 that minimises the mean negative log-likelihood of
        ``softmax(logits / T)``; 1 where there is no data.
    """
    if truth.size == 0:
        return 1.0
    rows = np.arange(truth.size)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return -float(np.mean(log_softmax(scaled, axis=1)[rows, truth]))

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))
