from collections.abc import Sequence
from typing import Any

from skcaptcha._types import Array

__all__ = ["forced_alignment", "sequence_log_probability"]

def forced_alignment(
    log_probs: Array, symbols: Sequence[int] | Array, *, blank: int
) -> Any: ...
def sequence_log_probability(
    log_probs: Array, lengths: Any, sequences: Any, *, blank: int
) -> Array: ...
