"""How are the pretrained weights made that fits start from?

Out of drawn images alone: `drawings` makes each in a style of its own, and one network
learns to read them all. Needs the fonts that `pretrain_fonts/package.json` beside this
file pins: run `npm install` in that folder. Drawings and weights so far are kept in the
folder `--work`, so that the command continues where it was stopped. The same seed on
the same machine with one thread gives the same file.
"""

import argparse
import copy
import os
import tempfile
import time
from pathlib import Path

import cv2
import drawings
import numpy as np
import torch
from joblib import Parallel, delayed
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file

from skcaptcha.images._batches import make_batches
from skcaptcha.images._prepare import prepare_image
from skcaptcha.images._samples import Samples
from skcaptcha.model.network import TIME_STRIDE
from skcaptcha.model.pretrained import dequantize, place_blocks
from skcaptcha.training.fit import TrainingConfig, evaluate
from skcaptcha.training.losses import symbol_entropy
from skcaptcha.training.schedule import Schedule
from skcaptcha.training.step import Trainer
from skcaptcha.vocabulary import Vocabulary

NETWORK = {
    "n_classes": len(drawings.CHARACTERS) + 1,
    "in_channels": 3,
    "conv_channels": (24, 48, 96, 128, 128),
    "lstm_units": 128,
    "lstm_layers": 1,
    "dropout": 0.1,
}
FONTS = Path(__file__).parent / "pretrain_fonts"
WORK = Path(tempfile.gettempdir(), "skcaptcha-pretraining")
# Heights at which the network reads, each as likely as it stands here.
HEIGHTS = [32] * 5 + [40] * 8 + [48] * 6 + [56]
# Time steps that a character of an image gets, on average.
STEPS = (3.0, 9.0)
PER_SHARD = 2000
# Shards whose images are mixed in batches.
PER_GROUP = 5
# The first shards are never learned from.
N_HELD_OUT = 1


# ---- drawings, in shards ---------------------------------------------------------


def draw_shard(folder, seed, number, fonts):
    """Draw the images of a shard, unless they are there."""
    path = folder / f"{number:05d}.npz"
    if path.exists():
        return
    cv2.setNumThreads(1)
    vocabulary = Vocabulary(drawings.CHARACTERS)
    images, targets = [], []
    for one in np.random.SeedSequence([seed, number]).spawn(PER_SHARD):
        rng = np.random.default_rng(one)
        image, text = drawings.draw(rng, fonts)
        images.append(resize(image, len(text), rng))
        targets.append(vocabulary.encode(text).astype(np.uint8))
    part = path.with_suffix(f".{os.getpid()}")
    with part.open("wb") as file:
        np.savez(
            file,
            pixels=np.concatenate([image.ravel() for image in images]),
            sizes=np.array([image.shape[:2] for image in images], np.int32),
            symbols=np.concatenate(targets),
            lengths=np.array([len(target) for target in targets], np.int32),
        )
    part.replace(path)


def resize(image, n_characters, rng):
    """Return the image as a fit might show it to the network."""
    height = int(rng.choice(HEIGHTS))
    steps = image.shape[1] / image.shape[0] * height / TIME_STRIDE / n_characters
    stretch = min(max(1.0, STEPS[0] / steps), STEPS[1] / steps)
    stretch = float(np.clip(stretch * rng.choice([0.8, 1, 1, 1.25]), 0.4, 4))
    return prepare_image(
        image, height=height, stretch=stretch, color_mode="rgb", name="image"
    )


def load_shard(folder, number):
    """Return the samples of a shard by height, once it is drawn."""
    path = folder / f"{number:05d}.npz"
    while not path.exists():
        time.sleep(2)
    with np.load(path) as file:
        pixels, sizes, symbols, lengths = (
            file[name] for name in ("pixels", "sizes", "symbols", "lengths")
        )
    ends = np.cumsum(3 * sizes.prod(axis=1, dtype=np.int64))[:-1]
    targets = np.split(symbols.astype(np.int64), np.cumsum(lengths)[:-1])
    samples = {}
    for part, size, target in zip(
        np.split(pixels, ends), sizes.tolist(), targets, strict=True
    ):
        of_height = samples.setdefault(size[0], Samples([], []))
        of_height.images.append(part.reshape(*size, 3))
        of_height.targets.append(target)
    return samples


