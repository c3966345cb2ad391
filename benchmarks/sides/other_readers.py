"""Readers of other packages, as they are: `ddddocr` and PP-OCRv4 mobile of RapidOCR.

Each is given one image after another, as its users do, and what it reads with nothing
given is its own answer. Neither takes the characters in a way that changes what is
read (`set_ranges` of ddddocr only drops others from the text), so where they are given,
the best path through its own probabilities of these classes is taken.

Runs in the environment of requirements-before-labels.txt, and is started by another
script.
"""

import importlib.metadata

import numpy as np
from sides import common


def decode(probabilities, classes, characters):
    """Return the text of the best path of (T, K) through allowed classes.

    `classes` are the characters of all classes; the first is the blank.
    """
    allowed = np.array([i == 0 or c in characters for i, c in enumerate(classes)])
    path = np.where(allowed, probabilities, -1).argmax(axis=1)
    kept = (path != 0) & (np.diff(path, prepend=0) != 0)
    return "".join(classes[i] for i in path[kept])


def read_by_ddddocr(threads, paths, characters):
    """Read by both of its models; the one that it takes by default is the older."""
    import ddddocr

    texts = {}
    for model, options in {"default": {}, "beta": {"beta": True}}.items():
        reader = ddddocr.DdddOcr(show_ad=False, **options)
        texts[model] = {"characters": [], "nothing": []}
        for path in paths:
            with open(path, "rb") as file:
                found = reader.classification(file.read(), probability=True)
            frames = np.array(found["probabilities"])
            frames = frames.reshape(-1, frames.shape[-1])  # one image: (T, K)
            texts[model]["nothing"].append(found["text"])
            texts[model]["characters"].append(
                decode(frames, found["charset"], characters)
            )
    return {"texts": texts, "versions": find_versions("ddddocr", "onnxruntime")}


def read_by_rapidocr(threads, paths, characters):
    """Read by its recognition alone, as each image is one line of text."""
    import rapidocr_onnxruntime

    reader = rapidocr_onnxruntime.RapidOCR(intra_op_num_threads=threads)
    decoder, frames = reader.text_rec.postprocess_op, []

    def keep(found, *options, **more):
        frames.append(found[0])  # of the batch of one: (T, K)
        return decoder(found, *options, **more)

    reader.text_rec.postprocess_op = keep
    texts = {"characters": [], "nothing": []}
    for path in paths:
        found, _ = reader(str(path), use_det=False, use_cls=False, use_rec=True)
        texts["nothing"].append(found[0][0] if found else "")
        texts["characters"].append(decode(frames.pop(), decoder.character, characters))
    versions = find_versions("rapidocr-onnxruntime", "onnxruntime")
    return {"texts": {"PP-OCRv4 mobile": texts}, "versions": versions}


def find_versions(*names):
    return {name: importlib.metadata.version(name) for name in names}


TASKS = {"ddddocr": read_by_ddddocr, "rapidocr": read_by_rapidocr}

if __name__ == "__main__":
    common.serve(TASKS)
