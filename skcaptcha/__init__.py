"""scikit-learn for reading short text images."""

from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["CaptchaRecognizer", "__version__"]

__version__ = "0.1.0"
