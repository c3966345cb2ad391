"""Captchas drawn to order, for trying things out and for testing."""

import math
import os
import unicodedata
from functools import cache
from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
from PIL import (
    Image,
    ImageChops,
    ImageDraw,
    ImageFilter,
    ImageFont,
    ImageOps,
    features,
)
from scipy.ndimage import map_coordinates
from sklearn.utils import check_random_state

# Digits and small letters less 0, o, 1, i, j, l, 9, g and q, which pass for one another
# once tilted and bent, and less s and z, which pass for 5 and 2.
LEGIBLE = "2345678abcdefhkmnprtuvwxy"

MAX_LENGTH = 1000  # characters
MIN_EM = 7  # pixels; in a smaller font letters run into blots


def make_captchas(
    n_samples=100,
    *,
    vocabulary=LEGIBLE,
    length=5,
    size=(50, 150),
    color=False,
    fonts=None,
    rotation=15,
    perspective=0,
    warp=0.04,
    overlap=0.15,
    spacing=0,
    size_jitter=0.15,
    lines=2,
    dots=30,
    gradient=0.3,
    noise=6,
    outline=0,
    invert=0,
    random_state=None,
):
    """Draw images of random text, and return them with their texts.

    Each image has its own paper, ink, font and layout. Characters stand from left to
    right, wholly inside the image. The parameters from `rotation` on say how hard the
    images are to read; all of them at 0 give plain print.

    Parameters
    ----------
    n_samples : int, default=100
        Number of images.
    vocabulary : str, default="2345678abcdefhkmnprtuvwxy"
        The characters to draw from, each as likely as the next. The default leaves
        out those that are easily taken for another, such as 0 and o.
    length : int or tuple (int, int), default=5
        Number of characters of a text, or the smallest and the largest number.
    size : tuple (height, width), default=(50, 150)
        Size in pixels. Text that does not fit is set in a smaller font. A width of
        ``None`` makes each image as wide as its text needs.
    color : bool, default=False
        Whether to draw in color, with an ink for each character, or in gray.
    fonts : path, FreeTypeFont or list of these, default=None
        TrueType or OpenType fonts; each image uses one of them. ``None`` is the font
        that ships with Pillow.
    rotation : float, default=15
        Largest tilt of a character, in degrees either way; at most 180.
    perspective : float, default=0
        Largest shift of each corner of a character, as a share of its sides, which
        bends each in a way of its own; at most 0.4.
    warp : float, default=0.04
        Height of waves that bend the text, as a share of the height; at most 0.25.
    overlap : float, default=0.15
        Largest share of a character that its neighbor may cover; at most 0.75.
        At 0 a gap is left between any two.
    spacing : float, default=0
        Room added between any two characters, as a share of the font size; at most 2.
    size_jitter : float, default=0.15
        Largest share by which characters differ in size and height; at most 0.5.
    lines : int, default=2
        Number of curves drawn across the text, in ink.
    dots : int, default=30
        Number of specks of ink.
    gradient : float, default=0.3
        Share of the contrast that shading takes away where it is darkest; at most 1.
    noise : float, default=6
        Standard deviation of the noise of each pixel in gray levels; at most 255.
    outline : float, default=0
        Share of the images whose characters are hollow, drawn as outlines.
    invert : float, default=0
        Share of the images with light text on dark paper.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same images and texts at every call. The first images of
        a long call are those of a short one. NumPy's global generator is left alone.

    Returns
    -------
    images : list of ndarray of uint8
        `n_samples` images of shape (height, width), or (height, width, 3) in color.
    texts : list of str
        What they say.

    Raises
    ------
    ValueError
        If a parameter is out of range, a font cannot be read or has no glyph for a
        character, or `size` has no room for the text.
    ImportError
        If Pillow was built without FreeType.

    Examples
    --------
    >>> from skcaptcha.datasets import make_captchas
    >>> images, texts = make_captchas(3, length=(4, 6), random_state=0)
    >>> texts
    ['at5y5v', 'tr4xup', 'netvw']
    >>> images[0].shape, images[0].dtype
    ((50, 150), dtype('uint8'))
    """
    limits = [
        ("rotation", rotation, Real, 180),
        ("perspective", perspective, Real, 0.4),
        ("warp", warp, Real, 0.25),
        ("overlap", overlap, Real, 0.75),
        ("spacing", spacing, Real, 2),
        ("size_jitter", size_jitter, Real, 0.5),
        ("lines", lines, Integral, None),
        ("dots", dots, Integral, None),
        ("gradient", gradient, Real, 1),
        ("noise", noise, Real, 255),
        ("outline", outline, Real, 1),
        ("invert", invert, Real, 1),
    ]
    _check_number("n_samples", n_samples, Integral, 1)
    for name, value, kind, highest in limits:
        _check_number(name, value, kind, 0, highest)
    style = SimpleNamespace(**{name: value for name, value, *_ in limits})
    if not isinstance(color, (bool, np.bool_)):
        raise ValueError(f"color={color!r} must be True or False")
    vocabulary = _check_vocabulary(vocabulary)
    shortest, longest = _check_length(length)
    size = _check_size(size)
    typecases = [_Typecase(font) for font in _check_fonts(fonts)]
    for typecase in typecases:
        typecase.check_glyphs(vocabulary)
    entropy = None  # afresh for each image
    if random_state is not None:
        state = check_random_state(random_state)
        entropy = state.randint(2**32, size=4, dtype=np.uint32).tolist()

    images, texts = [], []
    for index in range(n_samples):
        # A stream for each image, so that it does not depend on how many there are.
        seed = np.random.SeedSequence(entropy, spawn_key=(index,))
        rng = np.random.default_rng(seed)
        n_characters = rng.integers(shortest, longest, endpoint=True)
        characters = rng.integers(len(vocabulary), size=n_characters)
        text = "".join(vocabulary[k] for k in characters)
        typecase = typecases[rng.integers(len(typecases))]
        images.append(_draw_captcha(text, typecase, rng, size, color, style))
        texts.append(text)
    return images, texts


