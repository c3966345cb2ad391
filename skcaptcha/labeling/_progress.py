"""What was reached, what more labels would bring, and when to stop."""

import math

from skcaptcha._intervals import FEW_IMAGES
from skcaptcha._power_law import fit_power_law
from skcaptcha._validation import count

LEAST_LABELS = 8
"""Labels to learn from at the least, but for those held out."""

# A hundred labels that bring less than this are not worth an hour.
_WORTHWHILE = 0.005
_MORE = 100
_LEAST_ROUNDS = 3


def predict_gain(rounds):
    """Return what a hundred more labels would bring, or None after too few rounds.

    Parameters
    ----------
    rounds : list of dict
        Each with "n_labels", "score" and "n_tested".

    Returns
    -------
    dict or None
        "gain" and "score", the gain and the score of a hundred more, each with its
        lowest and highest value: three floats.
    """
    used = [r for r in rounds if r["n_labels"] and r.get("n_tested")]
    sizes, scores, n_tested = (
        [r[name] for r in used] for name in ("n_labels", "score", "n_tested")
    )
    if len(set(sizes)) < _LEAST_ROUNDS:
        return None
    law = fit_power_law(sizes, scores, n_tested)
    gain, gains = law.predict_gain(sizes[-1], _MORE, return_interval=True)
    score, ends = law.predict(sizes[-1] + _MORE, return_interval=True)
    return {"gain": _floats(gain, gains), "score": _floats(score, ends)}


def advise(rounds, n_left, n_skipped=0, n_labeled=LEAST_LABELS):
    """Say how well it reads by now, what more labels would bring, and when to stop.

    Parameters
    ----------
    rounds : list of dict
        What the rounds of learning found, oldest first; the first one, of 0 labels, is
        of the reader that it began with.
    n_left, n_skipped, n_labeled : int
        Images without an answer, skipped ones, and those with a label.

    Returns
    -------
    dict
        ``stop``, whether to; ``now`` and ``next``, texts; ``expected``, what
        `predict_gain` returns.
    """
    tested = [r for r in rounds if r.get("n_tested")]
    found = {"stop": False, "now": _describe(tested), "expected": None}
    if not n_left and n_labeled < LEAST_LABELS:
        few = f"{count(n_labeled, 'label')} of {LEAST_LABELS} that it takes to learn"
        more = "Answer those that were skipped." if n_skipped else "Add images."
        return {**found, "next": f"No image is left, and there is {few}. {more}"}
    if not n_left and n_skipped:
        hint = (
            f"All others have an answer; {count(n_skipped, 'image')} skipped. Answer "
            "those that you can, then save the reader."
        )
        return {**found, "stop": True, "next": hint}
    if not n_left:
        done = "Every image has an answer. Save the reader; you are done."
        return {**found, "stop": True, "next": done}
    expected = predict_gain(tested)
    if expected is None:
        hint = "After three rounds of learning it says what more labels would bring."
        return {**found, "next": hint}
    found["expected"] = expected
    gain, low, high = expected["gain"]
    reached = expected["score"][0]
    # By chance more may have been read of the last images than the curve says.
    end = f", to {_percent(reached)}" if reached >= tested[-1]["score"] else ""
    more = (
        f"A hundred more labels would probably bring {100 * gain:.1f} points "
        f"({100 * low:.1f} to {100 * high:.1f}){end}."
    )
    if tested[-1]["n_tested"] < FEW_IMAGES:
        hint = f"Too few images are tested to say when to stop. {more}"
        return {**found, "next": hint}
    return {**found, "stop": gain < _WORTHWHILE, "next": more}


def _describe(tested):
    if not tested:
        return "Nothing has been tested yet: it needs a few labels of images held out."
    last = tested[-1]
    return (
        f"It reads {_percent(last['score'])} of the images that it has not learned "
        f"from ({_percent(last['low'])} to {_percent(last['high'])}, "
        f"{last['n_tested']} tested)."
    )


def _floats(middle, ends):
    return [float(middle), *map(float, ends)]


def _percent(share):
    """Return a share in percent, where only all of them are 100."""
    return f"{math.floor(100 * share + 1e-9)} %"
