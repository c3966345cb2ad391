"""What a saved recognizer holds, and how it comes back from that."""

import inspect

import numpy as np
import torch

from skcaptcha.model.network import build_network

__all__ = ["DURING_FIT", "FORMAT_VERSION", "pack_state", "unpack_state"]

FORMAT_VERSION = 3
"""Version of the saved form. 0, before there was a number, reads as 1 does."""

DURING_FIT = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
"""What scikit-learn keeps on an estimator while it is fitted."""

_VERSION, _WEIGHTS = "_format_version", "_weights"


def pack_state(state):
    """Return what is saved of the attributes of a recognizer.

    Parameters
    ----------
    state : dict
        The attributes.

    Returns
    -------
    dict
        The network is replaced by its weights in plain NumPy arrays. What `partial_fit`
        keeps for its next call, which is more than the weights, is left out, and so
        is what scikit-learn keeps while `fit` runs.
    """
    state = {**state, _VERSION: FORMAT_VERSION}
    for name in ("_trainer", *DURING_FIT):
        state.pop(name, None)
    network = state.pop("network_", None)
    if network is not None:
        state[_WEIGHTS] = {
            name: tensor.detach().cpu().numpy()
            for name, tensor in network.state_dict().items()
            if not name.startswith("auxiliary.")
        }
    return state


def unpack_state(state, estimator_class):
    """Return the attributes of a recognizer from what was saved of it.

    Parameters
    ----------
    state : dict
        What `pack_state` returned, now or in an earlier version.
    estimator_class : type
        Its parameters get their default where the state knows nothing of them.

    Returns
    -------
    dict
        The attributes, the network on the CPU among them.

    Raises
    ------
    ValueError
        If the state is of a later version, or its weights make no network.
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
    if "_network_shape" in state:  # its name up to format 2
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
                f"The saved {estimator_class.__name__} is damaged, its weights and its "
                f"network do not belong together: {error}. Load it from another copy, "
                "or fit it anew."
            ) from error
        state["network_"] = network.eval()
        state.setdefault("temperature_", 1.0)  # of before it was kept
        state.setdefault("text_rows_", (0.0, 1.0))  # format 1 read all of them
    return state
