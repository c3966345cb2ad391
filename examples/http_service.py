"""Read images over HTTP with an exported model: http_service.py captchas.onnx 8000."""

import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

from skcaptcha.export import load_onnx

MAX_BYTES = 1_000_000  # of the file of an image
Image.MAX_IMAGE_PIXELS = 1_000_000  # of what it unpacks to


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds to wait for the bytes of a request

    def do_GET(self):
        is_known = self.path == "/ready"  # the model was tested before the server ran
        self.answer(200 if is_known else 404, {"ready": is_known})

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or not 0 < int(size) <= MAX_BYTES:
            self.answer(413, {"error": f"Send an image of 1 to {MAX_BYTES} bytes."})
            self.drop_body()
            return
        image = self.rfile.read(int(size))
        try:
            (text,), (confidence,) = reader.predict([image], return_confidence=True)
        except ValueError as error:  # it is no image, or too large a one
            self.answer(422, {"error": str(error)})
        else:
            self.answer(200, {"text": text, "confidence": round(float(confidence), 4)})

    def drop_body(self):
        """Read some more before closing, or the client may lose the answer."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        left = 20 * MAX_BYTES
        while left > 0 and (data := self.rfile.read1(65536)):
            left -= len(data)

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    reader = load_onnx(sys.argv[1], n_jobs=1, self_test=True)
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
