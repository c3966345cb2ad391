"""scikit-learn for reading short text images."""

from skcaptcha._version import __version__
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["CaptchaRecognizer", "__version__"]
