"""One image of one text: a style is chosen, letters are laid out and painted."""

import cv2
import numpy as np

from drawings import camera, marks, scenes
from drawings.captchas import draw_captcha
from drawings.colors import LUMINANCE, distance, draw_color, draw_ink, mix
from drawings.faces import draw_dots, draw_glyph, draw_segments
from drawings.letters import KINDS, Filled, Solid, grow, over, shrink
from drawings.paper import draw_paper, draw_vignette
from drawings.texts import DIGITS, LETTERS, draw_text, pick

CATEGORIES = {
    "sans-serif": 42,
    "serif": 17,
    "monospace": 14,
    "display": 15,
    "handwriting": 12,
}
LINES = {"straight": 5, "across": 5, "curve": 3, "wave": 3, "dashed": 1, "ellipse": 2,
         "scribble": 1}  # fmt: skip
# Share that `make_captchas` draws.
BY_MAKE_CAPTCHAS = 0.2
# Share of the images that are small, with fine lines and dashes; and these lines.
SMALL = 0.35
FINE = {"straight": 6, "across": 3, "curve": 3, "wave": 2, "ellipse": 2}


def draw(rng, fonts):
    """Draw one image with a text in a style of its own.

    `rng` is a generator of numpy, `fonts` is what ``find_fonts`` returned. Returns the
    image, uint8 of shape (height, width, 3), and the text.
    """
    if rng.random() < BY_MAKE_CAPTCHAS:
        return draw_captcha(rng, fonts)
    text = draw_text(rng)
    trouble = 0.4 if rng.random() < 0.4 else 1.0
    small = rng.random() < SMALL
    height = int(rng.integers(22, 46) if small else rng.integers(24, 111))
    margins = draw_margins(rng)
    paper, contrast = draw_contrast(rng, 0.35 if small else 0.2)
    size = int(np.clip(height * (1 - margins[:2].sum()) * 1.2, 15, 110))
    plain = trouble < 1 or (small and rng.random() < 0.8)
    kind = Solid if plain else pick(rng, KINDS)
    size = max(size, kind.smallest)
    painter = kind(rng, size, paper, contrast)
    hard = trouble * rng.random() ** 1.5
    glyphs = draw_glyphs(rng, text, size, fonts, painter.bold)
    placed = lay_out(rng, glyphs, size, hard)
    ink = draw_ink(rng, paper, contrast)
    own_color = rng.random() < (0.4 if small else 0.22)
    canvas, spans = paint_text(rng, placed, size, painter, ink, hard, own_color)
    x, y, w, h = cv2.boundingRect((canvas[..., 3] > 0.25).astype(np.uint8))
    if h < 8:  # thin ink of which nothing, or next to nothing, is left
        return draw(rng, fonts)
    canvas = canvas[y : y + h, x : x + w]
    top, bottom, left, right = find_borders(margins, h, w)
    shape = h + top + bottom, w + left + right
    depth = contrast * (0.45 if rng.random() < 0.8 else 0.9)
    ground = draw_paper(rng, *shape, paper, depth)
    box = top, top + h, left, left + w
    spans = [(begin - x + left, end - x + left) for begin, end in spans]
    draw_under(rng, ground, paper, size, fonts, box, spans)
    np.clip(ground, 0, 255, out=ground)
    image = ground.copy()
    if rng.random() < 0.05:  # ink that the paper shines through
        canvas *= np.float32(rng.uniform(0.45, 0.85))
    part = image[top : top + h, left : left + w]
    part *= 1 - canvas[..., 3:]
    part += canvas[..., :3]
    if rng.random() < 0.04:
        image *= draw_vignette(rng, *shape)
    image = np.clip(image, 0, 255, out=image).astype(np.uint8)
    plain = kind is Solid and size > 20
    if small and plain:
        image = scatter(rng, image, size, trouble)
    elif rng.random() < (0.6 if plain else 0.35) * trouble:
        image = draw_over(rng, image, ground, ink, size)
    between = float(LUMINANCE @ mix(paper, ink, 0.5))
    clear = trouble * min(1, distance(paper, ink) / 140, size / 36)
    if not plain:
        clear, size = clear * 0.6, size * 0.7
    image = camera.photograph(rng, fit(image), size, clear, between)
    return np.ascontiguousarray(image), text


def draw_margins(rng):
    """Return the margins above, below, left and right; as parts of the height."""
    how = rng.random()
    if how < 0.2:
        return rng.uniform(0, 0.03, 4)
    if how < 0.75:
        return rng.uniform(0.02, 0.25, 4) * [1, 1, 1.5, 1.5]
    return rng.uniform(0, 0.5, 4) ** [1.3, 1.3, 1, 1] * [1, 1, 2, 2]


