"""What happens to an image once it is drawn: noise, blur, coding, color, bending."""

import io

import cv2
import numpy as np
from PIL import Image


def bend(rng, image, strength):
    """Wave, arc, swirl or tilt an image; what comes from outside is its border's."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    how = rng.random()
    if how < 0.4:
        for _ in range(2):
            length = height * rng.uniform(0.7, 3)
            swing = height * rng.uniform(0, 0.11) * strength
            phase = rng.uniform(0, 6.3)
            if rng.random() < 0.6:
                y += swing * np.sin(x * (6.28 / length) + phase, dtype=np.float32)
            else:
                x += swing * np.sin(y * (6.28 / length) + phase, dtype=np.float32)
    elif how < 0.55:  # arc
        y += height * rng.uniform(-0.5, 0.5) * strength * ((x / width - 0.5) ** 2 * 2)
    elif how < 0.7:  # swirl, or pinch
        cx, cy = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7)
        dx, dy = x - cx, y - cy
        near = np.exp(-(dx * dx + dy * dy) / (height * rng.uniform(0.5, 1.2)) ** 2)
        turn = near * rng.uniform(-0.6, 0.6) * strength
        x, y = (
            x + turn * dy - turn * turn / 2 * dx,
            y - turn * dx - turn * turn / 2 * dy,
        )
    elif how < 0.85:  # tilt
        a = rng.uniform(-0.35, 0.35, 2) * strength
        depth = 1 + a[0] * (x / width - 0.5) + a[1] * (y / height - 0.5)
        x = (x - width / 2) * depth + width / 2
        y = (y - height / 2) * depth + height / 2
    else:  # as rubber
        rows, columns = 3 + int(rng.integers(3)), 4 + int(rng.integers(6))
        field = rng.uniform(-1, 1, (rows, columns, 2)).astype(np.float32)
        field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
        x, y = (
            x + field[..., 0] * height * 0.1 * strength,
            y + field[..., 1] * (height * 0.1 * strength),
        )
    border = cv2.BORDER_REPLICATE if image.shape[2] == 3 else cv2.BORDER_CONSTANT
    x, y = x.astype(np.float32), y.astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border)


def add_grain(rng, image, clear):
    height, width = image.shape[:2]
    deep = clear * (rng.uniform(3, 35) if rng.random() < 0.8 else rng.uniform(35, 65))
    shape = (height, width, 1 if rng.random() < 0.5 else 3)
    noise = rng.standard_normal(shape, np.float32) * deep
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def add_salt(rng, image, clear):
    """Add single points of black, white or any color."""
    share = rng.uniform(0.005, 0.1) if rng.random() < 0.8 else rng.uniform(0.1, 0.25)
    share *= clear
    hit = rng.random(image.shape[:2], np.float32) < share
    how, n = rng.random(), int(hit.sum())
    image = image.copy()
    if how < 0.5:
        image[hit] = rng.integers(0, 2, (n, 1)) * 255
    elif how < 0.8:
        image[hit] = 0 if rng.random() < 0.6 else 255
    else:
        image[hit] = rng.integers(0, 256, (n, 3))
    return image


def blur(rng, image, size):
    if rng.random() < 0.7:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.4 + size * 0.03))
    length = int(rng.integers(2, 3 + int(size / 14)))
    kernel = np.zeros((length * 2 + 1,) * 2, np.float32)
    angle = rng.uniform(0, np.pi)
    reach = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = np.int32((length + np.array([reach, -reach])) * 16)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_8, 4)
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1))


def lose_detail(rng, image, size):
    height, width = image.shape[:2]
    ratio = rng.uniform(min(0.85, max(0.35, 15 / size)), 0.95)
    small = (max(4, round(width * ratio)), max(4, round(height * ratio)))
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)[rng.integers(3)]
    return cv2.resize(image, (width, height), interpolation=back)


def code_jpeg(rng, image):
    quality = int(rng.integers(15, 91))
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def reduce_colors(rng, image):
    if rng.random() < 0.5:
        step = 2 ** int(rng.integers(4, 7))
        return (image // step * step + step // 2).astype(np.uint8)
    colors = int(rng.choice([4, 8, 16, 32, 64]))
    dither = Image.Dither.FLOYDSTEINBERG if rng.random() < 0.5 else Image.Dither.NONE
    picture = Image.fromarray(image)
    palette = picture.quantize(colors, Image.Quantize.FASTOCTREE)
    if dither:
        palette = picture.quantize(colors, palette=palette, dither=dither)
    return np.asarray(palette.convert("RGB"))


def make_binary(rng, image, between):
    """Return black and white alone; `between` is a gray that parts ink and paper."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if min((gray > between).mean(), (gray <= between).mean()) < 0.04:
        return image
    how = rng.random()
    if how < 0.25:
        gray = np.asarray(Image.fromarray(gray).convert("1").convert("L"))
    elif how < 0.45:
        noise = rng.standard_normal(gray.shape, np.float32) * rng.uniform(10, 50)
        gray = np.where(gray + noise > between, 255, 0).astype(np.uint8)
    else:
        gray = np.where(gray > between, 255, 0).astype(np.uint8)
    return np.repeat(gray[..., None], 3, 2)


def change_tone(rng, image):
    gamma = np.exp(rng.uniform(-0.7, 0.7))
    low, high = rng.uniform(0, 60), rng.uniform(190, 256)
    table = low + (np.arange(256) / 255) ** gamma * (high - low)
    return cv2.LUT(image, table.astype(np.uint8))


def code_gif(image):
    coded = io.BytesIO()
    Image.fromarray(image).save(coded, "GIF")
    return np.asarray(Image.open(coded).convert("RGB"))


def photograph(rng, image, size, clear, between):
    """Do some of all this to an image, most often nothing.

    `size` is that of the letters, `clear` tells from 0 to 1 how well they can be read,
    `between` is a gray that parts ink and paper.
    """
    steps = (
        (0.08, lambda: bend(rng, image, rng.uniform(0.2, 0.8))),
        (0.12, lambda: lose_detail(rng, image, size)),
        (0.14, lambda: blur(rng, image, size)),
        (0.17, lambda: add_grain(rng, image, clear)),
        (0.09, lambda: add_salt(rng, image, clear)),
        (0.06, lambda: make_binary(rng, image, between)),
        (0.11, lambda: change_tone(rng, image)),
        (0.06, lambda: reduce_colors(rng, image)),
    )
    likely = 1.0
    for probability, step in steps:
        if rng.random() < probability * likely:
            image = step()
            likely *= 0.6
    if rng.random() < 0.04:
        image = 255 - image
    if rng.random() < 0.12:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.3:
        image = code_jpeg(rng, image)
    return image
