from collections.abc import Iterable
from typing import Any, Literal

from sklearn.base import BaseEstimator

from skcaptcha._doc_links import DocLinkMixin
from skcaptcha._reader import ReaderMixin
from skcaptcha._sklearn_compat import CallbackSupportMixin
from skcaptcha._types import Array, Color, Images, Path, RandomState, Texts, Weights
from skcaptcha.model.network import CRNN
from skcaptcha.vocabulary import Vocabulary

__all__ = ["CaptchaRecognizer"]

class CaptchaRecognizer(DocLinkMixin, ReaderMixin, CallbackSupportMixin, BaseEstimator):
    vocabulary_: Vocabulary
    has_empty_labels_: bool
    network_: CRNN
    auto_choices_: dict[str, Any]
    image_height_: int
    text_rows_: tuple[float, float]
    width_stretch_: float
    color_mode_: Literal["grayscale", "rgb"]
    loss_curve_: list[float]
    learning_rate_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_iter_: int
    converged_: bool
    n_restarts_: int
    temperature_: float
    training_images_: dict[str, Any] | None
    background_: Color
    image_shape_: tuple[int, ...]
    n_features_in_: int
    feature_names_in_: Array
    feature_range_: tuple[float, float]

    vocabulary: str | Iterable[str] | None
    image_height: int | Literal["auto"]
    image_shape: tuple[int, ...] | None
    color_mode: Literal["auto", "grayscale", "rgb"]
    background: Color
    conv_channels: tuple[int, ...]
    network_size: Literal["auto", "small", "large"]
    downsampling: Literal["pooling", "stride"]
    lstm_units: int
    lstm_layers: int
    dropout: float
    pretrained: bool | Literal["auto"]
    augmentation: float
    batch_size: int | Literal["auto"]
    learning_rate_init: float
    weight_decay: float
    max_iter: int | Literal["auto"]
    early_stopping: bool | Literal["auto"]
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    freeze_convolutions: bool
    decoder: Literal["greedy", "beam"]
    beam_width: int
    multi_scale: bool
    backend: Literal["torch", "onnx"]
    checkpoint: Path | None
    checkpoint_interval: float
    device: str
    n_jobs: int | None
    cache_size: float
    random_state: RandomState
    verbose: bool | int

    def __init__(
        self,
        *,
        vocabulary: str | Iterable[str] | None = None,
        image_height: int | Literal["auto"] = "auto",
        image_shape: tuple[int, ...] | None = None,
        color_mode: Literal["auto", "grayscale", "rgb"] = "auto",
        background: Color = "white",
        conv_channels: tuple[int, ...] = (24, 48, 96, 128, 128),
        network_size: Literal["auto", "small", "large"] = "auto",
        downsampling: Literal["pooling", "stride"] = "pooling",
        lstm_units: int = 128,
        lstm_layers: int = 1,
        dropout: float = 0.3,
        pretrained: bool | Literal["auto"] = "auto",
        augmentation: float = 1.0,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 3e-3,
        weight_decay: float = 1e-2,
        max_iter: int | Literal["auto"] = "auto",
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        freeze_convolutions: bool = False,
        decoder: Literal["greedy", "beam"] = "greedy",
        beam_width: int = 10,
        multi_scale: bool = True,
        backend: Literal["torch", "onnx"] = "torch",
        checkpoint: Path | None = None,
        checkpoint_interval: float = 60.0,
        device: str = "auto",
        n_jobs: int | None = None,
        cache_size: float = 1000,
        random_state: RandomState = None,
        verbose: bool | int = False,
    ) -> None: ...
    def fit(
        self, X: Images, y: Texts, sample_weight: Weights = None
    ) -> CaptchaRecognizer: ...
    def partial_fit(
        self, X: Images, y: Texts, sample_weight: Weights = None
    ) -> CaptchaRecognizer: ...
    def prepare_images(self, X: Images) -> list[Array]: ...
