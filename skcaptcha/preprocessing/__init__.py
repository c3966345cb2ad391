"""Clean images and bring them to size, by functions and by scikit-learn transformers.

The transformers take images in any form that `CaptchaRecognizer.fit` does and give
lists of uint8 arrays, so that they stand before it in a Pipeline. `MedianFilter`,
`CLAHE`, `AdaptiveThreshold`, `MorphologicalOpening` and their functions need OpenCV:
``pip install "skcaptcha[preprocessing]"``.
"""

from skcaptcha._lazy import attach

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

__getattr__, __dir__ = attach(
    __name__,
    {
        "_crop": ["crop_margins"],
        "_functions": [
            "adaptive_threshold",
            "dark_on_light",
            "equalize_histogram",
            "median_filter",
            "morphological_opening",
            "resize_and_pad",
            "resize_image",
        ],
        "_margins": ["MarginCropper"],
        "_transformers": [
            "CLAHE",
            "AdaptiveThreshold",
            "DarkOnLight",
            "GrayscaleConverter",
            "ImageReader",
            "ImageResizer",
            "MedianFilter",
            "MorphologicalOpening",
        ],
    },
)
