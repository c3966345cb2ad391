"""What each "auto" becomes."""

import math

import pytest

from skcaptcha._auto import choose_batch_size, choose_max_iter, choose_n_held_out


@pytest.mark.parametrize(
    "n_samples, width, n_held_out, n_updates",
    [
        (50, 160, 0, 2500),
        (1000, 160, 0, 2500),
        (1000, 4000, 0, 2500),
        (4999, 160, 0, 20 * 313),
        (5600, 160, 500, 30 * 319),
        (5600, 500, 500, 29 * 319),
        (30_000, 160, 500, 11 * 1844),
        (200_000, 160, 500, 5 * 12_469),
    ],
)
def test_what_is_held_out_and_how_long_is_learned_go_with_the_images(
    n_samples, width, n_held_out, n_updates
):
    assert choose_n_held_out(n_samples, "auto", 0.1) == n_held_out
    n_training = n_samples - n_held_out
    batch_size = choose_batch_size(n_training)
    max_iter = choose_max_iter(n_training, batch_size, n_training * 40 * width)
    updates = math.ceil(n_training / batch_size)
    assert n_updates <= max_iter * updates < n_updates + updates


@pytest.mark.parametrize(
    "n_training, width, batch_size, n_updates",
    [
        (1, 160, 32, 2500),
        (600, 160, 32, 2500),
        (3000, 160, 64, 20 * 188),
        (10_000, 160, 128, 30 * 625),
        (100_000, 160, 256, 20_000),
        (100_000, 1000, 256, 20_000),  # of which a CPU would make fewer
        (10**7, 160, 512, 5 * 19_532),
    ],
)
def test_on_a_gpu_as_many_updates_learn_from_more_images(
    n_training, width, batch_size, n_updates
):
    assert choose_batch_size(n_training, "cuda") == batch_size
    n_pixels = n_training * 40 * width
    max_iter = choose_max_iter(n_training, batch_size, n_pixels, "cuda")
    updates = math.ceil(n_training / batch_size)
    assert n_updates <= max_iter * updates < n_updates + updates


def test_holding_out_too_many_is_refused():
    assert choose_n_held_out(10, True, 0.1) == 1
    assert choose_n_held_out(10, False, 0.1) == 0
    with pytest.raises(ValueError, match=r"validation_fraction=0.9 of 10 .* leaves 1"):
        choose_n_held_out(10, True, 0.9)


def test_a_fit_keeps_and_prints_what_it_chose(quick, capsys):
    recognizer = quick(image_height="auto", batch_size="auto", verbose=2)
    assert recognizer.auto_choices_ == {
        "image_height": 48,
        "text_rows": (0.0, 1.0),
        "width_stretch": recognizer.width_stretch_,
        "color_mode": "grayscale",
        "start": "random weights",
        "device": str(next(recognizer.network_.parameters()).device),
        "network_size": "small",
        "n_held_out": 0,
        "batch_size": 8,
        "max_iter": 1,
    }
    printed = capsys.readouterr().err
    assert "batch_size     8\n" in printed and "start          random" in printed
    quick(verbose=1)
    assert "batch_size" not in capsys.readouterr().err
