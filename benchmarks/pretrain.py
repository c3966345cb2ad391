"""How are the pretrained weights made that fits start from?

Out of drawn images alone: those of `make_captchas` in many styles, each with fonts,
size, hardness and harm of its own, teach one network digits and Latin letters. Needs
the fonts that `pretrain_fonts/package.json` beside this file pins: run `npm install` in
that folder. The same seed on the same machine with one thread gives the same file.
"""

import argparse
import io
import math
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from safetensors.numpy import save_file

from skcaptcha.datasets import make_captchas
from skcaptcha.images._batches import make_batches
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._samples import Samples
from skcaptcha.model.pretrained import CHARACTERS
from skcaptcha.training.fit import TrainingConfig, evaluate
from skcaptcha.training.losses import symbol_entropy
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer
from skcaptcha.vocabulary import Vocabulary

DIGITS, LOWER, UPPER = CHARACTERS[:10], CHARACTERS[10:36], CHARACTERS[36:]
VOCABULARIES = [CHARACTERS] * 4 + [DIGITS + LOWER] * 3 + [DIGITS + UPPER] * 2 + [DIGITS]
# Heights at which the network reads, each as likely as it stands here.
HEIGHTS = [32] * 6 + [40] * 8 + [48] * 5 + [56]
IMAGES_PER_STYLE = 24
NETWORK = {
    "n_classes": len(CHARACTERS) + 1,
    "in_channels": 3,
    "conv_channels": (24, 48, 96, 128, 128),
    "lstm_units": 128,
    "lstm_layers": 1,
    "dropout": 0.1,
}
FONTS = Path(__file__).parent / "pretrain_fonts"
# Letters whose small and large forms differ in shape, where a font has both.
TWO_FORMS = "abdeghnqrt"
# Correlation of their pictures from which on they are the same ones.
ALIKE = 0.57


def find_fonts(folder=FONTS):
    """Return the files of fonts that have small letters, and of those that have none.

    They are up to three weights of each family that ``npm install`` put into `folder`.
    """
    cased, others = [], []
    for family in sorted(folder.glob("node_modules/@fontsource/*")):
        files = {
            int(path.stem.split("-")[-2]): path
            for path in family.glob(f"files/{family.name}-latin-[0-9]*-normal.woff")
        }
        weights = {min(files), max(files), min(files, key=lambda w: abs(w - 400))}
        for path in (str(files[weight]) for weight in sorted(weights)):
            (cased if has_small_letters(path) else others).append(path)
    if not cased:
        raise SystemExit(f"There are no fonts in {folder}; run `npm install` there.")
    return cased, others


def has_small_letters(path):
    """Tell whether small letters have shapes of their own."""
    font = ImageFont.truetype(path, 48)

    def draw(character):
        mask = font.getmask(character)
        picture = Image.frombytes("L", mask.size, bytes(mask))
        picture = picture.crop(picture.getbbox()).resize((24, 24))
        return np.asarray(picture, dtype=float).ravel()

    alike = [np.corrcoef(draw(c), draw(c.upper()))[0, 1] for c in TWO_FORMS]
    return np.mean(alike) < ALIKE


def draw_style(rng, cased, others):
    """Choose how hard a set of images is, and how it looks."""
    height = int(rng.integers(28, 73))
    longest = int(rng.integers(3, 9))
    shortest = int(rng.integers(3, longest, endpoint=True))
    spacing = rng.uniform(0, 1.5) if rng.random() < 0.3 else 0
    width = None
    if rng.random() < 0.6:
        width = int(height * ((rng.uniform(0.45, 0.85) + spacing) * longest + 0.5))
    vocabulary = VOCABULARIES[rng.integers(len(VOCABULARIES))]
    fonts = cased if set(LOWER) & set(vocabulary) else cased + others
    n_fonts = min(int(rng.integers(1, 7)), len(fonts))
    chosen = rng.choice(len(fonts), size=n_fonts, replace=False)
    hard = rng.uniform(0, 1.3)
    return {
        "vocabulary": vocabulary,
        "length": (shortest, longest),
        "size": (height, width),
        "color": bool(rng.random() < 0.6),
        "fonts": [fonts[i] for i in chosen],
        "rotation": hard * rng.uniform(0, 35),
        "perspective": min(0.4, hard * rng.uniform(0, 0.35)) * (rng.random() < 0.5),
        "warp": min(0.1, hard * rng.uniform(0, 0.08)),
        "overlap": hard * rng.uniform(0, 0.3),
        "spacing": spacing,
        "size_jitter": hard * rng.uniform(0, 0.3),
        "lines": int(rng.integers(0, 5)),
        "dots": int(rng.integers(0, 60) * rng.choice([0, 1, 1, 3])),
        "gradient": rng.uniform(0, 0.6) * (rng.random() < 0.6),
        "noise": rng.uniform(0, 20) * (rng.random() < 0.6),
    }


