"""Whether images are like those that a recognizer has learned from."""

from functools import lru_cache

import numpy as np

from skcaptcha.exceptions import UnlikeTrainingWarning

LEAST_IMAGES = 25
"""So many training images show what is usual."""

# The share of the images read above which there is a warning.
_MOST_UNLIKE = 0.1
# How far beyond what was seen an image may be, as a share of what the training images
# span. In 50 random halves of each of nine real sets not one image was beyond it.
_WIDENED = 0.5
# Of large images so many rows and columns are measured.
_ROWS, _COLUMNS = 40, 80
# Contrast below which there is no ink whose place could be told.
_LEAST_CONTRAST = 0.01
# Deviation of what is spread evenly from 0 to 1.
_EVEN = 12**-0.5
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Each measure, and how far a value may be beyond the widened range: a factor where it
# is above 1, else a difference.
_MARGINS = {
    "height": 2.0,
    "proportions": 1.3,
    "brightness": 0.1,
    "contrast": 1.5,
    "polarity": 0.3,
    "row": 0.02,
    "row_spread": 1.05,
    "column": 0.02,
    "column_spread": 1.05,
}
MEASURES = tuple(_MARGINS)
"""What is measured of an image, in the order of `measure_image`."""

_PIXELS = "pass pixels from 0 to 255"
# Measures whose values say something to a user.
_SHOWN = ("height", "proportions", "brightness", "contrast")
# What is warned of together: in which words, the measures, and the remedy.
_KINDS = (
    ("height", ("height",), "take them at that height"),
    (
        "width to height",
        ("proportions",),
        "cut them as those and keep their proportions",
    ),
    ("brightness", ("brightness",), _PIXELS),
    ("contrast", ("contrast",), _PIXELS),
    (
        "light text or dark",
        ("polarity",),
        "invert light text with skcaptcha.preprocessing.DarkOnLight, or cut light "
        "margins",
    ),
    (
        "place of the text",
        MEASURES[5:],
        "cut margins with skcaptcha.preprocessing.MarginCropper, for the fit as well",
    ),
)
_ROOM = np.array(list(_MARGINS.values()))
_IS_FACTOR = _ROOM > 1
_HEIGHT, _CONTRAST, _POLARITY = map(MEASURES.index, ("height", "contrast", "polarity"))


