from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["CRNN", "TIME_STRIDE", "build_network", "extend_network"]

TIME_STRIDE: int

class CRNN(torch.nn.Module):
    def __init__(
        self,
        n_classes: int,
        *,
        in_channels: int,
        conv_channels: Sequence[int],
        lstm_units: int,
        lstm_layers: int,
        dropout: float,
        pooling: bool = True,
        residual_blocks: int = 0,
    ) -> None: ...
    def forward(
        self,
        images: torch.Tensor,
        widths: Any = None,
        *,
        auxiliary: bool = False,
        generator: torch.Generator | None = None,
        all_reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
        observed: list[Any] | None = None,
    ) -> Any: ...
    def freeze_convolutions(self, frozen: bool = True) -> None: ...
    def reset_parameters(self, generator: torch.Generator | None = None) -> None: ...
    def train(self, mode: bool = True) -> CRNN: ...

def build_network(
    config: Mapping[str, Any], generator: torch.Generator | None = None
) -> CRNN: ...
def extend_network(
    network: CRNN,
    n_classes: int,
    generator: torch.Generator | None,
    *,
    auxiliary: bool = False,
) -> CRNN: ...
