"""The Keras side: its example "OCR model for reading Captchas", written afresh.

Network and settings are those of https://keras.io/examples/vision/captcha_ocr/. Where
this differs from it, it is in the example's favor: each file is decoded once instead
of in each epoch, training does not stop where the loss on held-out images stays the
same for ten epochs, and the blank is the same class in training and decoding.

Runs in the environment of requirements-keras.txt, and is started by other scripts.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sides import common

WIDTH, HEIGHT = 200, 50
BATCH_SIZE = 16
READING_BATCH_SIZE = 64  # faster than the 16 of the example
EPOCHS = 100


def build_network(n_characters):
    """Build the network; class 0 is unused, the last one the blank."""
    layers = keras.layers
    convolution = {"activation": "relu", "padding": "same"}
    convolution["kernel_initializer"] = "he_normal"
    lstm = {"return_sequences": True, "dropout": 0.25}
    return keras.Sequential(
        [
            layers.Input((WIDTH, HEIGHT, 1)),
            layers.Conv2D(32, 3, **convolution),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, **convolution),
            layers.MaxPooling2D(2),
            layers.Reshape((WIDTH // 4, HEIGHT // 4 * 64)),  # (N, T, features)
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Bidirectional(layers.LSTM(128, **lstm)),
            layers.Bidirectional(layers.LSTM(64, **lstm)),
            layers.Dense(n_characters + 2, activation="softmax"),  # (N, T, K)
        ]
    )


def ctc_loss(labels, probabilities):
    """CTC loss of each sample, by the kernel that the example uses."""
    shape = tf.shape(probabilities)
    return tf.compat.v1.nn.ctc_loss(
        labels=tf.sparse.from_dense(tf.cast(labels, tf.int32)),  # without the padding
        inputs=tf.math.log(probabilities + keras.backend.epsilon()),
        sequence_length=tf.fill([shape[0]], shape[1]),
        time_major=False,
    )


def encode_texts(texts, characters):
    """Return the labels (N, L), from 1 on, padded with 0."""
    labels = np.zeros((len(texts), max(map(len, texts))), dtype=np.int32)
    for row, text in zip(labels, texts, strict=True):
        row[: len(text)] = [characters.index(character) + 1 for character in text]
    return labels


def decode_texts(probabilities, characters):
    """Return the texts of the best paths of (N, T, K), as the example does."""
    n, steps, n_classes = probabilities.shape
    found, _ = keras.ops.ctc_decode(
        probabilities,
        np.full(n, steps),
        strategy="greedy",
        mask_index=n_classes - 1,
    )
    return [
        "".join(characters[symbol - 1] for symbol in row if symbol > 0)
        for row in np.asarray(found[0])
    ]


def decode_image(data):
    """Return the image (W, H, 1) of encoded bytes, from 0 to 1."""
    image = tf.io.decode_png(data, channels=1)
    image = tf.image.convert_image_dtype(image, tf.float32)
    return tf.transpose(tf.image.resize(image, [HEIGHT, WIDTH]), [1, 0, 2])


def read_files(paths):
    """Return the images of files as a data set, decoded in parallel."""
    return tf.data.Dataset.from_tensor_slices(list(paths)).map(
        lambda path: decode_image(tf.io.read_file(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def set_threads(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def find_versions():
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


class EpochEnd(keras.callbacks.Callback):
    """Reads the held-out images after each epoch."""

    def __init__(self, progress, held_out, characters):
        super().__init__()
        self.progress, self.held_out = progress, held_out
        self.characters = characters

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = self.progress.end_epoch(self.read)

    def read(self):
        probabilities = self.model.predict(self.held_out, verbose=0)
        return decode_texts(probabilities, self.characters)


def train(
    threads,
    paths,
    texts,
    held_out,
    held_out_texts,
    target,
    max_epochs,
    seed,
    save=None,
):
    """Train until the exact match on held-out images is `target`."""
    set_threads(threads)
    keras.utils.set_random_seed(seed)
    progress = common.Progress(held_out_texts, target, max_epochs)
    characters = sorted(set("".join(texts)))
    labels = tf.data.Dataset.from_tensor_slices(encode_texts(texts, characters))
    training = tf.data.Dataset.zip(read_files(paths), labels)
    training, held_out = (
        dataset.cache().batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
        for dataset in (training, read_files(held_out))
    )
    network = build_network(len(characters))
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss=ctc_loss)
    callback = EpochEnd(progress, held_out, characters)
    network.fit(training, epochs=max_epochs or EPOCHS, callbacks=[callback], verbose=0)
    if save is not None:
        network.save_weights(Path(save) / "keras.weights.h5")
        (Path(save) / "characters.txt").write_text("".join(characters), "utf-8")
    return {**progress.summarize(), "versions": find_versions()}


def read(threads, saved, paths, texts, n_single):
    """Time the ways of reading by a network that `train` has saved."""
    set_threads(threads)
    characters = (Path(saved) / "characters.txt").read_text("utf-8")
    network = build_network(len(characters))
    network.load_weights(Path(saved) / "keras.weights.h5")
    call = tf.function(lambda batch: network(batch, training=False))
    encoded = [Path(path).read_bytes() for path in paths]
    images = [tf.io.decode_png(data, channels=1).numpy()[:, :, 0] for data in encoded]

    def read_paths():
        batches = read_files(paths).batch(READING_BATCH_SIZE)
        batches = batches.prefetch(tf.data.AUTOTUNE)
        return decode_texts(network.predict(batches, verbose=0), characters)

    def read_arrays():
        batch = np.stack(images).astype(np.float32) / 255  # (N, H, W)
        batch = batch.transpose(0, 2, 1)[..., None]  # (N, W, H, 1)
        probabilities = network.predict(batch, batch_size=READING_BATCH_SIZE, verbose=0)
        return decode_texts(probabilities, characters)

    def read_one(data):
        batch = decode_image(data)[None]
        return decode_texts(network.predict(batch, verbose=0), characters)

    def read_one_by_call(data):
        return decode_texts(call(decode_image(data)[None]), characters)

    measured = common.clock_reading(
        {"paths": read_paths, "arrays": read_arrays},
        {"one": read_one, "one_by_call": read_one_by_call},
        encoded[:n_single],
        texts,
    )
    return {**measured, "versions": find_versions()}


TASKS = {"train": train, "read": read}

if __name__ == "__main__":
    common.serve(TASKS)
