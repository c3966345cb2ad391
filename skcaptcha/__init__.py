"""scikit-learn for reading short text images."""

from skcaptcha._version import __version__
from skcaptcha.ensemble import CaptchaEnsemble
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["CaptchaEnsemble", "CaptchaRecognizer", "__version__"]