def find_borders(margins, height, width):
    total = height / max(0.35, 1 - margins[:2].sum())
    top, bottom, left, right = (int(m * total) for m in margins)
    most = max(0, int(8 * (height + top + bottom)) - width)
    least = int(0.9 * (height + top + bottom)) - width  # not narrower than that
    if least > left + right:
        left, right = left + least // 2, right + least // 2
    if left + right > most:
        left = right = most // 2
    missing = int(width / 8.5) - height - top - bottom
    if missing > 0:
        top, bottom = top + missing // 2, bottom + missing // 2
    return top, bottom, left, right


def draw_contrast(rng, pale):
    """Return the color of the paper, and how far at least the ink is from it.

    `pale` is the share of the images whose ink is nearer to the paper.
    """
    how = rng.random()
    if how < 0.35:
        paper = np.full(3, 255.0)
    elif how < 0.6:
        paper = np.full(3, rng.uniform(170, 256)) - rng.uniform(0, 40, 3)
    elif how < 0.88:
        paper = draw_color(rng)
        if paper.mean() < 128 and rng.random() < 0.4:
            paper = 255 - paper
    else:
        paper = rng.uniform(0, 90, 3) * (rng.random() < 0.8)
    contrast = rng.uniform(100, 160)
    if rng.random() < pale:
        contrast = rng.uniform(40, 100)
    return paper.clip(0, 255), contrast


def choose_faces(rng, fonts, text, number, bold=False):
    """Return faces that have all the characters of the text."""
    needed, chosen = set(text), []
    weights = {name: CATEGORIES.get(name, 10) for name in fonts}
    for _ in range(2000):
        families = fonts[pick(rng, weights)]
        faces = families[rng.integers(len(families))]
        face = faces[-1 if bold else rng.integers(len(faces))]
        if needed <= face.characters:
            chosen.append(face)
            if len(chosen) == number:
                return chosen
    if not chosen:
        raise ValueError(f"No font has all of {text!r}.")
    return chosen


def draw_glyphs(rng, text, size, fonts, bold):
    """Return a picture of each letter."""
    special = rng.random()
    if set(text) <= set(DIGITS) and special < 0.15 and not bold:
        bars = rng.uniform(0.09, 0.17), rng.uniform(0, 0.5), rng.uniform(0.45, 0.65)
        return [draw_segments(digit, size, *bars) for digit in text]
    faces = choose_faces(rng, fonts, text, 1 if rng.random() < 0.85 else 3, bold)
    glyphs = [draw_glyph(faces[rng.integers(len(faces))], c, size) for c in text]
    if special > 0.975 and text.upper() == text and size > 20:
        rows, shape = rng.uniform(9, 13), int(rng.integers(3))
        return [draw_dots(glyph, rows, size, shape) for glyph in glyphs]
    if rng.random() < 0.12:  # without gray, as old libraries draw
        return [g._replace(mask=(g.mask > 100) * np.uint8(255)) for g in glyphs]
    return glyphs


def transform(mask, angle, shear, scale):
    """Return the mask turned by degrees, slanted and scaled."""
    h, w = mask.shape
    cos, sin = (scale * f(np.radians(angle)) for f in (np.cos, np.sin))
    matrix = np.array([[cos, sin + shear * cos], [-sin, cos - shear * sin]])
    to_w, to_h = (abs(matrix) @ [w, h] + 1).astype(int)
    offset = np.array([to_w, to_h]) / 2 - matrix @ [w / 2, h / 2]
    matrix = np.column_stack([matrix, offset])
    return cv2.warpAffine(mask, matrix, (int(to_w), int(to_h)))


