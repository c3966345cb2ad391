"""A fitted recognizer as an ONNX file, and a reader that runs it.

ONNX files run where there is no PyTorch, and from other languages. Both directions need
``pip install "skcaptcha[onnx]"``; to read, NumPy, Pillow and onnxruntime are enough.
"""

from skcaptcha._lazy import attach

__all__ = ["OnnxRecognizer", "export_onnx", "load_onnx"]

__getattr__, __dir__ = attach(
    __name__,
    {"_onnx": ["export_onnx"], "_reader": ["OnnxRecognizer", "load_onnx"]},
)
