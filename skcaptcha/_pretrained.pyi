from skcaptcha._types import Color, Images
from skcaptcha.recognizer import CaptchaRecognizer

__all__ = ["load_pretrained"]

def load_pretrained(
    X: Images | None = None,
    *,
    background: Color = "white",
    device: str = "auto",
    n_jobs: int | None = None,
) -> CaptchaRecognizer: ...
