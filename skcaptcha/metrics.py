"""How well texts were read: metrics, a report, and scorers at the foot.

Every metric compares texts after NFC normalization, so that the two spellings of an
accented letter are equal, and takes a Unicode code point for a character. The edit
distance is Levenshtein's: insertions, deletions and substitutions cost 1 each.
Integers among the texts are read as their decimal text, as the recognizer does.
"""

import unicodedata
from collections import Counter
from numbers import Integral

import numpy as np
from rapidfuzz.distance import Levenshtein
from sklearn.metrics import make_scorer

__all__ = [
    "SCORERS",
    "character_accuracy_score",
    "character_accuracy_scorer",
    "character_confusion",
    "character_error_rate",
    "exact_match_score",
    "exact_match_scorer",
    "mean_edit_distance",
    "normalized_edit_distance",
    "normalized_edit_distance_scorer",
    "recognition_report",
    "reliability_curve",
    "risk_coverage_curve",
]


def _is_integer(value):
    if isinstance(value, (float, np.floating)):
        return value % 1 == 0  # as the tables of scikit-learn have them
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))


def _check_list(texts, name):
    """List of the NFC forms of `texts`; errors call them `name`."""
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__"):
        raise TypeError(
            f"{name}={texts!r} is {type(texts).__name__}; pass a list, 1-D array or "
            "Series of str. Wrap a single text in a list."
        )
    if getattr(texts, "ndim", 1) != 1:
        raise ValueError(f"{name} has {texts.ndim} dimensions; pass a 1-D array.")
    # A fit reads integers as their decimal text, so they are compared as that.
    texts = [str(int(text)) if _is_integer(text) else text for text in texts]
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{name}[{i}]={text!r} is {type(text).__name__}, not str; convert it, "
                "or drop the sample if it has no text."
            )
    return [unicodedata.normalize("NFC", text) for text in texts]


def _check_texts(y_true, y_pred):
    y_true, y_pred = _check_list(y_true, "y_true"), _check_list(y_pred, "y_pred")
    if len(y_true) != len(y_pred):
        raise ValueError(
            f"y_true has {len(y_true)} texts and y_pred has {len(y_pred)}; pass one "
            "prediction for each true text."
        )
    if not y_true:
        raise ValueError("y_true and y_pred are empty; pass at least one text each.")
    return y_true, y_pred


def _edit_distances(y_true, y_pred):
    pairs = zip(y_true, y_pred, strict=True)
    return np.array([Levenshtein.distance(true, pred) for true, pred in pairs])


def exact_match_score(y_true, y_pred, *, normalize=True, sample_weight=None):
    """Fraction of texts that were read without any error.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    normalize : bool, default=True
        If False, return the (weighted) number of such texts instead.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0.

    Returns
    -------
    float
        From 0 to 1 (best), or a number of samples.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length, or the weights do not fit them.

    Examples
    --------
    >>> exact_match_score(["2b827", "x38fn"], ["2b827", "x38f"])
    0.5
    """
    y_true, y_pred = _check_texts(y_true, y_pred)
    matches = [true == pred for true, pred in zip(y_true, y_pred, strict=True)]
    weights = np.ones(len(matches)) if sample_weight is None else sample_weight
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(matches),):
        raise ValueError(
            f"sample_weight has shape {weights.shape}; pass one weight for each of the "
            f"{len(matches)} samples."
        )
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if wrong.size:
        raise ValueError(
            f"sample_weight holds {wrong[0]}; weights are finite and at least 0."
        )
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if not 0 < total < np.inf:
        raise ValueError(
            f"sample_weight sums to {total:g}; weigh some sample above 0, and none by "
            "so much that the sum overflows."
        )
    # Not weights[matches].sum(), which rounding may lift above the sum of all.
    score = float((weights * matches).sum())
    return score / total if normalize else score