def lay_out(rng, glyphs, size, hard):
    """Return masks and where the left upper corner of each is, from any origin."""
    n = len(glyphs)
    scales = np.ones(n)
    if rng.random() < 0.1 + 0.4 * hard:
        scales -= rng.uniform(0, 0.15 + 0.3 * hard) * rng.random(n)
    angles, shear, lift = np.zeros(n), 0.0, np.zeros(n)
    if rng.random() < 0.15 + 0.35 * hard:
        angles = rng.uniform(-1, 1, n) * rng.uniform(3, 12 + 28 * hard)
    if rng.random() < 0.2:
        shear = rng.uniform(-0.45, 0.45)
    if rng.random() < 0.15 + 0.25 * hard:
        lift = rng.uniform(-1, 1, n) * size * rng.uniform(0, 0.05 + 0.25 * hard)
    curve = rng.random()
    if curve < 0.08:  # up and down
        phase = rng.uniform(0, 6.3) + np.arange(n) * rng.uniform(0.4, 1.2)
        swing = rng.uniform(0.05, 0.3)
        lift = lift + size * swing * np.sin(phase)
        angles = angles - np.degrees(swing) * np.cos(phase) * 0.7
    elif curve < 0.14:  # rising or falling
        slope = rng.uniform(-0.25, 0.25)
        lift = lift + np.arange(n) * size * 0.6 * slope
        angles = angles - np.degrees(np.arctan(slope))
    spacing = rng.random()
    if spacing < 0.45:
        track, gap, cell = 1 + rng.uniform(-0.06, 0.15) * (rng.random() < 0.6), None, 0
    elif spacing < 0.65:  # touching or overlapping
        track, gap, cell = 1, -rng.uniform(0, 0.06 + 0.18 * hard), 0
    elif spacing < 0.87:
        track, gap, cell = 1, rng.choice([0.08, 0.25, 1]) * rng.uniform(0.2, 1), 0
    else:
        track, gap, cell = 1, None, size * rng.uniform(0.65, 1.2)
    group = int(rng.integers(2, 5)) if n >= 5 and rng.random() < 0.1 else n
    placed, pen = [], 0.0
    for k, glyph in enumerate(glyphs):
        mask = glyph.mask
        if angles[k] or shear or scales[k] < 1:
            mask = transform(mask, angles[k], shear, scales[k])
        h, w = mask.shape
        y = scales[k] * (glyph.top + glyph.mask.shape[0] / 2) - h / 2 + lift[k]
        if cell:
            x = pen + (cell - w) / 2
            pen += max(cell, w)
        elif gap is not None:
            if placed and gap < 0:  # never so far that a letter hides another
                x = pen + max(gap * size, -0.4 * min(w, placed[-1][0].shape[1]))
            else:
                x = pen + (gap * size * rng.uniform(0.7, 1.3) if placed else 0)
            pen = x + w
        else:
            x = pen + scales[k] * (glyph.left + glyph.mask.shape[1] / 2) - w / 2
            pen += glyph.advance * track * scales[k]
        if (k + 1) % group == 0:
            pen += size * 0.5
        placed.append((mask, y, x))
    return placed


