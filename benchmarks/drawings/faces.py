"""The fonts, and pictures of single letters out of them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageFont

from drawings.texts import DIGITS, GREEK, LOWER, RUSSIAN, SIGNS, UPPER

SCRIPTS = {
    "latin": (DIGITS + SIGNS + UPPER, LOWER, "abdeghnqrt"),
    "cyrillic": (RUSSIAN.upper(), RUSSIAN, "абер"),
    "greek": (GREEK.upper(), GREEK, "αγεζμξ"),
}
# Correlation of the pictures of small and large letters that are the same ones.
ALIKE = 0.57


class Face(NamedTuple):
    """One weight of a family, with the characters that it really has."""

    name: str
    files: dict  # from script to path
    characters: frozenset


def find_fonts(folder):
    """Return a dict from category to families, each a list of up to three faces.

    They are what ``npm install`` put into `folder`. A face has small letters only where
    they have shapes of their own.
    """
    fonts = {}
    for family in sorted(Path(folder).glob("node_modules/@fontsource/*")):
        found = [
            (int(path.stem.split("-")[-2]), path)
            for path in family.glob(f"files/{family.name}-latin-[0-9]*-normal.woff")
        ]
        weights = sorted(weight for weight, _ in found)
        chosen = {weights[0], weights[-1], min(weights, key=lambda w: abs(w - 400))}
        faces = [read_face(path) for weight, path in sorted(found) if weight in chosen]
        metadata = family / "metadata.json"
        category = "sans-serif"
        if metadata.exists():
            category = json.loads(metadata.read_text("utf-8"))["category"]
        fonts.setdefault(category, []).append(faces)
    if not fonts:
        raise SystemExit(f"There are no fonts in {folder}; run `npm install` there.")
    return dict(sorted(fonts.items()))


def read_face(latin):
    files, characters = {}, set()
    for script, (large, small, two_forms) in SCRIPTS.items():
        path = latin.with_name(latin.name.replace("-latin-", f"-{script}-"))
        if not path.exists():
            continue
        files[script] = str(path)
        font = ImageFont.truetype(str(path), 32)
        absent = bytes(font.getmask("\uffff"))
        pictures = {}
        for c in large + small:
            mask = font.getmask(c)
            if mask.getbbox() and bytes(mask) != absent:
                pictures[c] = Image.frombytes("L", mask.size, bytes(mask))
        alike = [
            compare(pictures[c], pictures[c.upper()])
            for c in two_forms
            if c in pictures and c.upper() in pictures
        ]
        if not alike or np.mean(alike) >= ALIKE:
            pictures = {c: p for c, p in pictures.items() if c in large}
        characters |= set(pictures)
    return Face(latin.stem, files, frozenset(characters))


def compare(one, other):
    """Return the correlation of two pictures, whatever their sizes."""
    one, other = (
        np.asarray(p.crop(p.getbbox()).resize((24, 24)), dtype=float).ravel()
        for p in (one, other)
    )
    return np.corrcoef(one, other)[0, 1]


@lru_cache(400)
def load_font(path, size):
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def script_of(character):
    if "α" <= character.lower() <= "ω":
        return "greek"
    return "cyrillic" if "а" <= character.lower() <= "ё" else "latin"


class Glyph(NamedTuple):
    """The picture of a letter, and where it stands."""

    mask: np.ndarray  # uint8, cut at the ink
    left: int  # of the mask, from the pen
    top: int  # of the mask, from the baseline; most are negative
    advance: float


def draw_glyph(face, character, size):
    font = load_font(face.files[script_of(character)], size)
    mask, (left, top) = font.getmask2(character, mode="L", anchor="ls")
    array = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])
    x, y, width, height = cv2.boundingRect(array)
    if not width:
        raise ValueError(f"{face.name} draws nothing for {character!r}.")
    array = array[y : y + height, x : x + width]
    return Glyph(array, left + x, top + y, font.getlength(character))


SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc",
            "abcdefg", "abcdfg")  # fmt: skip


def draw_segments(digit, size, thickness, gap, width):
    """Draw a digit out of seven bars, as displays do; all as parts of the size."""
    scale = 4
    h, w = size, max(4, int(size * width))
    half = max(1.5, size * thickness) / 2
    gap = gap * half * 2
    left, right, top, middle, bottom = half, w - half, half, h / 2, h - half
    bars = {
        "a": (left, top, right, top),
        "b": (right, top, right, middle),
        "c": (right, middle, right, bottom),
        "d": (left, bottom, right, bottom),
        "e": (left, middle, left, bottom),
        "f": (left, top, left, middle),
        "g": (left, middle, right, middle),
    }
    image = np.zeros((h * scale, w * scale), np.uint8)
    for name in SEGMENTS[int(digit)]:
        begin, end = np.reshape(bars[name], (2, 2))
        along = np.sign(end - begin)
        across = along[::-1]
        begin, end = begin + gap * along, end - gap * along
        inner, outer = begin + half * along, end - half * along
        side = half * across
        points = [begin, inner + side, outer + side, end, outer - side, inner - side]
        cv2.fillConvexPoly(image, np.int32(np.array(points) * scale), 255)
    image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    x, y, width, height = cv2.boundingRect(image)
    cut = image[y : y + height, x : x + width]
    return Glyph(cut, x, y - h, w * 1.25)


def draw_dots(glyph, rows, size, shape):
    """Draw a glyph anew out of dots, as printers and displays do."""
    pitch = size / rows
    h, w = (max(1, round(side / pitch)) for side in glyph.mask.shape)
    small = cv2.resize(glyph.mask, (w, h), interpolation=cv2.INTER_AREA) > 110
    side = 8
    dot = np.zeros((side, side), np.uint8)
    if shape:
        cv2.circle(dot, (side // 2, side // 2), 3 if shape == 1 else 4, 255, -1)
    else:
        dot[:-1, :-1] = 255
    big = np.kron(small.astype(np.uint8), dot)
    to = (max(1, round(w * pitch)), max(1, round(h * pitch)))
    mask = cv2.resize(big, to, interpolation=cv2.INTER_AREA)
    mask = cv2.convertScaleAbs(mask, alpha=1.3)
    if not mask.any():
        return glyph
    return Glyph(mask, glyph.left, glyph.top, glyph.advance)
