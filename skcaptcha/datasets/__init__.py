"""Captchas drawn to order, read from folders and tables, or downloaded."""

from skcaptcha._lazy import attach

__all__ = [
    "LabeledImagesReport",
    "check_labeled_images",
    "fetch_captcha_images_v2",
    "load_image_folder",
    "load_labeled_images",
    "load_labels_csv",
    "make_captchas",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "_check": ["LabeledImagesReport", "check_labeled_images"],
        "_fetch": ["fetch_captcha_images_v2"],
        "_folder": ["load_image_folder"],
        "_labeled": ["load_labeled_images", "load_labels_csv"],
        "_synthetic": ["make_captchas"],
    },
)
