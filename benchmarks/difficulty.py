"""How readable is a CAPTCHA, and what makes it harder for a machine?

`make_captchas` draws plain print and adds one disturbance after another, in two
strengths. With several mild ones it draws texts of 10, 36 or 62 characters, and of four
to eight. A recognizer with default parameters learns from a few labels, and from many,
and reads 300 other images of the same kind.
"""

import string
import sys
from dataclasses import dataclass, field
from functools import partial

import runner
from sides.common import clock

from skcaptcha.datasets import make_captchas
from skcaptcha.metrics import character_accuracy_score

N_TEST = 300
LABELS = 50, 400
PIXELS = 30  # of the width for each character of a text
PLAIN = {
    "color": True,
    "rotation": 0,
    "warp": 0,
    "overlap": 0,
    "size_jitter": 0,
    "lines": 0,
    "dots": 0,
    "gradient": 0,
    "noise": 0,
}
# What is added -> parameters of `make_captchas`, mild and strong.
DISTURBANCES = {
    "nothing": ({},),
    "lines": ({"lines": 3}, {"lines": 10}),
    "dots": ({"dots": 60}, {"dots": 400}),
    "noise": ({"noise": 20}, {"noise": 80}),
    "rotation": ({"rotation": 20}, {"rotation": 60}),
    "warp": ({"warp": 0.05}, {"warp": 0.2}),
    "overlap": ({"overlap": 0.2}, {"overlap": 0.6}),
    "all": (
        {"lines": 3, "noise": 20, "rotation": 20, "warp": 0.05, "overlap": 0.2},
        {"lines": 10, "noise": 80, "rotation": 60, "warp": 0.2, "overlap": 0.6},
    ),
}
VOCABULARIES = {
    "digits": string.digits,
    "36": string.digits + string.ascii_lowercase,
    "62": string.digits + string.ascii_letters,
}


@dataclass(frozen=True, kw_only=True)
class Design(runner.Row):
    """Images that differ in one thing: what is added, the alphabet, or the length."""

    characters: str = "36"
    seeds: tuple = (0,)
    n_quick: int = 1
    columns: dict = field(
        default_factory=lambda: {
            "exact_match": ("exact match", ".3f"),
            "character_accuracy": ("characters right", ".3f"),
            "seconds": ("seconds", ".0f"),
        }
    )

    def measure(self, run, arguments, folder):
        name, _, strength = run.get("added", "all, mild").partition(", ")
        added = DISTURBANCES[name][strength == "strong"]
        length = run.get("length", 5)
        X, y = make_captchas(
            run["labels"] + N_TEST,
            vocabulary=VOCABULARIES[run.get("characters", self.characters)],
            length=length,
            size=(50, PIXELS * length),
            random_state=run["seed"],
            **{**PLAIN, **added},
        )
        parts = X[N_TEST:], X[:N_TEST], y[N_TEST:], y[:N_TEST]
        X_train, X_test, y_train, y_test = runner.shorten(arguments, *parts)
        recognizer = runner.make_recognizer(arguments, random_state=run["seed"])
        seconds, _ = clock(recognizer.fit, X_train, y_train)
        read = recognizer.predict(X_test)
        return {
            "n_train": len(X_train),
            "seconds": round(seconds, 2),
            "exact_match": float((read == y_test).mean()),
            "character_accuracy": character_accuracy_score(y_test, read),
        }


ADDED = tuple(
    f"{name}, {strength}" if name != "nothing" else name
    for name, strengths in DISTURBANCES.items()
    for strength, _ in zip(("mild", "strong"), strengths, strict=False)
)
ROWS = {
    name: Design(
        words=f"5 characters, {name}",
        characters=name,
        factors={"added": ADDED, "labels": LABELS},
    )
    for name in VOCABULARIES
}
ROWS["characters"] = Design(
    words="5 characters of 10, 36 or 62, several mild disturbances",
    factors={"labels": LABELS, "characters": tuple(VOCABULARIES)},
)
ROWS["length"] = Design(
    words="4 to 8 of 36 characters, several mild disturbances, 30 pixels wide each",
    factors={"labels": LABELS, "length": (4, 6, 8)},
)


main = partial(runner.run_benchmark, sys.modules[__name__])

if __name__ == "__main__":
    sys.exit(main())
