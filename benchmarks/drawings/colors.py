"""Colors that can be told from the paper."""

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114])


def mix(one, other, share):
    return one + (other - one) * share


def distance(one, other):
    """Return how far apart two colors are: 0 to 255, color counts for less."""
    apart = abs(one - other)
    return max(abs(LUMINANCE @ (one - other)), 0.5 * apart.max())


def draw_color(rng):
    how = rng.random()
    if how < 0.35:
        return np.full(3, rng.uniform(0, 256))
    if how < 0.55:  # strong
        return rng.permutation(
            [rng.uniform(0, 90), rng.uniform(0, 256), rng.uniform(160, 256)]
        )
    return rng.uniform(0, 256, 3)


def draw_ink(rng, paper, contrast):
    """Return a color at least so far from that of the paper."""
    for _ in range(12):
        color = draw_color(rng)
        if distance(color, paper) >= contrast:
            return color
    return np.full(3, 0.0 if LUMINANCE @ paper > 127 else 255.0)