def _draw_captcha(text, typecase, rng, size, color, style):
    amplitude = style.warp * size[0]
    margin = int(np.ceil(amplitude)) + 2
    # From a stream of its own, so that what follows stays.
    hollow = rng.spawn(1)[0].random() < style.outline
    around = max(1, round(0.03 * size[0])) if hollow else 0
    glyphs, width = _set_text(text, typecase, rng, size, margin, style, around)
    paper = _make_paper((size[0], width), style.gradient, color, rng)
    canvas = Image.fromarray(paper)
    inks = _mix_inks(len(text) + style.lines + style.dots, color, rng)
    for mask, left, top in glyphs:
        canvas.paste(inks.pop(), (left, top), mask)
    _draw_lines(canvas, [inks.pop() for _ in range(style.lines)], rng)
    _draw_dots(canvas, inks, rng)
    pixels = _warp(np.asarray(canvas), amplitude, rng)  # (H, W) or (H, W, 3)
    pixels = _add_noise(pixels, style.noise, rng)
    if style.invert > 0 and rng.random() < style.invert:
        return 255 - pixels
    return pixels


def _draw_outline(mask, thickness):
    """Return what is around a character, larger by the thickness on each side."""
    mask = ImageOps.expand(mask, thickness)
    return ImageChops.subtract(
        mask.filter(ImageFilter.MaxFilter(2 * thickness + 1)), mask
    )


