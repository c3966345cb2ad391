"""Clean images and bring them to size, by functions and by scikit-learn transformers.

The transformers take images in any form that `CaptchaRecognizer.fit` does and give
lists of uint8 arrays, so that they stand before it in a Pipeline. `MedianFilter`,
`CLAHE`, `AdaptiveThreshold`, `MorphologicalOpening` and their functions need OpenCV:
``pip install "skcaptcha[preprocessing]"``.
"""

from skcaptcha.preprocessing._functions import (
    adaptive_threshold,
    dark_on_light,
    equalize_histogram,
    median_filter,
    morphological_opening,
    resize_and_pad,
    resize_image,
)
from skcaptcha.preprocessing._margins import MarginCropper, crop_margins
from skcaptcha.preprocessing._transformers import (
    CLAHE,
    AdaptiveThreshold,
    DarkOnLight,
    GrayscaleConverter,
    ImageReader,
    ImageResizer,
    MedianFilter,
    MorphologicalOpening,
)

__all__ = [
    "CLAHE",
    "AdaptiveThreshold",
    "DarkOnLight",
    "GrayscaleConverter",
    "ImageReader",
    "ImageResizer",
    "MarginCropper",
    "MedianFilter",
    "MorphologicalOpening",
    "adaptive_threshold",
    "crop_margins",
    "equalize_histogram",
    "dark_on_light",
    "median_filter",
    "morphological_opening",
    "resize_and_pad",
    "resize_image",
]
