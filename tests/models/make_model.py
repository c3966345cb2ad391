"""Save the small model of a format, once for each version of it, and never again.

``python tests/models/make_model.py`` writes ``format_N.joblib``, ``format_N.skops`` and
what they read, ``format_N.json``, where N is the version of today.
"""

import json
import zipfile
from pathlib import Path

import joblib
import skops.io

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas
from skcaptcha.persistence._state import FORMAT_VERSION

FOLDER = Path(__file__).parent


def draw():
    """Draw the images on which every model is tried."""
    return make_captchas(
        60, vocabulary="01", length=2, size=(16, 32), lines=0, dots=0, random_state=0
    )


def main():
    path = FOLDER / f"format_{FORMAT_VERSION}.joblib"
    if path.exists():
        raise SystemExit(f"{path} is there already; a format is never made anew")
    images, texts = draw()
    recognizer = CaptchaRecognizer(
        conv_channels=(4, 8, 8, 16),
        lstm_units=8,
        image_height=16,
        max_iter=150,
        random_state=0,
    ).fit(images[:40], texts[:40])
    joblib.dump(recognizer, path, compress=3)
    skops.io.dump(
        recognizer, path.with_suffix(".skops"), compression=zipfile.ZIP_DEFLATED
    )
    read = {
        "texts": recognizer.predict(images).tolist(),
        "confidence": recognizer.predict_confidence(images).tolist(),
    }
    path.with_suffix(".json").write_text(json.dumps(read, indent=1) + "\n")
    print(f"{path}: exact match {recognizer.score(images[40:], texts[40:]):.2f}")


if __name__ == "__main__":
    main()
