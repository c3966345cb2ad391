from collections.abc import Iterable
from typing import Any

from skcaptcha._types import Images, Texts

__all__ = ["find_label_issues"]

def find_label_issues(
    recognizer: Any,
    X: Images,
    y: Texts,
    *,
    cv: int | Iterable[Any] | Any = 5,
    n_jobs: int | None = None,
) -> Any: ...
