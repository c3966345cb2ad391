"""What is drawn under and over the text: lines, arcs, dots, grids, faint letters."""

import cv2
import numpy as np


def draw_curve(rng, height, width, kind):
    """Return points (n, 2) of one line across the image or a part of it."""
    if kind == "across":
        x = np.array([-2, width * rng.uniform(0.3, 0.7), width + 2])
        if rng.random() < 0.4:
            x = np.sort(rng.uniform(0, width, 3))
        y = rng.uniform(0, height, 3)
    else:
        x, y = rng.uniform(0, width, 3), rng.uniform(0, height, 3)
    if kind == "straight":
        return np.array([[x[0], y[0]], [x[2], y[2]]])
    if kind == "wave":
        x = np.linspace(rng.uniform(-0.1, 0.2), rng.uniform(0.8, 1.1), 32) * width
        swing = height * rng.uniform(0.05, 0.4)
        phase = rng.uniform(0, 6.3) + x / width * rng.uniform(2, 14)
        return np.stack(
            [x, rng.uniform(0.25, 0.75) * height + swing * np.sin(phase)], 1
        )
    t = np.linspace(0, 1, 20)[:, None]
    ends = np.stack([x, y], 1)
    return (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]


def draw_line(rng, picture, color, thickness, kind, smooth):
    """Draw one line of a kind onto an image or a mask in place."""
    height, width = picture.shape[:2]
    line_type = cv2.LINE_AA if smooth else cv2.LINE_8
    color = tuple(float(c) for c in np.atleast_1d(color))
    if kind == "ellipse":
        center = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        axes = tuple(int(a) for a in rng.uniform(height * 0.1, height * 0.8, 2))
        begin = rng.uniform(0, 360)
        end = begin + (360 if rng.random() < 0.5 else rng.uniform(60, 250))
        turn = rng.uniform(0, 180)
        cv2.ellipse(
            picture, center, axes, turn, begin, end, color, thickness, line_type
        )
        return
    if kind == "scribble":
        points = rng.uniform([0, 0], [width, height], (int(rng.integers(3, 7)), 2))
    else:
        points = draw_curve(
            rng, height, width, "straight" if kind == "dashed" else kind
        )
    if kind == "dashed":
        n = int(rng.integers(4, 16)) * 2
        t = np.linspace(0, 1, n)[:, None]
        dots = np.int32((points[0] * (1 - t) + points[1] * t) * 8)
        for a, b in zip(dots[::2], dots[1::2], strict=True):
            cv2.line(picture, a.tolist(), b.tolist(), color, thickness, line_type, 3)
        return
    points = np.int32(points * 8)[None]
    cv2.polylines(picture, points, False, color, thickness, line_type, 3)


def draw_confetti(rng, image, number, length, colors, thickness=1):
    """Draw short dashes, or dots where `length` is 0."""
    height, width = image.shape[:2]
    starts = rng.uniform([0, 0], [width, height], (number, 2))
    angles = rng.uniform(0, 2 * np.pi, number)
    reach = rng.uniform(0.5, 1, number) * length
    ends = starts + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    starts, ends = np.int32(starts).tolist(), np.int32(ends).tolist()
    for k in range(number):
        color = tuple(float(c) for c in colors[k % len(colors)])
        if length:
            cv2.line(image, starts[k], ends[k], color, thickness)
        else:
            cv2.circle(image, starts[k], thickness, color, -1)


def draw_grid(rng, image, color):
    height, width = image.shape[:2]
    pitch = int(rng.integers(5, max(7, height // 2)))
    color = tuple(float(c) for c in color)
    turned = rng.random() < 0.15
    for x in range(int(rng.integers(pitch)) - (height if turned else 0), width, pitch):
        cv2.line(image, (x, 0), (x + (height if turned else 0), height), color)
    if rng.random() < 0.8 and not turned:
        for y in range(int(rng.integers(pitch)), height, pitch):
            cv2.line(image, (0, y), (width, y), color)


def draw_frame(rng, image, color):
    """Draw a border inside the image."""
    height, width = image.shape[:2]
    color = tuple(float(c) for c in color)
    at = 0 if rng.random() < 0.6 else int(rng.integers(1, 3))
    thick = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
    cv2.rectangle(image, (at, at), (width - 1 - at, height - 1 - at), color, thick)