def paint_text(rng, placed, size, painter, ink, hard, own_color=False):
    """Return a canvas of color times alpha, and alpha; and the letters' spans.

    A span is where a letter begins and ends; there are none where lines are bent.
    """
    pad = painter.reach + 2
    low = np.floor([min(p[k] for p in placed) for k in (1, 2)]) - pad
    high = [max(p[k] + p[0].shape[k - 1] for p in placed) + pad + 1 for k in (1, 2)]
    bent = rng.random() < 0.12 + 0.3 * hard
    extra = int(size * 0.3) if bent else 0
    height, width = (np.ceil(high - low) + 2 * extra).astype(int)
    canvas = np.zeros((height, width, 4), np.float32)
    if isinstance(painter, Filled):
        painter.prepare(height, width)
    weight = rng.choice([-1, 0, 1], p=[0.06, 0.87, 0.07]) * max(1, size // 32)
    order = np.arange(len(placed))
    if rng.random() < 0.3:
        order = order[::-1]
    for k in order:
        mask, y, x = placed[k]
        y, x = int(y - low[0]) + extra - pad, int(x - low[1]) + extra - pad
        mask = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        if weight > 0 and mask.mean() < 80:
            mask = grow(mask, weight)
        elif weight < 0:
            thin = shrink(mask, -weight)
            if thin.sum(dtype=int) > 0.45 * mask.sum(dtype=int):
                mask = thin
        color = ink
        if own_color and k:
            color = draw_ink(rng, painter.paper, painter.contrast)
        where = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
        for layer, tone in painter.layers(mask, color, where):
            over(canvas, where, layer, tone)
    if bent:
        canvas = camera.bend(rng, canvas, rng.uniform(0.2, 1))
        return canvas, []
    spans = [
        (int(x - low[1]), int(x - low[1]) + mask.shape[1]) for mask, _, x in placed
    ]
    return canvas, spans


def draw_under(rng, ground, paper, size, fonts, box, spans):
    """Draw onto the paper what the text covers."""
    how = rng.random()
    if how < 0.05:
        face = choose_faces(rng, fonts, "aA", 1)[0]
        ink = mix(paper, draw_ink(rng, paper, 80), rng.uniform(0.15, 0.45))
        letters = [c for c in LETTERS if c in face.characters]
        for _ in range(int(rng.integers(4, 40))):
            own = max(8, round(size * rng.uniform(0.25, 0.6)))
            mask = draw_glyph(face, letters[rng.integers(len(letters))], own).mask
            mask = mask[: ground.shape[0], : ground.shape[1]]
            y = int(rng.integers(ground.shape[0] - mask.shape[0] + 1))
            x = int(rng.integers(ground.shape[1] - mask.shape[1] + 1))
            part = ground[y : y + mask.shape[0], x : x + mask.shape[1]]
            part += (ink - part) * (mask[..., None] / 255)
    elif how < 0.12:
        marks.draw_grid(rng, ground, mix(paper, draw_color(rng), rng.uniform(0.2, 0.9)))
    elif how < 0.2:
        for _ in range(int(rng.integers(1, 12))):
            color = mix(paper, draw_color(rng), rng.uniform(0.2, 0.8))
            thickness = int(rng.integers(1, max(2, size // 10)))
            marks.draw_line(rng, ground, color, thickness, pick(rng, LINES), True)
    elif how < 0.26:
        scenes.draw_plate(rng, ground, box, paper, size)
    elif how < 0.36 and spans:
        scenes.draw_cells(rng, ground, box, spans, paper, size)
    if 0.18 < how < 0.28:
        face = choose_faces(rng, fonts, "aA", 1)[0]
        scenes.draw_print(rng, ground, box, paper, size, face)


def draw_over(rng, image, ground, ink, size):
    """Draw over the text: lines, dashes, dots, a frame."""
    height, width = image.shape[:2]
    if rng.random() < 0.7:
        image = strike(rng, image, ground, ink, size)
    if rng.random() < 0.18:
        colors = [draw_color(rng) for _ in range(8)]
        if rng.random() < 0.5:
            colors = [ink] if rng.random() < 0.6 else [np.zeros(3)]
        number = int(height * width / size**2 * rng.uniform(1, 12))
        length = 0 if rng.random() < 0.4 else size * rng.uniform(0.05, 0.35)
        marks.draw_confetti(rng, image, number, length, colors, 1)
    if rng.random() < 0.12:
        marks.draw_frame(rng, image, draw_color(rng))
    if rng.random() < 0.012:  # a part with ink and paper exchanged
        x = sorted(rng.integers(0, width, 2))
        image[:, x[0] : x[1]] = 255 - image[:, x[0] : x[1]]
    return image


def scatter(rng, image, size, trouble):
    """Draw fine lines, dashes and points over small letters, as sites do."""
    height, width = image.shape[:2]
    black = rng.random() < 0.45
    colors = [np.zeros(3) if black else draw_color(rng) for _ in range(8)]
    number = int(rng.integers(0, 1 + int(8 * trouble), endpoint=True))
    kind, smooth = pick(rng, FINE), rng.random() < 0.5
    for k in range(number):
        marks.draw_line(rng, image, colors[k % 8], 1, kind, smooth)
    if rng.random() < 0.5:
        share = trouble * rng.uniform(1, 9)
        length = 0 if rng.random() < 0.2 else size * rng.uniform(0.1, 0.5)
        dots = int(share * height * width / size**2)
        marks.draw_confetti(rng, image, dots, length, colors, 1 if length else 0)
    if rng.random() < 0.2:
        image = camera.add_salt(rng, image, 0.5 * trouble)
    if rng.random() < 0.2:
        marks.draw_frame(rng, image, draw_color(rng))
    return image


def strike(rng, image, ground, ink, size):
    """Draw lines through the text, or cut it by lines that show the paper."""
    number = int(rng.integers(1, 9 if rng.random() < 0.3 else 4))
    stroke = max(1, size // 12)
    thickest = max(1, min(stroke, round(stroke * 3 / number)))
    if rng.random() < 0.3:
        thickest = 1
    kind = pick(rng, LINES)
    mixed, smooth = rng.random() < 0.4, rng.random() < 0.7
    how = rng.random()
    color = ink if how < 0.55 else np.zeros(3) if how < 0.68 else draw_color(rng)
    for _ in range(number):
        if mixed:
            kind = pick(rng, LINES)
        thickness = int(rng.integers(1, thickest, endpoint=True))
        if how < 0.2:
            cut = np.zeros(image.shape[:2], np.uint8)
            thickness = min(thickness, max(1, size // 16))
            marks.draw_line(rng, cut, 255, thickness, kind, smooth)
            share = (cut / np.float32(255))[..., None]
            image = (image + (ground - image) * share).astype(np.uint8)
        else:
            color = draw_color(rng) if how > 0.8 else color
            marks.draw_line(rng, image, color, thickness, kind, smooth)
    return image


def fit(image):
    """Return the image at a height of 20 to 120."""
    height, width = image.shape[:2]
    if 20 <= height <= 120:
        return image
    ratio = min(max(height, 24), 110) / height
    to = max(8, round(width * ratio)), max(8, round(height * ratio))
    return cv2.resize(image, to, interpolation=cv2.INTER_AREA)
