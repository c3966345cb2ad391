from collections.abc import Iterable, Sequence
from typing import Any

from skcaptcha._types import Array, Length
from skcaptcha.model.alignment import forced_alignment as forced_alignment
from skcaptcha.model.alignment import (
    sequence_log_probability as sequence_log_probability,
)

__all__ = [
    "beam_search",
    "best_path",
    "check_length",
    "forced_alignment",
    "greedy_decode",
    "rank_texts",
    "restrict",
    "sequence_log_probability",
]

def beam_search(
    log_probs: Array,
    *,
    beam_width: int = 10,
    blank: int,
    length: Length = None,
    n_best: int = 1,
) -> Any: ...
def best_path(log_probs: Array, *, blank: int, length: Length = None) -> Any: ...
def check_length(length: Length) -> Any: ...
def greedy_decode(log_probs: Array, lengths: Array, *, blank: int) -> list[Array]: ...
def rank_texts(
    candidates: Iterable[Any],
    frames: Sequence[Array],
    *,
    blank: int,
    length: Length = None,
) -> Any: ...
def restrict(
    log_probs: Array, indices: Sequence[int] | Array, *, blank: int
) -> Array: ...