class _Typecase:
    """One font at every size, and the glyphs already rendered in it."""

    def __init__(self, font):
        self._font = font
        self._resize = cache(lambda pixels: font.font_variant(size=pixels))
        self.glyph = cache(self._render)

    def check_glyphs(self, vocabulary):
        missing = self.glyph("\uffff", 40)[0]  # no character: what stands for none
        for character in vocabulary:
            mask = self.glyph(character, 40)[0]
            same = mask.size == missing.size and mask.tobytes() == missing.tobytes()
            if same or mask.getbbox() is None:
                raise ValueError(
                    f"vocabulary: the font {' '.join(self._font.getname())} has "
                    f"nothing to draw for {character!r}; drop it or name, in `fonts`, "
                    "a font that has it"
                )

    def _render(self, character, pixels):
        """Return the mask of the ink, and how far below the baseline its center is."""
        font = self._resize(pixels)
        left, top, right, bottom = font.getbbox(character, anchor="ls")
        mask = Image.new("L", (right - left + 2, bottom - top + 2))
        pen = 1 - left, 1 - top
        ImageDraw.Draw(mask).text(pen, character, 255, font, anchor="ls")
        box = mask.getbbox() or (1, 1, 2, 2)
        # A pixel of nothing all round keeps the edges soft when it is rotated.
        mask = mask.crop((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1))
        return mask, (box[1] + box[3]) / 2 - pen[1]


def _set_text(text, typecase, rng, size, margin, style, around):
    """Return mask, left and top of each glyph, and the width of the image.

    `around` is the thickness of outlines, 0 for ink all through.
    """
    n, (height, width), jitter = len(text), size, style.size_jitter
    angles = rng.uniform(-style.rotation, style.rotation, n)
    shifts = [0] * n
    if style.perspective:  # without need nothing is drawn, so that what follows stays
        shifts = rng.uniform(-1, 1, (n, 4, 2)) * style.perspective
    scales = 1 + rng.uniform(-jitter, jitter, n)
    lifts = rng.uniform(-jitter, jitter, n) / 2  # ems
    gaps = rng.uniform(0.02, 0.15, n - 1) + style.spacing  # ems
    covers = rng.uniform(0, style.overlap, n - 1)  # of the narrower neighbor
    em = height * rng.uniform(0.7, 0.85)
    while em >= MIN_EM:
        sizes = np.maximum(1, np.round(em * scales)).astype(int).tolist()
        glyphs = [typecase.glyph(*pair) for pair in zip(text, sizes, strict=True)]
        bends = zip(glyphs, angles, shifts, strict=True)
        masks = [_bend_glyph(mask, *bend) for (mask, _), *bend in bends]
        if around:
            masks = [_draw_outline(mask, around) for mask in masks]
        middles = [middle for _, middle in glyphs]
        widths, heights = np.array([mask.size for mask in masks]).T
        steps = np.round(gaps * em - covers * np.minimum(widths[:-1], widths[1:]))
        if style.overlap == 0:
            steps = np.maximum(steps, 2)
        lefts = np.concatenate([[0], np.cumsum(widths[:-1] + steps)]).astype(int)
        tops = np.round(middles + lifts * em - heights / 2).astype(int)
        tops -= tops.min()
        text_width, text_height = lefts[-1] + widths[-1], (tops + heights).max()
        if width is None:
            room = text_width + int(rng.uniform(0.2, 0.8) * em), height - 2 * margin
        else:
            room = width - 2 * margin, height - 2 * margin
        fit = min(room[0] / text_width, room[1] / text_height)
        if fit >= 1:
            lefts += margin + rng.integers(room[0] - text_width, endpoint=True)
            tops += margin + rng.integers(room[1] - text_height, endpoint=True)
            placed = zip(masks, lefts.tolist(), tops.tolist(), strict=True)
            return list(placed), room[0] + 2 * margin
        em *= 0.98 * fit
    raise ValueError(
        f"size={(height, width)} has no room to draw {text[:40]!r} legibly; give a "
        "larger `size` (height, width), a smaller `length` or less `warp`"
    )


def _bend_glyph(mask, angle, shift):
    if np.any(shift):
        mask = _shift_corners(mask, shift)
    if angle:
        mask = mask.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    return mask.crop(mask.getbbox())


