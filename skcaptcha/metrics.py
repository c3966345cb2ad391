"""Metrics of recognized texts, a report, curves and scorers.

Texts are compared after NFC normalization, so that the two spellings of an accented
letter are equal. A character is a Unicode code point. The edit distance is
Levenshtein's. Integers are taken as their decimal text, as the recognizer does. With
``case_sensitive=False`` texts are compared after Unicode's case folding;
``make_scorer(exact_match_score, case_sensitive=False)`` makes a scorer of it.
"""

from collections import Counter
from inspect import signature

import numpy as np
from rapidfuzz.distance import Levenshtein
from sklearn.metrics import make_scorer
from sklearn.utils.validation import column_or_1d

from skcaptcha._curves import (
    confidence_threshold,
    reliability_curve,
    risk_coverage_curve,
)
from skcaptcha._exact_match import (
    check_text_list,
    check_text_pairs,
    exact_match_score,
)
from skcaptcha._intervals import character_interval, describe_few, wilson_interval
from skcaptcha._validation import check_weights, is_missing, strip_text

__all__ = [
    "SCORERS",
    "character_accuracy_score",
    "character_accuracy_scorer",
    "character_confusion",
    "character_error_rate",
    "confidence_threshold",
    "exact_match_score",
    "exact_match_scorer",
    "mean_edit_distance",
    "normalized_edit_distance",
    "normalized_edit_distance_scorer",
    "recognition_report",
    "reliability_curve",
    "risk_coverage_curve",
]


def character_error_rate(y_true, y_pred, *, case_sensitive=True):
    """Total edit distance divided by the total number of true characters (CER).

    It may exceed 1. If all true texts are empty, it is the number of characters read.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    float
        From 0 (best), without an upper bound.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length.

    Examples
    --------
    >>> character_error_rate(["2b827", "x38fn"], ["2b827", "x88f"])
    0.2
    """
    y_true, y_pred = check_text_pairs(y_true, y_pred, case_sensitive)
    n_edits = sum(map(Levenshtein.distance, y_true, y_pred))
    return n_edits / max(sum(map(len, y_true)), 1)


def character_accuracy_score(y_true, y_pred, *, case_sensitive=True):
    """Return 1 minus the character error rate, or 0 if that is negative.

    Long texts count for more than short ones, and a missing first character is one
    error, unlike in the share of positions at which two texts agree.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    float
        From 0 to 1 (best).

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length.

    Examples
    --------
    >>> character_accuracy_score(["2b827", "x38fn"], ["2b827", "x88f"])
    0.8
    """
    error_rate = character_error_rate(y_true, y_pred, case_sensitive=case_sensitive)
    return max(0.0, 1.0 - error_rate)


def mean_edit_distance(y_true, y_pred, *, case_sensitive=True):
    """Mean edit distance between true and predicted texts.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    float
        Characters per text, from 0 (best).

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length.

    Examples
    --------
    >>> mean_edit_distance(["2b827", "x38fn"], ["2b827", "x88f"])
    1.0
    """
    texts = check_text_pairs(y_true, y_pred, case_sensitive)
    return float(np.mean(list(map(Levenshtein.distance, *texts))))


def normalized_edit_distance(y_true, y_pred, *, case_sensitive=True):
    """Mean of each text's edit distance divided by the longer text's length.

    Two empty texts have the distance 0.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    float
        From 0 (best) to 1.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length.

    Examples
    --------
    >>> normalized_edit_distance(["2b827", "x38fn"], ["2b827", "x88f"])
    0.2
    """
    texts = check_text_pairs(y_true, y_pred, case_sensitive)
    return float(np.mean(list(map(Levenshtein.normalized_distance, *texts))))


def _count_pairs(y_true, y_pred):
    """Count pairs of true and read characters in the alignments; ``""`` is a gap."""
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


