from skcaptcha import cli as cli
from skcaptcha import datasets as datasets
from skcaptcha import exceptions as exceptions
from skcaptcha import export as export
from skcaptcha import images as images
from skcaptcha import inspection as inspection
from skcaptcha import metrics as metrics
from skcaptcha import persistence as persistence
from skcaptcha import plotting as plotting
from skcaptcha import preprocessing as preprocessing
from skcaptcha import vocabulary as vocabulary
from skcaptcha._pretrained import load_pretrained as load_pretrained
from skcaptcha._version import __version__ as __version__
from skcaptcha.ensemble import CaptchaEnsemble as CaptchaEnsemble
from skcaptcha.recognizer import CaptchaRecognizer as CaptchaRecognizer
from skcaptcha.self_training import SelfTrainingRecognizer as SelfTrainingRecognizer

__all__ = [
    "CaptchaEnsemble",
    "CaptchaRecognizer",
    "SelfTrainingRecognizer",
    "__version__",
    "load_pretrained",
]