def character_error_rate(y_true, y_pred):
    """Total edit distance divided by the total number of true characters (CER).

    It exceeds 1 where more characters were read in error than there are. Where the
    true texts hold no character at all, it is the number of characters read.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.

    Returns
    -------
    float
        From 0 (best), without an upper bound.

    Examples
    --------
    >>> character_error_rate(["2b827", "x38fn"], ["2b827", "x88f"])
    0.2
    """
    y_true, y_pred = _check_texts(y_true, y_pred)
    n_characters = sum(map(len, y_true))
    return float(_edit_distances(y_true, y_pred).sum() / max(n_characters, 1))


def character_accuracy_score(y_true, y_pred):
    """Return 1 minus the character error rate, or 0 where that is negative.

    The literature calls several things character accuracy, such as the share of
    positions at which two texts agree, or a mean over the texts. Here it is 1 minus
    the total edit distance divided by the total number of true characters: a long
    text counts for more than a short one, and a missing first character is one error.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.

    Returns
    -------
    float
        From 0 to 1 (best).

    Examples
    --------
    >>> character_accuracy_score(["2b827", "x38fn"], ["2b827", "x88f"])
    0.8
    """
    return max(0.0, 1.0 - character_error_rate(y_true, y_pred))


def mean_edit_distance(y_true, y_pred):
    """Mean number of edits between a true text and what was read.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.

    Returns
    -------
    float
        Characters per text, from 0 (best).

    Examples
    --------
    >>> mean_edit_distance(["2b827", "x38fn"], ["2b827", "x88f"])
    1.0
    """
    return float(_edit_distances(*_check_texts(y_true, y_pred)).mean())


def normalized_edit_distance(y_true, y_pred):
    """Mean of each text's edit distance divided by the longer text's length.

    Two empty texts have the distance 0.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.

    Returns
    -------
    float
        From 0 (best) to 1.

    Examples
    --------
    >>> normalized_edit_distance(["2b827", "x38fn"], ["2b827", "x88f"])
    0.2
    """
    pairs = zip(*_check_texts(y_true, y_pred), strict=True)
    return float(np.mean([Levenshtein.normalized_distance(*pair) for pair in pairs]))


def _count_pairs(y_true, y_pred):
    """Count (true, read) characters of the alignments; a gap is ``""``."""
    counts = Counter()
    for true, pred in zip(y_true, y_pred, strict=True):
        for tag, i, i_end, j, j_end in Levenshtein.opcodes(true, pred):
            if tag == "insert":
                counts.update(("", read) for read in pred[j:j_end])
            elif tag == "delete":
                counts.update((character, "") for character in true[i:i_end])
            else:  # equal or replace: as many characters on either side
                counts.update(zip(true[i:i_end], pred[j:j_end], strict=True))
    return counts


