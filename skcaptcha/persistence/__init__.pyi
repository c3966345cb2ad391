from typing import Any

from skcaptcha._types import Path

__all__ = ["dump", "load"]

def dump(recognizer: Any, path: Path) -> None: ...
def load(path: Path) -> Any: ...
