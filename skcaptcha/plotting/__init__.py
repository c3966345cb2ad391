"""Displays of images, training and predictions, in the manner of scikit-learn's."""

from skcaptcha.plotting._alignment import AlignmentDisplay
from skcaptcha.plotting._confidence import ConfidenceDisplay
from skcaptcha.plotting._confusion import CharacterConfusionDisplay
from skcaptcha.plotting._label_curve import LabelCurveDisplay
from skcaptcha.plotting._label_issues import LabelIssuesDisplay
from skcaptcha.plotting._predictions import PredictionDisplay
from skcaptcha.plotting._samples import SamplesDisplay
from skcaptcha.plotting._training_curve import TrainingCurveDisplay

__all__ = [
    "AlignmentDisplay",
    "CharacterConfusionDisplay",
    "ConfidenceDisplay",
    "LabelCurveDisplay",
    "LabelIssuesDisplay",
    "PredictionDisplay",
    "SamplesDisplay",
    "TrainingCurveDisplay",
]