def measure_image(image):
    """Return the `MEASURES` of an image (H, W) or (H, W, 3), uint8, as floats.

    Ink is the distance of a pixel's luma from the median of the image. `row` and
    `column` are where its center is, as shares of the height and width, and the
    spreads are its standard deviations. Polarity is 1 where all ink is lighter than
    the median and -1 where it is darker. Brightness and contrast, the mean and the
    standard deviation of the luma, are shares of white.
    """
    height, width = image.shape[:2]
    part = image[:: -(-height // _ROWS), :: -(-width // _COLUMNS)]
    luma = part @ _LUMA if part.ndim == 3 else part.astype(np.float32)
    levels = luma.reshape(-1)
    paper = np.partition(levels, levels.size // 2)[levels.size // 2]
    levels = levels - paper
    mean = float(levels.sum()) / levels.size
    contrast = max(float(levels @ levels) / levels.size - mean**2, 0) ** 0.5 / 255
    brightness = (mean + float(paper)) / 255
    found = [float(height), width / height, brightness, max(contrast, 1e-4)]
    if contrast < _LEAST_CONTRAST:
        return [*found, 0.0, 0.5, _EVEN, 0.5, _EVEN]
    ink = np.abs(levels).reshape(luma.shape)
    down, across = map(_list_powers, luma.shape)
    sums = [(ink @ across[:, 0]) @ down, (down[:, 0] @ ink) @ across]
    found.append(mean * levels.size / float(sums[0][0]))  # polarity
    for total, first, second in np.array(sums).tolist():
        center = first / total
        deviation = max(second / total - center**2, 0) ** 0.5
        found += [center, max(deviation, 1e-3)]
    return found


@lru_cache(maxsize=256)
def _list_powers(n):
    """Return 1, x and x squared of n places from 0 to 1, of shape (n, 3)."""
    places = (np.arange(n) + 0.5) / n
    return np.stack([np.ones(n), places, places**2], axis=1).astype(np.float32)


def summarize(measures):
    """Return what images looked like: their number and the range of each measure.

    `measures` has the shape (n_images, 9). The result is the attribute
    `training_images_`.
    """
    ranges = zip(np.min(measures, axis=0), np.max(measures, axis=0), strict=True)
    pairs = ((float(low), float(high)) for low, high in ranges)
    return {"n_images": len(measures), **dict(zip(MEASURES, pairs, strict=True))}


def merge(summaries):
    """Return what the images of several summaries looked like; None if one is None."""
    if None in summaries:
        return None
    merged = {"n_images": sum(summary["n_images"] for summary in summaries)}
    for name in MEASURES:
        lows, highs = zip(*(summary[name] for summary in summaries), strict=True)
        merged[name] = (min(lows), max(highs))
    return merged


def is_summary(value):
    """Tell whether a value, which may come from anybody, is one of `summarize`."""
    if not isinstance(value, dict) or value.keys() != {"n_images", *MEASURES}:
        return False
    if type(value["n_images"]) is not int or value["n_images"] < 1:
        return False
    return all(
        isinstance(value[name], (list, tuple))
        and len(value[name]) == 2
        and all(type(v) is float and abs(v) < 1e9 for v in value[name])
        and value[name][0] <= value[name][1]
        and (value[name][0] > 0 or not is_factor)
        for name, is_factor in zip(MEASURES, _IS_FACTOR, strict=True)
    )


class SeenImages:
    """Counts images that are unlike the training images, as `summarize` has them."""

    def __init__(self, training_images):
        self._training = training_images or {}
        self._n_images = self._n_unlike = 0
        self._counts = [0] * len(_KINDS)
        self._first = [None] * len(_KINDS)
        self.is_able = self._training.get("n_images", 0) >= LEAST_IMAGES
        if self.is_able:
            low, high = _scale([self._training[name] for name in MEASURES]).T
            room = _WIDENED * (high - low) + _scale(_ROOM)
            self._low, self._high = low - room, high + room
            self._high[_HEIGHT] = np.inf  # larger images are read as well
            # White around gray paper, say, makes dark text no lighter.
            is_dark = low[_POLARITY] + high[_POLARITY] < 0
            if is_dark:
                self._low[_POLARITY] = -np.inf
            else:
                self._high[_POLARITY] = np.inf

    @classmethod
    def of(cls, reader):
        """Return one for a reader, which may be older than `training_images_`."""
        return cls(getattr(reader, "training_images_", None))

    def add(self, measures):
        """Count images by their measures, of shape (n_images, 9)."""
        if not self.is_able:
            return
        measures = np.array(measures)
        values = _scale(measures.T).T
        beyond = (values < self._low) | (values > self._high)
        # Where there is no ink, it is nowhere.
        beyond[measures[:, _CONTRAST] < _LEAST_CONTRAST, _POLARITY:] = False
        self._n_images += len(values)
        self._n_unlike += int(beyond.any(axis=1).sum())
        for kind, (_, names, _) in enumerate(_KINDS):
            columns = [MEASURES.index(name) for name in names]
            rows = np.flatnonzero(beyond[:, columns].any(axis=1))
            self._counts[kind] += len(rows)
            if len(rows) and self._first[kind] is None:
                self._first[kind] = measures[rows[0], columns[0]]

    def describe(self):
        """Return what there is to warn of, as a list of (message, category)."""
        if self._n_unlike <= _MOST_UNLIKE * self._n_images:
            return []
        found, remedies = [], {}
        for (words, names, remedy), count, value in zip(
            _KINDS, self._counts, self._first, strict=True
        ):
            if not count:
                continue
            text = f"{words} of {count}"
            if names[0] in _SHOWN:
                low, high = (f"{bound:.3g}" for bound in self._training[names[0]])
                usual = low if low == high else f"{low} to {high}"
                text += f" (such as {value:.3g}; {usual} in training)"
            found.append(text)
            remedies[remedy] = None
        message = (
            f"{self._n_unlike} of {self._n_images} images are unlike the "
            f"{self._training['n_images']} training images, so what is read may be "
            f"wrong, whatever its confidence: {', '.join(found)}. Pass images like "
            f"those ({'; '.join(remedies)}), or fit with images of both kinds."
        )
        return [(message, UnlikeTrainingWarning)]


def _scale(values):
    """Return values, a row for each measure, those that margins multiply as logs."""
    values = np.array(values, float)
    values[_IS_FACTOR] = np.log(values[_IS_FACTOR])
    return values
