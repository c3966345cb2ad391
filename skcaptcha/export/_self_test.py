"""Images in an ONNX file with what a reader must read in them."""

import base64
import io
import json
from dataclasses import dataclass

from PIL import Image

from skcaptcha.images._read import read_image

SELF_TEST_KEY = "skcaptcha_self_test"
"""Key of the test in the metadata of an ONNX model."""

MAX_TEST_IMAGES = 100
"""Images that a file may hold; they are to be few and small."""


@dataclass(frozen=True)
class SelfTest:
    """Images as PNG files, and their texts."""

    images: list
    texts: list


def make_self_test(images, texts):
    """Return the `SelfTest` of uint8 arrays and texts."""
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", optimize=True)
        encoded.append(buffer.getvalue())
    return SelfTest(encoded, list(texts))


def pack_self_test(test):
    """Return a test as JSON in ASCII, the images in Base64."""
    images = [base64.b64encode(image).decode("ascii") for image in test.images]
    return json.dumps({"images": images, "texts": test.texts})


def unpack_self_test(text):
    """Return the `SelfTest` in a JSON text, which may come from anybody.

    Raises
    ------
    ValueError
        If it is not what `pack_self_test` writes.
    """
    try:
        values = json.loads(text)
        images, texts = values["images"], values["texts"]
        images = [base64.b64decode(image, validate=True) for image in images]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its test cannot be read: {error!r}") from error
    if not (
        isinstance(texts, list)
        and all(isinstance(text, str) for text in texts)
        and 1 <= len(texts) == len(images) <= MAX_TEST_IMAGES
    ):
        raise ValueError("its test does not have one text for each image")
    return SelfTest(images, texts)


def run_self_test(reader, test):
    """Return how a reader fails a `SelfTest`, in words, or ""."""
    images = [read_image(image, name="test image") for image in test.images]
    found = read_texts(reader, images)
    wrong = [i for i, text in enumerate(found) if text != test.texts[i]]
    if not wrong:
        return ""
    first = wrong[0]
    return (
        f"{len(wrong)} of its {len(images)} test images are read otherwise than they "
        f"must be, such as the one at position {first}: {found[first]!r} in place of "
        f"{test.texts[first]!r}"
    )


def read_texts(reader, images):
    """Return the text that a reader reads in each image, without its warnings."""
    return [texts[0][0] for texts in reader._read(images)[0]]
