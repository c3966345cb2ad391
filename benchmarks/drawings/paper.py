"""What is written on: plain, shaded, clouded, striped, rough."""

import cv2
import numpy as np

from drawings.colors import mix
from drawings.texts import pick


def draw_cloud(rng, height, width, scale):
    """Return smooth noise between 0 and 1, whose spots are about `scale` wide."""
    rows, columns = (max(2, round(side / scale) + 2) for side in (height, width))
    noise = rng.random((rows, columns), np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)


def draw_ramp(rng, height, width):
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ramp = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    return (ramp - ramp.min()) / max(np.ptp(ramp), 1e-6)


def draw_stripes(rng, height, width, period):
    angle = rng.choice([0, np.pi / 2, np.pi / 4, rng.uniform(0, np.pi)])
    y, x = np.ogrid[:height, :width]
    wave = (y * np.cos(angle) + x * np.sin(angle)) / period + rng.random()
    if rng.random() < 0.4:
        return (0.5 + 0.5 * np.sin(2 * np.pi * wave)).astype(np.float32)
    return ((wave % 1) < rng.uniform(0.25, 0.6)).astype(np.float32)


def draw_checks(rng, height, width, period):
    y, x = np.ogrid[:height, :width]
    half = max(1, round(period / 2))
    return ((y // half + x // half) % 2).astype(np.float32)


def draw_spots(rng, height, width, period):
    y, x = np.ogrid[:height, :width]
    radius = period * rng.uniform(0.25, 0.42)
    dy, dx = (axis % period - period / 2 for axis in (y, x))
    return (dy * dy + dx * dx < radius * radius).astype(np.float32)


def draw_pattern(rng, height, width, size):
    """Return how much of a second color is where, for letters of a size."""
    how = rng.integers(7)
    if how < 2:
        return draw_ramp(rng, height, width)
    if how == 2:
        return draw_cloud(rng, height, width, size * rng.uniform(0.05, 0.4))
    if how == 3:  # two tones
        ramp = draw_ramp(rng, height, width)
        return (ramp > rng.uniform(0.35, 0.65)).astype(np.float32)
    period = rng.uniform(2.5, max(4, size / 9))
    return [draw_stripes, draw_checks, draw_spots][how - 4](rng, height, width, period)


PAPERS = {
    "plain": 55,
    "ramp": 13,
    "cloud": 9,
    "grain": 6,
    "stripes": 3,
    "checks": 2,
    "spots": 2,
    "blobs": 4,
    "photo": 4,
    "fiber": 2,
}


def draw_paper(rng, height, width, color, depth):
    """Return an image (height, width, 3) around a color; `depth` is how uneven."""
    kind = pick(rng, PAPERS)
    if kind == "plain":
        return np.full((height, width, 3), color, np.float32)
    away = (
        rng.uniform(-1, 1, 3) if rng.random() < 0.6 else np.full(3, rng.choice([-1, 1]))
    )
    away = away * depth * rng.uniform(0.3, 1)
    if kind == "ramp":
        share = draw_ramp(rng, height, width)
    elif kind == "cloud":
        share = draw_cloud(rng, height, width, height * rng.uniform(0.05, 0.8))
    elif kind == "grain":
        share = rng.random((height, width), np.float32)
    elif kind == "stripes":
        share = draw_stripes(rng, height, width, rng.uniform(3, height / 2))
    elif kind == "checks":
        share = draw_checks(rng, height, width, rng.uniform(4, height))
    elif kind == "spots":
        share = draw_spots(rng, height, width, rng.uniform(4, height / 2))
    elif kind == "blobs":
        share = draw_blobs(rng, height, width)
    elif kind == "photo":
        return color.astype(np.float32) + draw_photo(rng, height, width, depth)
    else:
        share = rng.random((height, width), np.float32)
        share = cv2.blur(share, (1, 7) if rng.random() < 0.5 else (9, 1))
        share = 0.5 + 2 * (share - 0.5)
    return (color + (share[..., None] - 0.5) * away).astype(np.float32)


def draw_blobs(rng, height, width):
    share = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(2, 14)):
        center = int(rng.integers(width)), int(rng.integers(height))
        axes = tuple(int(a) + 2 for a in rng.uniform(0, height / 2, 2))
        cv2.ellipse(share, center, axes, rng.uniform(0, 180), 0, 360, rng.random(), -1)
    return share


def draw_photo(rng, height, width, depth):
    """Return colored noise of several scales, with an edge or two."""
    sum_ = np.zeros((height, width, 3), np.float32)
    for scale, weight in ((1.0, 1.0), (0.3, 0.5), (0.08, 0.25)):
        rows, columns = (max(2, round(s / height / scale) + 2) for s in (height, width))
        noise = rng.random((rows, columns, 3), np.float32) - 0.5
        sum_ += weight * cv2.resize(noise, (width, height))
    if rng.random() < 0.6:
        sum_ += (draw_ramp(rng, height, width) > rng.random())[..., None] * 0.4 - 0.2
    return sum_ * depth * 0.8


def draw_vignette(rng, height, width):
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    x, y = x - rng.uniform(-0.4, 0.4), y - rng.uniform(-0.4, 0.4)
    return (1 - rng.uniform(0.15, 0.5) * np.minimum((x * x + y * y) / 2, 1)).astype(
        np.float32
    )[..., None]


__all__ = ["draw_paper", "draw_pattern", "draw_cloud", "draw_vignette", "mix"]
