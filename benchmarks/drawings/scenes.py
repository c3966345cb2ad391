"""What texts stand on in the world: plates, cells, counters, small print beside."""

import cv2
import numpy as np

from drawings.colors import draw_color, draw_ink, mix
from drawings.faces import draw_glyph
from drawings.paper import draw_ramp
from drawings.texts import LETTERS


def as_color(color):
    return tuple(float(c) for c in color)


def draw_plate(rng, ground, box, paper, size):
    """Draw a plate with a frame around the text's box, on another ground."""
    height, width = ground.shape[:2]
    top, bottom, left, right = box
    away = [rng.integers(1, max(2, int(size * 0.3))) for _ in range(4)]
    upper = max(0, left - away[0]), max(0, top - away[1])
    lower = min(width - 1, right + away[2]), min(height - 1, bottom + away[3])
    inside = ground[upper[1] : lower[1], upper[0] : lower[0]].copy()
    if rng.random() < 0.7:
        ground[:] = mix(ground, draw_color(rng), rng.uniform(0.2, 1))
        ground *= 1 - 0.3 * draw_ramp(rng, height, width)[..., None]
    ground[upper[1] : lower[1], upper[0] : lower[0]] = inside
    ink = draw_ink(rng, paper, 60)
    thick = int(rng.integers(1, max(2, size // 12), endpoint=True))
    upper, lower = (tuple(int(v) for v in corner) for corner in (upper, lower))
    cv2.rectangle(ground, upper, lower, as_color(ink), thick)
    if left - upper[0] > size * 0.2 and rng.random() < 0.3:  # a band at the side
        end = (int(left - size * 0.1), lower[1])
        cv2.rectangle(ground, upper, end, as_color(draw_color(rng)), -1)


def draw_cells(rng, ground, box, spans, paper, size):
    """Draw a cell behind each letter: boxes, separators, or drums of a counter."""
    top, bottom, _, _ = box
    gap = min([b[0] - a[1] for a, b in zip(spans, spans[1:], strict=False)] or [size])
    if gap < 3:
        return
    room = int(min(gap / 2 - 1, size * 0.3))
    upper, lower = max(0, top - 1 - room), min(len(ground) - 1, bottom + 1 + room)
    how = rng.integers(4)
    line = as_color(mix(paper, draw_ink(rng, paper, 60), rng.uniform(0.4, 1)))
    if how == 1:
        for a, b in zip(spans, spans[1:], strict=False):
            x = (a[1] + b[0]) // 2
            cv2.line(ground, (x, 0), (x, len(ground)), line, int(rng.integers(1, 3)))
        return
    kept = ground.copy()
    if how > 1:
        ground[:] = mix(paper, draw_color(rng), rng.uniform(0.3, 1))
    shade = np.sin(np.linspace(0.35, np.pi - 0.35, lower - upper))[:, None, None]
    for begin, end in spans:
        cell = slice(upper, lower), slice(max(0, begin - room), end + room)
        ground[cell] = kept[cell] * (shade if how == 3 else 1)
        if how < 2 or rng.random() < 0.3:
            a, b = (max(0, begin - room), upper), (end + room, lower)
            cv2.rectangle(ground, a, b, line, 1)


def draw_print(rng, ground, box, paper, size, face):
    """Write a few much smaller letters into the margins."""
    height, width = ground.shape[:2]
    top, bottom, _, _ = box
    for room, y in ((top, top / 2), (height - bottom, (height + bottom) / 2)):
        own = int(min(room * 0.8, size * rng.uniform(0.25, 0.42)))
        if own < 7 or rng.random() < 0.3:
            continue
        ink = draw_ink(rng, paper, 80)
        pen = rng.uniform(0.02, 0.5) * width
        letters = [c for c in LETTERS if c in face.characters]
        for _ in range(int(rng.integers(2, 16))):
            glyph = draw_glyph(face, letters[rng.integers(len(letters))], own)
            h, w = glyph.mask.shape
            x, y0 = int(pen) + max(0, glyph.left), int(y + own * 0.35) + glyph.top
            if x + w >= width:
                break
            if y0 >= 0 and y0 + h <= height:
                part = ground[y0 : y0 + h, x : x + w]
                part += (ink - part) * (glyph.mask[..., None] / np.float32(255))
            pen += glyph.advance
