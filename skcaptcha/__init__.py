"""scikit-learn for reading short text images."""

import lazy_loader

from skcaptcha._version import __version__

__all__ = [
    "CaptchaEnsemble",
    "CaptchaRecognizer",
    "SelfTrainingRecognizer",
    "__version__",
    "load_pretrained",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
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
    submod_attrs={
        "_pretrained": ["load_pretrained"],
        "ensemble": ["CaptchaEnsemble"],
        "recognizer": ["CaptchaRecognizer"],
        "self_training": ["SelfTrainingRecognizer"],
    },
)