def draw_harm(rng):
    """Choose what is done to all images of a set once they are drawn."""
    return {
        "margin": rng.uniform(0, 0.7) if rng.random() < 0.3 else 0,
        "fade": rng.uniform(0.4, 1) if rng.random() < 0.4 else 0,
        "weight": rng.choice([-1, 0, 0, 0, 0, 0, 0, 1]),
        "mosaic": rng.random() < 0.05,
        "tint": rng.uniform([160] * 3, [256] * 3) if rng.random() < 0.3 else None,
        "grid": int(rng.integers(6, 20)) if rng.random() < 0.07 else 0,
        "speckle": rng.uniform(0, 0.1) if rng.random() < 0.1 else 0,
        "strokes": int(rng.integers(1, 8)) if rng.random() < 0.3 else 0,
        "stroke_ink": None if rng.random() < 0.5 else int(rng.integers(0, 256)),
        "blur": rng.uniform(0.3, 1.1) if rng.random() < 0.3 else 0,
        "jpeg": int(rng.integers(25, 90)) if rng.random() < 0.25 else 0,
        "invert": rng.random() < 0.2,
        "channels": rng.permutation(3),
    }


def harm(image, how, rng):
    """Return the image as a worse camera, printer or programmer would have made it."""
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=2)
    if how["margin"]:
        top, bottom, left, right = (
            rng.uniform(0, how["margin"], 4) * image.shape[0]
        ).astype(int)
        paper = np.median(image, axis=(0, 1))
        padded = np.empty(
            (image.shape[0] + top + bottom, image.shape[1] + left + right, 3), np.uint8
        )
        padded[:] = paper
        padded[top : top + image.shape[0], left : left + image.shape[1]] = image
        image = padded
    if how["fade"]:  # ink that is hardly darker than the paper
        left = 1 - rng.uniform(0, how["fade"]) * rng.uniform(0.5, 1)
        image = (255 - (255 - image) * left).astype(np.uint8)
    if how["tint"] is not None:  # light becomes a color, dark its complement's shade
        light, dark = how["tint"], (256 - how["tint"]) / 1.5
        image = (dark + image / 255 * (light - dark)).astype(np.uint8)
    picture = Image.fromarray(image)
    if how["weight"]:  # bolder or lighter
        grow = ImageFilter.MinFilter if how["weight"] > 0 else ImageFilter.MaxFilter
        picture = picture.filter(grow(3))
    if how["mosaic"]:
        small = picture.resize([max(1, side // 2) for side in picture.size], Image.BOX)
        picture = small.resize(picture.size, Image.NEAREST)
    pen = ImageDraw.Draw(picture)
    if how["grid"]:
        ink = tuple(rng.integers(60, 220, 3).tolist())
        for x in range(how["grid"] // 2, picture.width, how["grid"]):
            pen.line((x, 0, x, picture.height), fill=ink)
        for y in range(how["grid"] // 2, picture.height, how["grid"]):
            pen.line((0, y, picture.width, y), fill=ink)
    for _ in range(how["strokes"]):
        ends = rng.uniform([0, 0, 0, 0], [*picture.size, *picture.size]).tolist()
        ink = how["stroke_ink"]
        ink = (0, 0, 0) if ink is None else tuple(rng.integers(0, ink + 1, 3).tolist())
        pen.line(ends, fill=ink, width=int(rng.integers(1, 3)))
    if how["blur"]:
        picture = picture.filter(ImageFilter.GaussianBlur(how["blur"]))
    if how["jpeg"]:
        coded = io.BytesIO()
        picture.save(coded, "JPEG", quality=how["jpeg"])
        picture = Image.open(coded)
    image = np.array(picture)
    if how["speckle"]:
        hit = rng.random(image.shape[:2]) < how["speckle"]
        image[hit] = rng.choice([0, 255], (hit.sum(), 1))
    if how["invert"]:
        image = 255 - image
    return image[:, :, how["channels"]]


def draw_set(seed, fonts):
    """Draw the images of one style; return the height and the samples."""
    rng = np.random.default_rng(seed)
    style = draw_style(rng, *fonts)
    while True:
        try:
            images, texts = make_captchas(
                IMAGES_PER_STYLE, random_state=int(rng.integers(2**31)), **style
            )
            break
        except ValueError:  # the fonts lack letters, or the text has no room
            style = draw_style(rng, *fonts)
    how = draw_harm(rng)
    height = int(rng.choice(HEIGHTS))
    steps = np.median([i.shape[1] / i.shape[0] for i in images]) * height / 4
    needed = 3 * np.median([len(text) for text in texts]) / steps
    stretch = max(1.0, min(needed, 4)) * rng.choice([1, 1, 1.25])
    images = [
        prepare_image(
            harm(image, how, rng),
            height=height,
            stretch=stretch,
            color_mode="rgb",
            name="image",
        )
        for image in images
    ]
    vocabulary = Vocabulary(CHARACTERS)
    return height, Samples(images, [vocabulary.encode(text) for text in texts])


def draw_sets(seed, n_images, jobs, fonts):
    """Return a dict from height to samples."""
    seeds = np.random.SeedSequence(seed).spawn(math.ceil(n_images / IMAGES_PER_STYLE))
    sets = {}
    draw = delayed(draw_set)
    for height, drawn in Parallel(n_jobs=jobs)(draw(s, fonts) for s in seeds):
        samples = sets.setdefault(height, Samples([], []))
        samples.images += drawn.images
        samples.targets += drawn.targets
    return dict(sorted(sets.items()))


def train(sets, held_out, n_updates, batch_size, seed):
    """Learn to read the sets; return the network."""
    config = TrainingConfig(
        batch_size=batch_size,
        learning_rate_init=3e-3,
        weight_decay=0.01,
        max_iter=1,
        n_iter_no_change=1,
        tol=0.0,
        augmentation=1.0,
        freeze_convolutions=False,
        device=torch.device("cpu"),
        verbose=False,
    )
    generator = torch.Generator().manual_seed(seed)
    targets = [target for samples in sets.values() for target in samples.targets]
    schedule = Schedule(symbol_entropy(targets), n_updates, 10**9)
    trainer = Trainer(NETWORK, config, schedule, generator)
    begun = time.perf_counter()
    losses = []
    while not schedule.finished:
        batches = [
            (height, positions)
            for height, samples in sets.items()
            for positions in make_batches(
                [image.shape[1] for image in samples.images], batch_size, generator
            )
        ]
        for k in torch.randperm(len(batches), generator=generator).tolist():
            height, positions = batches[k]
            samples = sets[height]
            loss = trainer.train_step(
                [samples.images[i] for i in positions],
                [samples.targets[i] for i in positions],
            )
            losses.append(loss)
            if schedule.step(loss):
                trainer.begin()
            if schedule.finished:
                break
            if schedule.update % 1000 == 0:
                print(
                    f"{schedule.update:6d} updates {time.perf_counter() - begun:6.0f} s"
                    f" {schedule.stage:10s} loss {np.mean(losses[-1000:]):.3f} "
                    f"{describe_match(trainer.network, held_out)}",
                    flush=True,
                )
    return trainer.network.eval()


def describe_match(network, held_out):
    match = {h: f"{evaluate(network, s)[0]:.3f}" for h, s in held_out.items()}
    return f"exact match on other styles, by height: {match}"


def save(network, path):
    """Write the weights, without the auxiliary head, in half precision."""
    arrays = {
        name: tensor.numpy().astype(np.float16)
        for name, tensor in network.state_dict().items()
        if not name.startswith("auxiliary") and not name.endswith("num_batches_tracked")
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(arrays, path, metadata={"characters": CHARACTERS})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="file of the weights (.safetensors)")
    parser.add_argument("--images", type=int, default=100_000, help="drawn, about")
    parser.add_argument("--updates", type=int, default=16_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes that draw")
    parser.add_argument(
        "--held-out", type=int, default=960, help="images to measure on, about"
    )
    parser.add_argument(
        "--fonts", type=Path, default=FONTS, help="folder where npm installed them"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    fonts = find_fonts(args.fonts)
    sets = draw_sets(args.seed, args.images, args.jobs, fonts)
    held_out = draw_sets(args.seed + 1, args.held_out, args.jobs, fonts)
    for height, samples in sets.items():
        print(f"{len(samples)} images read at a height of {height}", flush=True)
    network = train(sets, held_out, args.updates, args.batch_size, args.seed)
    print(describe_match(network, held_out))
    save(network, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
