"""Images of `make_captchas`: what the weights began with, and users try first."""

import numpy as np

from drawings.faces import load_font
from drawings.texts import DIGITS, LENGTHS, LOWER, UPPER, pick
from skcaptcha.datasets import make_captchas

VOCABULARIES = {
    DIGITS: 3,
    LOWER: 2,
    UPPER: 2,
    DIGITS + LOWER: 3,
    DIGITS + UPPER: 3,
    DIGITS + LOWER + UPPER: 4,
}


def draw_captcha(rng, fonts):
    """Draw one image with a text of `make_captchas`, with parameters of its own."""
    vocabulary = pick(rng, VOCABULARIES)
    families = fonts[list(fonts)[rng.integers(len(fonts))]]
    faces = families[rng.integers(len(families))]
    face = faces[rng.integers(len(faces))]
    if not set(vocabulary) <= face.characters:
        return draw_captcha(rng, fonts)
    vocabulary = "".join(rng.choice(list(vocabulary), 10, replace=False))
    plain = 0.3 if rng.random() < 0.3 else 1.0
    height = int(rng.integers(30, 81))

    def some(share, most):
        return plain * rng.uniform(0, most) if rng.random() < share else 0

    images, texts = make_captchas(
        1,
        vocabulary=vocabulary,
        length=pick(rng, LENGTHS),
        size=(height, None),
        color=bool(rng.random() < 0.6),
        fonts=None if rng.random() < 0.15 else load_font(face.files["latin"], 40),
        rotation=some(0.8, 30),
        perspective=some(0.3, 0.25),
        warp=some(0.6, 0.08),
        overlap=some(0.5, 0.3),
        spacing=some(0.3, 0.8),
        size_jitter=some(0.7, 0.3),
        lines=int(some(0.7, 5)),
        dots=int(some(0.7, 80)),
        gradient=some(0.6, 0.6),
        noise=some(0.7, 15),
        outline=float(rng.random() < 0.1),
        invert=float(rng.random() < 0.15),
        random_state=int(rng.integers(2**31)),
    )
    image = images[0]
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, 2)
    return image, texts[0]