def character_confusion(y_true, y_pred, *, labels=None):
    """Count which character was read as which, along the best edit alignments.

    Where several alignments are equally short, one of them is counted.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    labels : iterable of str, default=None
        Characters to count, in this order; pairs with another one are left out. By
        default all that occur, sorted.

    Returns
    -------
    matrix : int array of shape (n_labels, n_labels)
        Rows are true characters, columns are what was read.
    labels : list of str
        Characters of the rows and columns. The last one is the empty string: its row
        counts insertions, its column deletions.

    Examples
    --------
    >>> matrix, labels = character_confusion(["ab", "ab"], ["bb", "a"])
    >>> labels
    ['a', 'b', '']
    >>> matrix
    array([[1, 1, 0],
           [0, 1, 1],
           [0, 0, 0]])
    """
    counts = _count_pairs(*_check_texts(y_true, y_pred))
    if labels is None:
        labels = sorted({character for pair in counts for character in pair} - {""})
    else:
        labels = [unicodedata.normalize("NFC", label) for label in labels if label]
        wrong = [c for c, n in Counter(labels).items() if n > 1 or len(c) > 1]
        if wrong:
            raise ValueError(
                f"`labels` holds {wrong[0]!r} twice or as more than one code point; "
                "name each character once."
            )
    labels = [*labels, ""]
    index = {label: i for i, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for (true, read), count in counts.items():
        if true in index and read in index:
            matrix[index[true], index[read]] = count
    return matrix, labels


def _table(rows):
    """Text of `rows`: the first column to the left, the others to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        row[0].ljust(first)
        + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], others, strict=True))
        for row in rows
    )


def recognition_report(y_true, y_pred, *, digits=4, n_confusions=10, output_dict=False):
    """Report how well texts were read, over all and by length and by character.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    digits : int, default=4
        Decimals in the text; the dictionary holds unrounded numbers.
    n_confusions : int, default=10
        How many of the most frequent confusions to list.
    output_dict : bool, default=False
        If True, return a dictionary.

    Returns
    -------
    str or dict
        The dictionary has the keys ``n_samples``, ``exact_match``,
        ``character_accuracy``, ``character_error_rate``, ``mean_edit_distance``,
        ``normalized_edit_distance``; ``per_length``, by length of the true text, and
        ``per_character``, each a dictionary of dictionaries; and ``confusions``, a
        list of ``(true, read, count)`` in which ``""`` is a gap. A precision or
        recall of 0 out of 0 characters is 0.

    Examples
    --------
    >>> print(recognition_report(["2b8", "x3"], ["2b8", "x8"], digits=2))
    samples                      2
    exact match               0.50
    character accuracy        0.80
    character error rate      0.20
    mean edit distance        0.50
    normalized edit distance  0.25
    <BLANKLINE>
    length  exact match  char. accuracy  support
    2              0.00            0.50        1
    3              1.00            1.00        1
    <BLANKLINE>
    character  precision  recall  support
    '2'             1.00    1.00        1
    '3'             0.00    0.00        1
    '8'             0.50    1.00        1
    'b'             1.00    1.00        1
    'x'             1.00    1.00        1
    <BLANKLINE>
    most frequent confusions  count
    '3' read as '8'               1
    """
    y_true, y_pred = _check_texts(y_true, y_pred)
    overall = {
        "exact_match": exact_match_score(y_true, y_pred),
        "character_accuracy": character_accuracy_score(y_true, y_pred),
        "character_error_rate": character_error_rate(y_true, y_pred),
        "mean_edit_distance": mean_edit_distance(y_true, y_pred),
        "normalized_edit_distance": normalized_edit_distance(y_true, y_pred),
    }
    by_length = {}
    for true, pred in zip(y_true, y_pred, strict=True):
        by_length.setdefault(len(true), []).append((true, pred))
    per_length = {}
    for length, pairs in sorted(by_length.items()):
        per_length[length] = {
            "exact_match": exact_match_score(*zip(*pairs, strict=True)),
            "character_accuracy": character_accuracy_score(*zip(*pairs, strict=True)),
            "support": len(pairs),
        }

    counts = _count_pairs(y_true, y_pred)
    n_true, n_read = Counter(), Counter()
    for (true, read), count in counts.items():
        n_true[true] += count
        n_read[read] += count
    per_character = {
        character: {
            "precision": counts[character, character] / max(n_read[character], 1),
            "recall": counts[character, character] / max(n_true[character], 1),
            "support": n_true[character],
        }
        for character in sorted((n_true.keys() | n_read.keys()) - {""})
    }
    confusions = [(*pair, n) for pair, n in counts.items() if pair[0] != pair[1]]
    confusions.sort(key=lambda item: (-item[2], item[0], item[1]))
    confusions = confusions[:n_confusions]

    if output_dict:
        return {
            "n_samples": len(y_true),
            **overall,
            "per_length": per_length,
            "per_character": per_character,
            "confusions": confusions,
        }

    def rounded(values):
        return [v if isinstance(v, int) else f"{v:.{digits}f}" for v in values]

    totals = zip(overall, rounded(overall.values()), strict=True)
    sections = [
        _table(
            [("samples", len(y_true)), *((k.replace("_", " "), v) for k, v in totals)]
        ),
        _table(
            [("length", "exact match", "char. accuracy", "support")]
            + [(n, *rounded(row.values())) for n, row in per_length.items()]
        ),
    ]
    if per_character:
        sections.append(
            _table(
                [("character", "precision", "recall", "support")]
                + [
                    (repr(c), *rounded(row.values()))
                    for c, row in per_character.items()
                ]
            )
        )
    if confusions:
        rows = [("most frequent confusions", "count")]
        for true, read, count in confusions:
            if not read:
                rows.append((f"{true!r} not read", count))
            elif not true:
                rows.append((f"{read!r} read where there is none", count))
            else:
                rows.append((f"{true!r} read as {read!r}", count))
        sections.append(_table(rows))
    return "\n\n".join(sections)


def reliability_curve(is_right, confidence, *, n_bins=10, strategy="uniform"):
    """Exact match and mean confidence of texts in bins of their confidence [1]_.

    Parameters
    ----------
    is_right : array-like of bool, shape (n_samples,)
        Whether each text is right.
    confidence : array-like of shape (n_samples,)
        Confidence in each, from 0 to 1.
    n_bins : int, default=10
        Number of bins; fewer come back where quantiles coincide.
    strategy : {"uniform", "quantile"}, default="uniform"
        Whether bins are equally wide or hold equally many texts.

    Returns
    -------
    edges : ndarray of shape (n_bins + 1,)
        Ends of the bins. A bin holds its lower end, the last one both.
    counts : ndarray of shape (n_bins,)
        Texts in each bin.
    prob_true, prob_pred : ndarray of shape (n_bins,)
        Exact match and mean confidence, NaN where a bin is empty.

    References
    ----------
    .. [1] A. Niculescu-Mizil, R. Caruana, "Predicting Good Probabilities with
       Supervised Learning", ICML 2005, section 4.

    Examples
    --------
    >>> edges, counts, prob_true, prob_pred = reliability_curve(
    ...     [True, False, True, True], [0.5, 0.7, 0.8, 1.0], n_bins=2
    ... )
    >>> counts.tolist(), prob_true.tolist(), prob_pred.tolist()
    ([0, 4], [nan, 0.75], [nan, 0.75])
    """
    is_right, confidence = np.asarray(is_right), np.asarray(confidence)
    edges = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile":
        edges = np.quantile(confidence, edges)
        edges[0], edges[-1] = 0, 1
        edges = np.unique(edges)
    places = np.searchsorted(edges[1:-1], confidence, side="right")
    counts = np.bincount(places, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        prob_true = np.bincount(places, is_right, len(counts)) / counts
        prob_pred = np.bincount(places, confidence, len(counts)) / counts
    return edges, counts, prob_true, prob_pred


def risk_coverage_curve(is_right, confidence):
    """Share of wrong texts among those that a threshold accepts [1]_.

    Parameters
    ----------
    is_right : array-like of bool, shape (n_samples,)
        Whether each text is right.
    confidence : array-like of shape (n_samples,)
        Confidence in each. Texts of equal confidence are accepted together.

    Returns
    -------
    coverage : ndarray
        Share of the texts with at least the confidence of each threshold.
    risk : ndarray
        Share of these that are wrong.
    thresholds : ndarray
        Each confidence that occurs, falling.

    References
    ----------
    .. [1] Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural
       Networks", NeurIPS 2017.

    Examples
    --------
    >>> coverage, risk, thresholds = risk_coverage_curve([True, False], [0.9, 0.6])
    >>> coverage.tolist(), risk.tolist(), thresholds.tolist()
    ([0.5, 1.0], [0.0, 0.5], [0.9, 0.6])
    """
    is_right, confidence = np.asarray(is_right, dtype=bool), np.asarray(confidence)
    order = np.argsort(-confidence, kind="stable")
    n_accepted = np.arange(1, len(order) + 1)
    n_wrong = np.cumsum(~is_right[order])
    falling = confidence[order]
    last = np.append(falling[1:] != falling[:-1], True)  # of those that are equal
    n_accepted, n_wrong = n_accepted[last], n_wrong[last]
    return n_accepted / len(order), n_wrong / n_accepted, falling[last]


exact_match_scorer = make_scorer(exact_match_score)
character_accuracy_scorer = make_scorer(character_accuracy_score)
normalized_edit_distance_scorer = make_scorer(
    normalized_edit_distance, greater_is_better=False
)
SCORERS = {
    "exact_match": exact_match_scorer,
    "character_accuracy": character_accuracy_scorer,
    "normalized_edit_distance": normalized_edit_distance_scorer,
}
