"""Captchas drawn to order, read from folders and tables, or downloaded."""

from skcaptcha.datasets._check import LabeledImagesReport, check_labeled_images
from skcaptcha.datasets._fetch import fetch_captcha_images_v2
from skcaptcha.datasets._folder import load_image_folder
from skcaptcha.datasets._labeled import load_labeled_images, load_labels_csv
from skcaptcha.datasets._synthetic import make_captchas

__all__ = [
    "LabeledImagesReport",
    "check_labeled_images",
    "fetch_captcha_images_v2",
    "load_image_folder",
    "load_labeled_images",
    "load_labels_csv",
    "make_captchas",
]