# ---- training --------------------------------------------------------------------


def recolor(image, rng):
    """Return the image with its channels swapped, gray or inverted."""
    kind = rng.random()
    if kind < 0.2:
        image = np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    elif kind < 0.6:
        image = image[:, :, rng.permutation(3)]
    return 255 - image if rng.random() < 0.2 else image


def train(folder, n_shards, n_updates, batch_size, seed, form, start=None):
    """Learn to read the shards, pass after pass; return the network.

    `form` are parameters of the network besides `NETWORK`.

    After each group of shards the state is saved, and taken up from when called again.
    """
    config = TrainingConfig(
        batch_size=batch_size,
        learning_rate_init=2e-3 if start else 3e-3,
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
    held_out = load_shard(folder, 0)
    targets = [target for samples in held_out.values() for target in samples.targets]
    schedule = Schedule(symbol_entropy(targets), n_updates, 10**9)
    trainer = Trainer({**NETWORK, **form}, config, schedule, generator)
    groups = np.arange(N_HELD_OUT, n_shards)
    groups = np.array_split(groups, max(1, len(groups) // PER_GROUP))
    state = folder / "state.pt"
    if start and not state.exists():
        load_weights(trainer.network, start)
        schedule.begin_aligned()
    done = restore(trainer, state) if state.exists() else 0
    begun, losses = time.process_time(), []
    while not schedule.finished:
        turn, position = divmod(done, len(groups))
        order = np.arange(len(groups))  # at first as they are drawn
        if turn:
            order = np.random.default_rng([seed, turn]).permutation(order)
        rng = np.random.default_rng([seed, turn, position])
        for images, targets in mix(folder, groups[order[position]], batch_size, rng):
            loss = trainer.train_step(images, targets)
            losses.append(loss)
            if schedule.step(loss):
                trainer.begin()
            if schedule.finished:
                break
        done += 1
        save_state(trainer, done, state)
        if done % 5 == 0 or schedule.finished:
            print(
                f"{schedule.update:6d} updates {time.process_time() - begun:6.0f} s "
                f"{schedule.stage:10s} loss {np.nanmean(losses):.3f} "
                f"{describe_match(trainer.network, held_out)}",
                flush=True,
            )
            losses = []
    return trainer.network.eval()


def load_weights(network, path, **options):
    """Take up the weights of an earlier file, which may know fewer characters.

    The auxiliary head stays new, and so do the characters that the file lacks. Residual
    blocks that the file lacks add little to begin with; `options` are those of
    `place_blocks`.
    """
    with safe_open(path, "numpy") as file:
        known = file.metadata()["characters"]
    order = [0, *(1 + drawings.CHARACTERS.index(character) for character in known)]
    state = network.state_dict()
    weights = dequantize(load_file(path))
    if f"blocks.{len(network.blocks) - 1}.conv.weight" not in weights:
        weights = place_blocks(weights, network, **options)
    for name, tensor in weights.items():
        if name.startswith("head."):
            state[name][order] = tensor
        elif name in state and state[name].shape == tensor.shape:
            state[name].copy_(tensor)
        else:
            raise SystemExit(f"{path} has weights of another network: {name}")


def mix(folder, numbers, batch_size, rng):
    """Yield the images and targets of batches from some shards, in random order."""
    by_height = {}
    for number in numbers:
        for height, samples in load_shard(folder, number).items():
            all_of_height = by_height.setdefault(height, Samples([], []))
            all_of_height.images += samples.images
            all_of_height.targets += samples.targets
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    batches = [
        (height, positions)
        for height, samples in sorted(by_height.items())
        for positions in make_batches(
            [image.shape[1] for image in samples.images], batch_size, generator
        )
    ]
    for k in rng.permutation(len(batches)):
        height, positions = batches[k]
        batch = by_height[height].pick(positions)
        yield [recolor(image, rng) for image in batch.images], batch.targets


def save_state(trainer, done, path):
    part = path.with_suffix(".part")
    kept = {
        "done": done,
        "network": trainer.network.state_dict(),
        "schedule": vars(trainer.schedule),
        "moments": [trainer.optimizer.state[p] for p in trainer.network.parameters()],
        "generators": [
            trainer.generator.get_state(),
            trainer.device_generator.get_state(),
        ],
    }
    torch.save(kept, part)
    part.replace(path)


def restore(trainer, path):
    """Take up a saved state; return how many groups were learned from."""
    kept = torch.load(path, weights_only=True)
    trainer.network.load_state_dict(kept["network"])
    vars(trainer.schedule).update(kept["schedule"])
    for parameter, moments in zip(
        trainer.network.parameters(), kept["moments"], strict=True
    ):
        trainer.optimizer.state[parameter].update(moments)
    trainer.generator.set_state(kept["generators"][0])
    trainer.device_generator.set_state(kept["generators"][1])
    return kept["done"]


def describe_match(network, held_out):
    """Return the exact match on drawings that were not learned from."""
    match = {h: f"{evaluate(network, s)[0]:.3f}" for h, s in sorted(held_out.items())}
    return f"exact match on other drawings, by height: {match}"


def average(network, path, share):
    """Let the weights of an earlier file have a share in those of the network.

    The network then reads what either of them does (M. Wortsman et al., "Robust
    fine-tuning of zero-shot models", CVPR 2022). Characters that the file lacks keep
    their weights.
    """
    earlier = copy.deepcopy(network)
    load_weights(earlier, path, scale=0.0)
    with torch.no_grad():
        for mean, other in zip(
            network.state_dict().values(), earlier.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(other, share)


def save(network, path, bits=16):
    """Write the weights, without the auxiliary head.

    They are in half precision; with 8 `bits` matrices are integers, with a scale for
    each row.
    """
    arrays = {}
    for name, tensor in network.state_dict().items():
        if name.startswith("auxiliary") or name.endswith("num_batches_tracked"):
            continue
        array = tensor.contiguous().numpy()
        if bits == 8 and array.ndim > 1:
            rows = tuple(range(1, array.ndim))
            scale = abs(array).max(axis=rows, keepdims=True) / 127
            scale = np.maximum(scale, 1e-6).astype(np.float16)
            arrays[name + ".scale"] = scale
            arrays[name] = np.round(array / scale).clip(-127, 127).astype(np.int8)
        else:
            arrays[name] = array.astype(np.float16)
    save_file(arrays, path, metadata={"characters": drawings.CHARACTERS})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="file of the weights (.safetensors)")
    parser.add_argument(
        "--work", type=Path, default=WORK, help=f"what is done so far (default: {WORK})"
    )
    parser.add_argument("--images", type=int, default=540_000, help="drawn, about")
    parser.add_argument("--updates", type=int, default=97_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--downsampling",
        choices=["pooling", "stride"],
        default="stride",
        help="form of the network (default: stride)",
    )
    parser.add_argument(
        "--residual-blocks",
        type=int,
        default=0,
        help="2 for the network of network_size='large' (default: 0)",
    )
    parser.add_argument("--start", type=Path, help="weights to continue from")
    parser.add_argument(
        "--start-share",
        type=float,
        default=0.0,
        help="share of the weights of --start in what is written (default: 0)",
    )
    parser.add_argument(
        "--bits",
        type=int,
        choices=[8, 16],
        default=16,
        help="of each weight in what is written (default: 16)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes that draw")
    parser.add_argument(
        "--only",
        choices=["draw", "train"],
        help="one of the two parts; the other may run beside it",
    )
    parser.add_argument(
        "--fonts", type=Path, default=FONTS, help="folder where npm installed them"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    n_shards = N_HELD_OUT + max(1, args.images // PER_SHARD)
    if args.only != "train":
        fonts = drawings.find_fonts(args.fonts)
        Parallel(n_jobs=args.jobs)(
            delayed(draw_shard)(args.work, args.seed, number, fonts)
            for number in range(n_shards)
        )
    if args.only != "draw":
        network = train(
            args.work,
            n_shards,
            args.updates,
            args.batch_size,
            args.seed,
            {
                "pooling": args.downsampling == "pooling",
                "residual_blocks": args.residual_blocks,
            },
            args.start,
        )
        if args.start_share:
            average(network, args.start, args.start_share)
        save(network, args.output, args.bits)
        print(f"{args.output}: {args.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
