"""scikit-learn for reading short text images."""

from skcaptcha._lazy import attach
from skcaptcha._version import __version__

__all__ = [
    "CaptchaEnsemble",
    "CaptchaRecognizer",
    "SelfTrainingRecognizer",
    "__version__",
    "load_pretrained",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "_pretrained": ["load_pretrained"],
        "_version": ["__version__"],
        "ensemble": ["CaptchaEnsemble"],
        "recognizer": ["CaptchaRecognizer"],
        "self_training": ["SelfTrainingRecognizer"],
    },
    submodules={
        "cli",
        "datasets",
        "exceptions",
        "export",
        "images",
        "inspection",
        "metrics",
        "persistence",
        "plotting",
        "preprocessing",
        "vocabulary",
    },
)