def character_confusion(y_true, y_pred, *, labels=None, case_sensitive=True):
    """Confusion matrix of characters, counted along the shortest edit alignments.

    Parameters
    ----------
    y_true, y_pred : list, tuple, 1-D array or Series of str
        True and predicted texts, at least one; a text may be empty.
    labels : iterable of str, default=None
        Characters to count, in this order; by default all that occur, sorted.
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    matrix : int array of shape (n_labels, n_labels)
        Rows are true characters, columns are predicted ones.
    labels : list of str
        Characters of the rows and columns. The last one is the empty string: its row
        counts insertions, its column deletions.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length, or `labels` names a character twice.

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
    counts = _count_pairs(*check_text_pairs(y_true, y_pred, case_sensitive))
    if labels is None:
        labels = sorted({character for pair in counts for character in pair} - {""})
    else:
        labels = check_text_list(list(labels), "labels", case_sensitive)
        labels = [c for c in labels if c]  # the empty one comes last
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
    """Format rows of cells, the first column aligned left, the others right."""
    rows = [[str(cell) for cell in row] for row in rows]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        (
            row[0].ljust(first)
            + "".join(f"  {c:>{w}}" for c, w in zip(row[1:], others, strict=True))
        ).rstrip()
        for row in rows
    )


def _score(y_true, y_pred):
    """Return the two shares of the report, each with its interval."""
    exact = exact_match_score(y_true, y_pred)
    edits = list(map(Levenshtein.distance, y_true, y_pred))
    return {
        "exact_match": exact,
        "exact_match_interval": wilson_interval(exact, len(y_true)),
        "character_accuracy": character_accuracy_score(y_true, y_pred),
        "character_accuracy_interval": character_interval(
            edits, list(map(len, y_true))
        ),
    }


def recognition_report(
    y_true,
    y_pred,
    *,
    digits=4,
    n_confusions=10,
    output_dict=False,
    case_sensitive=True,
):
    """Report of the metrics, over all texts, by length and by character.

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
    case_sensitive : bool, default=True
        Whether "a" and "A" differ. If False, texts are compared after case folding.

    Returns
    -------
    str or dict
        The dictionary has the keys ``n_samples``, ``exact_match``,
        ``character_accuracy``, ``character_error_rate``, ``mean_edit_distance``,
        ``normalized_edit_distance``; ``exact_match_interval`` and
        ``character_accuracy_interval``, the lowest and highest of their 95 % intervals;
        ``per_length``, by length of the true text, and ``per_character``, each a
        dictionary of dictionaries; and ``confusions``, a list of
        ``(true, read, count)`` in which ``""`` is a gap. Precision and recall are 0
        where they are 0 divided by 0. The text says so if there are fewer than 30
        samples.

    Raises
    ------
    TypeError
        If `y_true` or `y_pred` is not a sequence of str.
    ValueError
        If they are empty or differ in length.

    Notes
    -----
    The interval is where the score on very many such images lies, in 95 % of tests. It
    supposes that the images were drawn at random and not trained on. That of the exact
    match is Wilson's [1]_. That of the character accuracy is Wilson's of an effective
    number of characters, as errors come several to an image [2]_.

    References
    ----------
    .. [1] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
       Inference", Journal of the American Statistical Association 22, 1927.
    .. [2] N. Dean, M. Pagano, "Evaluating Confidence Interval Methods for Binomial
       Proportions in Clustered Surveys", Journal of Survey Statistics and Methodology
       3(4), 2015.

    Examples
    --------
    >>> print(recognition_report(["ab", "c"], ["ab", "b"], digits=2))
    samples                      2  95 % interval
    exact match               0.50   0.09 to 0.91
    character accuracy        0.67   0.16 to 0.95
    character error rate      0.33
    mean edit distance        0.50
    normalized edit distance  0.50
    <BLANKLINE>
    Only 2 images were tested: the true exact match may be anything from 0.09 to 0.91.
    <BLANKLINE>
    length  exact match  95 % interval  char. accuracy  95 % interval  support
    1              0.00   0.00 to 0.79            0.00   0.00 to 0.79        1
    2              1.00   0.21 to 1.00            1.00   0.21 to 1.00        1
    <BLANKLINE>
    character  precision  recall  support
    'a'             1.00    1.00        1
    'b'             0.50    1.00        1
    'c'             0.00    0.00        1
    <BLANKLINE>
    most frequent confusions  count
    'c' read as 'b'               1
    """
    y_true, y_pred = check_text_pairs(y_true, y_pred, case_sensitive)
    pairs = list(zip(y_true, y_pred, strict=True))
    per_length = {}
    for length in sorted(set(map(len, y_true))):
        texts = tuple(zip(*(p for p in pairs if len(p[0]) == length), strict=True))
        per_length[length] = {**_score(*texts), "support": len(texts[0])}
    counts = _count_pairs(y_true, y_pred)
    n_true, n_read = Counter(), Counter()
    for (true, read), count in counts.items():
        n_true[true] += count
        n_read[read] += count
    confusions = [(*pair, n) for pair, n in counts.items() if pair[0] != pair[1]]
    confusions.sort(key=lambda item: (-item[2], item[0], item[1]))
    report = {
        "n_samples": len(y_true),
        **_score(y_true, y_pred),
        "character_error_rate": character_error_rate(y_true, y_pred),
        "mean_edit_distance": mean_edit_distance(y_true, y_pred),
        "normalized_edit_distance": normalized_edit_distance(y_true, y_pred),
        "per_length": per_length,
        "per_character": {
            character: {
                "precision": counts[character, character] / max(n_read[character], 1),
                "recall": counts[character, character] / max(n_true[character], 1),
                "support": n_true[character],
            }
            for character in sorted((n_true.keys() | n_read.keys()) - {""})
        },
        "confusions": confusions[:n_confusions],
    }
    return report if output_dict else _format_report(report, digits)


def _format_report(report, digits):
    """Format the dictionary of `recognition_report` as text."""

    def format_cell(value):
        if isinstance(value, tuple):
            return " to ".join(map(format_cell, value))
        return f"{value:.{digits}f}" if isinstance(value, float) else value

    def format_row(name, values):
        return name, *map(format_cell, values)

    title = "95 % interval"
    metrics = [k for k, v in report.items() if isinstance(v, float)]
    tables = [
        [("samples", report["n_samples"], title)]
        + [
            format_row(
                k.replace("_", " "), [report[k], report.get(f"{k}_interval", "")]
            )
            for k in metrics
        ],
        [("length", "exact match", title, "char. accuracy", title, "support")]
        + [format_row(n, row.values()) for n, row in report["per_length"].items()],
        [("character", "precision", "recall", "support")]
        + [
            format_row(repr(character), row.values())
            for character, row in report["per_character"].items()
        ],
        [("most frequent confusions", "count")],
    ]
    for true, read, count in report["confusions"]:
        if not read:
            name = f"{true!r} not read"
        elif not true:
            name = f"{read!r} read where there is none"
        else:
            name = f"{true!r} read as {read!r}"
        tables[-1].append((name, count))
    parts = [_table(rows) for rows in tables if len(rows) > 1]
    few = describe_few(report["n_samples"], report["exact_match_interval"])
    return "\n\n".join([parts[0], few, *parts[1:]] if few else parts)


class _OfLabeled:
    """A metric of the samples whose true text is there, not None or NaN.

    Others are in the test folds of a cross-validation of a `SelfTrainingRecognizer`.
    """

    def __init__(self, metric):
        self.metric, self.__name__ = metric, metric.__name__
        # By which scikit-learn tells whether weights of samples can be handed on.
        self.__signature__ = signature(metric)

    def __call__(self, y_true, y_pred, **options):
        y_true = _strip_labels(y_true)
        if isinstance(y_true, str) or not any(map(is_missing, y_true)):
            return self.metric(y_true, y_pred, **options)
        pairs = list(zip(y_true, y_pred, strict=True))
        kept = [i for i, (text, _) in enumerate(pairs) if not is_missing(text)]
        if not kept:
            raise ValueError(
                f"None of {len(pairs)} samples has a label, so that nothing can be "
                "compared; pass folds as `cv` that have labels in each test part."
            )
        weights = check_weights(options.pop("sample_weight", None), len(pairs))
        if weights is not None:
            options["sample_weight"] = weights[kept]
        y_true, y_pred = zip(*(pairs[i] for i in kept), strict=True)
        return self.metric(y_true, y_pred, **options)


def _strip_labels(y):
    """Return labels as a fit and `score` take them: a column, and blanks at edges."""
    if isinstance(y, str) or not hasattr(y, "__len__"):
        return y
    if getattr(y, "ndim", 1) == 2:
        y = column_or_1d(np.asarray(y), warn=True)
    return [strip_text(text) if isinstance(text, str) else text for text in y]


exact_match_scorer = make_scorer(_OfLabeled(exact_match_score))
character_accuracy_scorer = make_scorer(_OfLabeled(character_accuracy_score))
normalized_edit_distance_scorer = make_scorer(
    _OfLabeled(normalized_edit_distance), greater_is_better=False
)
SCORERS = {
    "exact_match": exact_match_scorer,
    "character_accuracy": character_accuracy_scorer,
    "normalized_edit_distance": normalized_edit_distance_scorer,
}
