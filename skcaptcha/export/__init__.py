"""A fitted recognizer as an ONNX file, and reading with that.

ONNX files run where there is no PyTorch, and from other languages. They need
``pip install "skcaptcha[onnx]"``; what reads them by itself needs a runtime alone.
"""

import lazy_loader

__all__ = ["OnnxRecognizer", "export_onnx", "load_onnx"]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"_onnx": ["OnnxRecognizer", "export_onnx", "load_onnx"]}
)
