"""Do fits still find the same weights, bit for bit, after a change of the code?

Six fits of different kinds are made and the SHA-256 of what they found is printed.
Hashes hold on one machine with the same versions of the packages only, so make them
with the code before and the code after the change, on the same machine:

    git worktree add ../before COMMIT
    PYTHONPATH=../before python benchmarks/same_weights.py --out before.json
    python benchmarks/same_weights.py --compare before.json
"""

import argparse
import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

import skcaptcha
from skcaptcha import CaptchaEnsemble, CaptchaRecognizer
from skcaptcha.datasets import make_captchas


def draw(n_samples, **changes):
    """Drawn images of four digits."""
    parameters = {"vocabulary": "0123456789", "length": 4, "size": (40, 120)}
    return make_captchas(n_samples, random_state=1, **{**parameters, **changes})


def fit_default():
    """The default parameters."""
    return CaptchaRecognizer(max_iter=60, random_state=0).fit(*draw(100))


def fit_from_random_weights():
    """Uniform alignment first, images of two widths."""
    X, y = draw(60)
    wide, texts = draw(60, size=(40, 160), length=5)
    recognizer = CaptchaRecognizer(max_iter=20, pretrained=False, random_state=0)
    return recognizer.fit(X + wide, y + texts)


def fit_with_held_out_samples():
    """Best weights chosen, and confidence calibrated, on held-out samples."""
    return CaptchaRecognizer(
        max_iter=40, early_stopping=True, validation_fraction=0.2, random_state=0
    ).fit(*draw(100))


def fit_in_color():
    """Three channels, rows cut off, more than one LSTM."""
    X, y = draw(60, color=True)
    X = [np.pad(x, ((60, 60), (0, 0), (0, 0)), constant_values=255) for x in X]
    return CaptchaRecognizer(
        max_iter=25, color_mode="rgb", lstm_layers=2, lstm_units=64, random_state=0
    ).fit(X, y)


def fit_ensemble():
    """The second member of an ensemble."""
    ensemble = CaptchaEnsemble(
        CaptchaRecognizer(max_iter=20), cv=2, random_state=0, n_jobs=1
    )
    return ensemble.fit(*draw(80)).estimators_[1]


def fit_in_parts():
    """Three calls of partial_fit, the last one with new characters."""
    recognizer = CaptchaRecognizer(random_state=0)
    for seed, vocabulary in enumerate(["0123456789", "0123456789", "01234abc"]):
        X, y = make_captchas(
            120, vocabulary=vocabulary, length=4, size=(40, 120), random_state=seed
        )
        recognizer.partial_fit(X, y)
    return recognizer


FITS = {
    "default": fit_default,
    "random weights": fit_from_random_weights,
    "held-out samples": fit_with_held_out_samples,
    "color": fit_in_color,
    "ensemble member": fit_ensemble,
    "partial_fit": fit_in_parts,
}


def digest(recognizer):
    """Hash of the weights, the curves and what is read of other images."""
    found = hashlib.sha256()
    for name, tensor in sorted(recognizer.network_.state_dict().items()):
        if not name.startswith("auxiliary"):
            found.update(name.encode())
            found.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    X, _ = make_captchas(
        30, vocabulary="0123456789", length=4, size=(40, 120), random_state=99
    )
    curves = [recognizer.loss_curve_, recognizer.learning_rate_curve_]
    read = [recognizer.predict(X).tolist(), recognizer.predict_confidence(X).tolist()]
    found.update(repr([curves, read, recognizer.temperature_]).encode())
    return found.hexdigest()


def main(argv=None):
    """Print a hash for each fit, and whether it is that of before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=FITS, default=list(FITS))
    parser.add_argument("--out", type=Path, help="write the hashes to this file")
    parser.add_argument("--compare", type=Path, help="hashes of the code before")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(f"skcaptcha in {Path(skcaptcha.__file__).parent}", file=sys.stderr)
    before = json.loads(options.compare.read_text()) if options.compare else {}
    hashes = {}
    for name in options.only:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The network has not learned to read")
            hashes[name] = digest(FITS[name]())
        same = {None: "", True: "same", False: "DIFFERENT"}[
            hashes[name] == before[name] if name in before else None
        ]
        print(f"{name:18} {hashes[name][:16]} {same}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(hashes, indent=1) + "\n")
    return int(any(before.get(name, h) != h for name, h in hashes.items()))


if __name__ == "__main__":
    sys.exit(main())