def _shift_corners(mask, shift):
    """Move the corners by shares of the sides, of shape (4, 2), with room to spare."""
    size = np.array(mask.size)
    room = np.ceil(np.abs(shift).max(axis=0) * size).astype(int)
    padded = ImageOps.expand(mask, border=(*room.tolist(), *room.tolist()))
    width, height = padded.size
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)])
    data = (corners + shift * size).ravel().tolist()
    return padded.transform(
        padded.size, Image.Transform.QUAD, data, Image.Resampling.BILINEAR
    )


def _make_paper(shape, gradient, color, rng):
    """Return light paper that darkens in a random direction."""
    light = rng.uniform(195, 255, 3 if color else 1)
    dark = rng.uniform(60, 120, light.size)  # by channel, so that the tint turns
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    ramp = np.sin(angle) * rows / shape[0] + np.cos(angle) * columns / shape[1]
    ramp -= ramp.min()  # (H, W)
    ramp *= gradient / max(ramp.max(), 1e-9)
    paper = light - ramp[..., None] * (light - dark)  # (H, W, 1 or 3)
    return paper.astype(np.uint8) if color else paper[..., 0].astype(np.uint8)


def _mix_inks(n_inks, color, rng):
    """Return one dark gray for all, or vivid colors that are as dark."""
    if not color:
        return [int(rng.integers(0, 80))] * n_inks
    levels = rng.uniform(0, 1, (n_inks, 3))
    levels -= levels.min(axis=1, keepdims=True)
    luma = levels @ [0.299, 0.587, 0.114] + 1e-3
    scale = np.minimum(
        rng.uniform(40, 200, n_inks) / (levels.max(axis=1) + 1e-3),
        rng.uniform(40, 95, n_inks) / luma,
    )
    return [tuple(ink) for ink in (levels * scale[:, None]).astype(int).tolist()]


def _draw_lines(canvas, inks, rng):
    width, height = canvas.size
    share = np.linspace(0, 1, 24)[:, None]  # (24, 1)
    for ink in inks:
        first, last = rng.uniform([[0, 0.1], [0.85, 0.1]], [[0.15, 0.9], [1, 0.9]])
        bends = rng.uniform([[0.2, -0.2], [0.5, -0.2]], [[0.5, 1.2], [0.8, 1.2]])
        path = (  # a cubic Bezier curve
            (1 - share) ** 3 * first
            + 3 * (1 - share) ** 2 * share * bends[0]
            + 3 * (1 - share) * share**2 * bends[1]
            + share**3 * last
        )
        # Pillow's lines have hard edges: draw at twice the size and halve.
        mask = Image.new("L", (2 * width, 2 * height))
        ImageDraw.Draw(mask).line(
            (path * mask.size).ravel().tolist(),
            fill=255,
            width=max(2, round(height * rng.uniform(0.03, 0.07))),
            joint="curve",
        )
        canvas.paste(ink, (0, 0), mask.reduce(2))


def _draw_dots(canvas, inks, rng):
    draw = ImageDraw.Draw(canvas)
    places = rng.uniform(0, canvas.size, (len(inks), 2))
    radii = rng.uniform(0.006, 0.025, len(inks)) * canvas.size[1]
    for ink, (x, y), r in zip(inks, places.tolist(), radii.tolist(), strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)


def _warp(pixels, amplitude, rng):
    """Bend along one wave across and one down, of at most that many pixels each."""
    if amplitude == 0:
        return pixels
    height, width = pixels.shape[:2]
    crests = rng.uniform(0.5, 1, 2) * amplitude
    phases = rng.uniform(0, 2 * np.pi, 2)
    periods = rng.uniform(0.8, 2, 2) * height
    rows, columns = np.mgrid[:height, :width].astype(float)
    places = [
        rows + crests[0] * np.sin(2 * np.pi * columns / periods[0] + phases[0]),
        columns + crests[1] * np.sin(2 * np.pi * rows / periods[1] + phases[1]),
    ]
    planes = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    bent = [map_coordinates(p, places, order=1, mode="nearest") for p in planes]
    return np.stack(bent, axis=2).reshape(pixels.shape)


