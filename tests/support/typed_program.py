"""A program of a user who checks types; make lint does so, and a test runs it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer, load_pretrained
from skcaptcha.datasets import load_image_folder, make_captchas
from skcaptcha.metrics import exact_match_score, recognition_report
from skcaptcha.vocabulary import Vocabulary


def learn(folder: Path | None = None) -> CaptchaRecognizer:
    """Fit a recognizer on a folder of images, or on some that are drawn."""
    recognizer = CaptchaRecognizer(
        image_height=16,
        conv_channels=(4, 8),
        lstm_units=4,
        max_iter=1,
        pretrained=False,
        random_state=0,
    )
    if folder is not None:
        paths, texts = load_image_folder(folder)
        return recognizer.fit(paths, texts)
    images, texts = make_captchas(8, length=2, size=(16, 40), random_state=0)
    return recognizer.fit(images, texts, sample_weight=np.linspace(1, 2, 8))


def read(recognizer: CaptchaRecognizer | CaptchaEnsemble) -> dict[str, object]:
    """Read drawn images in every way whose type depends on an argument."""
    images, texts = make_captchas(4, length=2, size=(16, 40), random_state=1)
    plain: NDArray[np.object_] = recognizer.predict(images, length=2)
    read, confidence = recognizer.predict(images, return_confidence=True)
    best: list[list[tuple[str, float]] | None] = recognizer.predict_topk(images, 2)
    score: float = recognizer.score(images, texts, sample_weight=[1, 2, 3, 4])
    report: str = recognition_report(texts, read)
    figures = recognition_report(texts, read, output_dict=True)
    match: float = exact_match_score(texts, read)
    vocabulary: Vocabulary = recognizer.vocabulary_
    return {
        "texts": list(plain),
        "confidence": confidence.mean(),
        "best": best,
        "score": score,
        "match": match,
        "lines": report.splitlines(),
        "figures": sorted(figures),
        "characters": "".join(vocabulary.characters),
    }


def read_before_any_label(images: list[NDArray[np.uint8]]) -> list[str]:
    """Read images that nobody has labeled."""
    return list(load_pretrained().predict(images, vocabulary="0123456789"))


def read_at_few_sizes(images: list[NDArray[np.uint8]]) -> list[str]:
    """Read them at the sizes that suit them, and at one of these."""
    several = load_pretrained(images, n_sizes=6, vocabulary="0123456789")
    one: CaptchaRecognizer = load_pretrained(images)
    return [*several.predict(images), *one.predict(images)]
