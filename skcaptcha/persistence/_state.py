"""What a saved recognizer holds, and how it is restored."""

import inspect

import numpy as np
import torch
from sklearn.callback import CallbackContext, FitCallback

from skcaptcha.model.network import build_network

FORMAT_VERSION = 3
"""Version of the saved state. States from before there was a number count as 0."""

_VERSION, _WEIGHTS = "_format_version", "_weights"


def pack_state(state):
    """Return what is saved of the attributes of a recognizer, as a dict.

    The network becomes its weights as NumPy arrays. What `partial_fit` keeps for its
    next call is left out, and so are the callbacks and contexts of a running fit.
    """
    if any(isinstance(value, CallbackContext) for value in state.values()):
        state = {k: v for k, v in state.items() if not _belongs_to_a_fit(k, v)}
    state = {**state, _VERSION: FORMAT_VERSION}
    state.pop("_trainer", None)
    network = state.pop("network_", None)
    if network is not None:
        state[_WEIGHTS] = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in network.state_dict().items()
            if not name.startswith("auxiliary.")  # of use in training alone
        }
    return state


def _belongs_to_a_fit(name, value):
    if isinstance(value, list) and name.startswith("_"):
        return all(isinstance(item, FitCallback) for item in value)
    return isinstance(value, CallbackContext)


def unpack_state(state, estimator_class):
    """Return the attributes of a recognizer from what `pack_state` returned.

    Parameters that an earlier version did not have get the default of
    `estimator_class`. The network is on the CPU.

    Raises
    ------
    ValueError
        If the state is of a later version, or its weights do not fit its network.
    """
    state = dict(state)
    version = state.pop(_VERSION, 0)
    if version not in range(FORMAT_VERSION + 1):
        raise ValueError(
            f"The {estimator_class.__name__} was saved in format {version!r}; this "
            f"version of skcaptcha reads formats 0 to {FORMAT_VERSION}. Upgrade "
            "skcaptcha to load it, or fit it anew."
        )
    parameters = inspect.signature(estimator_class).parameters.values()
    state = {**{p.name: p.default for p in parameters}, **state}
    if version < 3 and "_network_shape" in state:
        state["_network_config"] = state.pop("_network_shape")
    weights = state.pop(_WEIGHTS, None)
    if weights is not None:
        try:
            network = build_network(state["_network_config"])
            network.auxiliary = None
            network.load_state_dict(
                {name: torch.from_numpy(np.array(w)) for name, w in weights.items()}
            )
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise ValueError(
                f"The saved {estimator_class.__name__} is damaged: its weights do not "
                f"fit its network ({error}). Load it from another copy, or fit it anew."
            ) from error
        state["network_"] = network.eval()
        # Format 1 read all rows, and its confidence was not calibrated.
        state.setdefault("text_rows_", (0.0, 1.0))
        state.setdefault("temperature_", 1.0)
    return state
