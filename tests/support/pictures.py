"""What is seen of a figure: the texts that are drawn, and where."""

from unittest import mock

import numpy as np
from matplotlib.text import Text


def draw(figure):
    """Draw a figure; return the texts that are seen in it, and their boxes in pixels.

    The boxes are an array of shape (n_texts, 4): left, bottom, right, top.
    """
    seen = []
    draw_text = Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            seen.append(text)
        return draw_text(text, renderer, *args, **kwargs)

    with mock.patch.object(Text, "draw", record):
        figure.draw_without_rendering()
    boxes = [text.get_window_extent().extents for text in seen]
    return [text.get_text() for text in seen], np.array(boxes).reshape(-1, 4)


def find_faults(figure, *, cut=1, overlap=1.5):
    """Return the texts that reach out of a figure, and the pairs that overlap.

    By more than `cut` and `overlap` pixels.
    """
    texts, boxes = draw(figure)
    edge = figure.bbox.extents
    out = (boxes[:, :2] < edge[:2] - cut) | (boxes[:, 2:] > edge[2:] + cut)
    faults = [texts[i] for i in np.flatnonzero(out.any(axis=1))]
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    shared = np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])
    pairs = np.argwhere(np.triu(shared.min(axis=2, initial=np.inf) > overlap, k=1))
    return faults + [(texts[i], texts[j]) for i, j in pairs]
