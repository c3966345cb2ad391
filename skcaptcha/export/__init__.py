"""A fitted recognizer as an ONNX file, and a reader that runs it.

ONNX files run where there is no PyTorch, and from other languages. Both directions need
``pip install "skcaptcha[onnx]"``.
"""

import lazy_loader

__all__ = ["OnnxRecognizer", "export_onnx", "load_onnx"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"_onnx": ["export_onnx"], "_reader": ["OnnxRecognizer", "load_onnx"]},
)
