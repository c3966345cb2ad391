"""A network that ONNX Runtime computes, exported in memory."""

import torch
from torch import nn

from skcaptcha._optional import import_optional
from skcaptcha.export._graph import IR_VERSION, OPSET_VERSION, build_graph
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.model.normalization import Padding

_NEEDED_BY = 'backend="onnx"'


def check_onnx():
    """Return onnx and onnxruntime, or raise an ImportError that names the extra."""
    return [import_optional(m, "onnx", _NEEDED_BY) for m in ("onnx", "onnxruntime")]


class OnnxNetwork(nn.Module):
    """What a `CRNN` computes in evaluation mode, by ONNX Runtime on the CPU.

    Each call computes by one thread, and several threads may call it at once. A session
    of one thread starts none, so that one more process may be forked.

    Parameters
    ----------
    network : CRNN
        The network, on any device. It stays as it is.
    """

    def __init__(self, network):
        super().__init__()
        onnx, onnxruntime = check_onnx()
        model = onnx.helper.make_model(
            build_graph(network, "H"),  # any height
            ir_version=IR_VERSION,
            opset_imports=[onnx.helper.make_opsetid("", OPSET_VERSION)],
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,
        )

    def forward(self, images, widths=None):
        """Return log-probabilities (T, N, K) and lengths (N,), as `CRNN` does."""
        if isinstance(widths, Padding):
            widths = widths.widths
        if widths is None:
            widths = torch.full(
                (len(images),), images.shape[3], dtype=torch.int64, device="cpu"
            )
        inputs = {"images": images.contiguous().numpy(), "widths": widths.numpy()}
        try:
            (log_probs,) = self.session.run(["log_probs"], inputs)  # (N, T, K)
        except Exception as error:  # the runtime's own classes share no other base
            raise ValueError(
                f"onnxruntime cannot run the network on {len(images)} images of "
                f"{images.shape[3]} columns: {error}. Set backend='torch', or pass "
                "fewer or narrower images."
            ) from error
        log_probs = torch.from_numpy(log_probs).transpose(0, 1)
        return log_probs, widths // TIME_STRIDE