def _add_noise(pixels, noise, rng):
    if noise == 0:
        return np.array(pixels)
    grain = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(noise)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def _check_number(name, value, kind, lowest, highest=None):
    good = isinstance(value, kind) and not isinstance(value, bool)
    if not good or not lowest <= value <= (highest or np.inf):
        what = "an int" if kind is Integral else "a number"
        span = f"from {lowest} to {highest}" if highest else f"of at least {lowest}"
        raise ValueError(f"{name}={value!r} must be {what} {span}")


def _check_vocabulary(vocabulary):
    if not isinstance(vocabulary, str) or not vocabulary:
        raise ValueError(f"vocabulary={vocabulary!r} must be a non-empty str")
    vocabulary = unicodedata.normalize("NFC", vocabulary)
    for index, character in enumerate(vocabulary):
        if character in vocabulary[:index]:
            raise ValueError(f"vocabulary={vocabulary!r} has {character!r} twice")
    return vocabulary


def _check_length(length):
    span = (length, length) if isinstance(length, Integral) else length
    pair = isinstance(span, (tuple, list)) and len(span) == 2
    if not pair or not all(map(_is_count, span)) or span[0] > span[1]:
        raise ValueError(
            f"length={length!r} must be an int of at least 1, or a pair of such ints, "
            "the smaller first"
        )
    if span[1] > MAX_LENGTH:
        raise ValueError(f"length={length!r} must be at most {MAX_LENGTH}")
    return span


def _check_size(size):
    pair = isinstance(size, (tuple, list)) and len(size) == 2
    if not pair or not all(map(_is_count, size if size[1] is not None else size[:1])):
        raise ValueError(
            f"size={size!r} must be (height, width) in pixels, two positive ints; the "
            "width may be None"
        )
    most = Image.MAX_IMAGE_PIXELS or math.inf
    if size[0] * (size[1] or 1) > most:
        raise ValueError(
            f"size={size!r} has more than the {most:,} pixels of "
            "PIL.Image.MAX_IMAGE_PIXELS; give a smaller one"
        )
    return size


def _is_count(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def _check_fonts(fonts):
    if not features.check("freetype2"):
        raise ImportError(
            "make_captchas draws with FreeType, and this Pillow was built without it; "
            "reinstall it with `pip install --force-reinstall pillow`"
        )
    if fonts is None:
        return [ImageFont.load_default(size=40)]
    if isinstance(fonts, (str, os.PathLike, ImageFont.FreeTypeFont)):
        fonts = [fonts]
    if not isinstance(fonts, (tuple, list)) or not fonts:
        raise ValueError(
            f"fonts={fonts!r} must be None, the path of a TrueType font, a "
            "FreeTypeFont or a non-empty list of these"
        )
    return [_load_font(font, f"fonts[{index}]") for index, font in enumerate(fonts)]


def _load_font(font, name):
    if isinstance(font, ImageFont.FreeTypeFont):
        return font
    if not isinstance(font, (str, os.PathLike)):
        raise ValueError(
            f"{name}={font!r} must be the path of a TrueType font or a FreeTypeFont"
        )
    if os.path.exists(font) and not os.path.isfile(font):  # to open a pipe would wait
        raise ValueError(
            f"{name}={os.fspath(font)!r} is not a regular file; give the path of a "
            ".ttf or .otf file"
        )
    try:
        return ImageFont.truetype(font, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise ValueError(
            f"{name}={os.fspath(font)!r} cannot be read as a TrueType or OpenType font "
            f"({error}); give the path of a .ttf or .otf file"
        ) from error
