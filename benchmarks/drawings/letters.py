"""How letters are painted: solid, hollow, shadowed, embossed, filled, worn."""

from functools import lru_cache

import cv2
import numpy as np

from drawings.colors import draw_ink, mix
from drawings.paper import draw_cloud, draw_pattern


@lru_cache(64)
def disk(radius):
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)


def grow(mask, radius):
    return cv2.dilate(mask, disk(radius)) if radius else mask


def shrink(mask, radius):
    return cv2.erode(mask, disk(radius)) if radius else mask


def shift(mask, right, down):
    return np.roll(mask, (down, right), (0, 1))


def extrude(mask, right, down, depth):
    """Return the mask drawn out along a direction."""
    side = mask
    for k in range(1, depth + 1):
        side = np.maximum(side, shift(mask, round(k * right), round(k * down)))
    return side


class Solid:
    """Plain ink; the others paint more. `reach` is how far they leave the letter."""

    reach = 0
    smallest = 15  # size of the letters
    bold = False  # whether thin faces are of no use

    def __init__(self, rng, size, paper, contrast):
        self.paper = paper
        self.contrast = contrast
        self.size = size

    def layers(self, mask, ink, where):
        """Return pairs of mask and color, each painted over those before it."""
        return [(mask, ink)]


class Hollow(Solid):
    """An inside that is light, or like the paper, within a contour."""

    smallest = 24

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        self.thickness = int(rng.integers(1, max(2, size // 16), endpoint=True))
        self.reach = self.thickness
        how = rng.random()
        if how < 0.4:
            self.inside = paper
        elif how < 0.75:
            self.inside = np.full(3, 255.0 if rng.random() < 0.85 else 0.0)
        else:
            self.inside = rng.uniform(0, 256, 3)
        self.inward = rng.random() < 0.3

    def layers(self, mask, ink, where):
        t = self.thickness
        inside = self.inside
        if abs(inside - ink).max() < 60:
            inside = np.full(3, 255.0 if ink.mean() < 128 else 0.0)
        if self.inward and shrink(mask, t).sum(dtype=int) > 0.4 * mask.sum(dtype=int):
            return [(mask, ink), (shrink(mask, t), inside)]
        return [(grow(mask, t), ink), (mask, inside)]


class Outline(Solid):
    """A contour alone; what lies below stays visible."""

    smallest = 24

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        self.thickness = int(rng.integers(1, max(2, size // 20), endpoint=True))
        self.doubled = rng.random() < 0.25 and size > 30
        self.reach = self.thickness * (4 if self.doubled else 1)

    def layers(self, mask, ink, where):
        t = self.thickness
        contour = cv2.subtract(grow(mask, t), mask)
        if self.doubled:
            outer = cv2.subtract(grow(mask, 4 * t), grow(mask, 3 * t))
            contour = np.maximum(contour, outer)
        return [(contour, ink)]


class Shadow(Solid):
    smallest = 22

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        far = max(1.0, size * rng.uniform(0.03, 0.13))
        angle = rng.uniform(0, 2 * np.pi)
        self.by = round(far * np.cos(angle)), round(far * np.sin(angle))
        self.blur = far / 2 if rng.random() < 0.4 else 0
        tone = rng.random()
        if tone < 0.6:
            self.color = paper * rng.uniform(0.3, 0.85)
        elif tone < 0.8:
            self.color = mix(paper, np.full(3, 255.0), rng.uniform(0.4, 1))
        else:
            self.color = mix(paper, rng.uniform(0, 256, 3), rng.uniform(0.3, 0.7))
        self.hollow = Hollow(rng, size, paper, contrast) if rng.random() < 0.2 else None
        self.reach = int(far + 2 * self.blur) + 2

    def layers(self, mask, ink, where):
        shadow = shift(mask, *self.by)
        if self.blur:
            shadow = cv2.GaussianBlur(shadow, (0, 0), self.blur)
        front = Solid if not self.hollow else self.hollow
        if self.hollow:
            return [(shadow, self.color), *front.layers(mask, ink, where)]
        color = self.color
        if abs(color.mean() - ink.mean()) < 45:  # it would make the letter a blot
            color = mix(color, self.paper, 0.6)
        return [(shadow, color), (mask, ink)]


class Emboss(Solid):
    """Light on one edge and dark on the other; the letter is nearly as the paper."""

    smallest = 28
    bold = True

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        far = max(1, round(size * rng.uniform(0.02, 0.06)))
        self.by = [(far, far), (-far, -far), (far, -far), (0, far)][rng.integers(4)]
        self.reach = far + 1
        self.face = mix(paper, np.full(3, rng.uniform(0, 256)), rng.uniform(0, 0.25))
        self.light = mix(paper, np.full(3, 255.0), rng.uniform(0.5, 1))
        self.dark = mix(paper, np.full(3, 0.0), rng.uniform(0.5, 0.9))
        self.keep = rng.random() < 0.4

    def layers(self, mask, ink, where):
        x, y = self.by
        face = ink if self.keep else self.face
        return [
            (shift(mask, -x, -y), self.light),
            (shift(mask, x, y), self.dark),
            (mask, face),
        ]


class Block(Solid):
    """Three-dimensional: drawn out to one side, shaded, or hollow with a contour."""

    smallest = 28

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        self.depth = max(2, round(size * rng.uniform(0.06, 0.22)))
        angle = rng.uniform(0, 2 * np.pi)
        self.by = np.cos(angle), np.sin(angle)
        self.thickness = 1 if size < 50 or rng.random() < 0.7 else 2
        self.reach = self.depth + self.thickness + 1
        self.hollow = rng.random() < 0.5
        self.filling = paper if rng.random() < 0.6 else np.full(3, 255.0)
        self.shade = rng.uniform(0.35, 0.75)
        self.hatching = rng.choice(["none", "rows", "ribs"], p=[0.35, 0.3, 0.35])
        self.pitch = int(rng.integers(2, max(4, size // 7)))

    def mark_edge(self, mask):
        """Return a mask of single points of the contour, some pixels apart."""
        solid = (mask > 127).astype(np.uint8)
        contours, _ = cv2.findContours(solid, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        points = np.zeros_like(mask)
        for contour in contours:
            x, y = contour[:: self.pitch, 0].T
            points[y, x] = 255
        return points

    def layers(self, mask, ink, where):
        side, t = extrude(mask, *self.by, self.depth), self.thickness
        if not self.hollow:
            dark = ink * self.shade if ink.mean() > 90 else mix(ink, self.paper, 0.5)
            return [(side, dark), (mask, ink)]
        filling = self.filling
        if abs(filling - ink).max() < 60:
            filling = self.paper
        layers = [(grow(side, t), ink), (side, filling)]
        if self.hatching == "rows":
            rows = np.arange(side.shape[0])[:, None]
            layers.append(((side * (rows % 3 == 0)).astype(np.uint8), ink))
        elif self.hatching == "ribs":
            layers.append((extrude(self.mark_edge(mask), *self.by, self.depth), ink))
        return [*layers, (grow(mask, t), ink), (mask, filling)]


class Filled(Solid):
    """Dots, hatching, stripes, a gradient or a texture within the letter."""

    smallest = 30
    bold = True

    def __init__(self, rng, size, paper, contrast):
        super().__init__(rng, size, paper, contrast)
        self.rng = rng
        self.pattern = None
        self.second = draw_ink(rng, paper, contrast * 0.6)
        self.contour = rng.random() < 0.35
        self.to_paper = rng.random() < 0.35
        self.reach = 1

    def prepare(self, height, width):
        self.pattern = draw_pattern(self.rng, height, width, self.size)

    def layers(self, mask, ink, where):
        share = self.pattern[where][..., None]
        second = self.second
        if self.to_paper or self.contour:
            second = mix(ink, self.paper, 0.55 if not self.contour else 1)
        inside = (mask, ink + (second - ink) * share)
        return [(grow(mask, 1), ink), inside] if self.contour else [inside]


class Worn(Filled):
    """Ink that is missing along cuts or in patches."""

    def prepare(self, height, width):
        rng = self.rng
        if rng.random() < 0.5:
            period = max(4.0, self.size * rng.uniform(0.12, 0.4))
            angle = rng.uniform(-0.3, 0.3) if rng.random() < 0.5 else rng.uniform(0, 3)
            y, x = np.ogrid[:height, :width]
            wave = (y * np.cos(angle) + x * np.sin(angle)) / period
            kept = (wave + rng.random()) % 1 > max(1 / period, rng.uniform(0.1, 0.3))
        else:
            cloud = draw_cloud(rng, height, width, self.size * rng.uniform(0.08, 0.3))
            kept = cloud > np.quantile(cloud[::3, ::3], rng.uniform(0.08, 0.3))
        self.pattern = kept.astype(np.uint8)
        self.reach = 0

    def layers(self, mask, ink, where):
        kept = mask * self.pattern[where]
        readable = kept.sum(dtype=int) > 0.55 * mask.sum(dtype=int)
        return [(kept if readable else mask, ink)]


KINDS = {
    Solid: 56,
    Hollow: 11,
    Outline: 6,
    Shadow: 7,
    Emboss: 3,
    Block: 12,
    Filled: 7,
    Worn: 4,
}


def over(canvas, where, mask, color):
    """Paint a color through a mask onto a canvas of color times alpha, and alpha."""
    part = canvas[where]
    change = np.empty_like(part)
    change[..., :3] = color
    change[..., 3] = 1
    change -= part
    change *= (mask * np.float32(1 / 255))[..., None]
    part += change
