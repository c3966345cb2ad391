"""Captchas drawn to order: what each parameter does."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont, features
from scipy.ndimage import label

from skcaptcha.datasets import make_captchas

PLAIN = {
    "rotation": 0,
    "perspective": 0,
    "warp": 0,
    "overlap": 0,
    "size_jitter": 0,
    "lines": 0,
    "dots": 0,
    "gradient": 0,
    "noise": 0,
}
DEJAVU = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def ink_of(image):
    """Where a captcha on even paper has ink."""
    return np.abs(image.astype(int) - image[0, 0]).reshape(*image.shape[:2], -1).max(2)


def test_shapes_types_and_texts_are_as_asked():
    images, texts = make_captchas(
        20, vocabulary="ab", length=(2, 4), size=(40, 90), random_state=0
    )
    assert len(images) == len(texts) == 20
    assert {image.shape for image in images} == {(40, 90)}
    assert {image.dtype for image in images} == {np.dtype("uint8")}
    assert {len(text) for text in texts} == {2, 3, 4}
    assert set("".join(texts)) == {"a", "b"}


def test_color_images_have_three_unequal_channels():
    images, _ = make_captchas(2, color=True, random_state=0)
    for image in images:
        assert image.shape == (50, 150, 3)
        assert (np.ptp(image.astype(int), axis=2) > 60).any()


def test_default_texts_have_five_characters_and_double_some():
    _, texts = make_captchas(200, random_state=0)
    assert {len(text) for text in texts} == {5}
    assert any(a == b for text in texts for a, b in zip(text, text[1:], strict=False))
    assert not set("".join(texts)) & set("01ijloqsz")


def test_same_seed_same_images_and_a_longer_call_starts_like_a_shorter_one():
    images, texts = make_captchas(4, length=(3, 6), random_state=7)
    more_images, more_texts = make_captchas(9, length=(3, 6), random_state=7)
    assert more_texts[:4] == texts
    for image, other in zip(images, more_images, strict=False):
        np.testing.assert_array_equal(image, other)


def test_seeds_share_no_image():
    seen = {
        image.tobytes()
        for seed in range(5)
        for image in make_captchas(20, random_state=seed)[0]
    }
    assert len(seen) == 100


def test_a_random_state_instance_moves_on():
    state = np.random.RandomState(0)
    first, second = (make_captchas(3, random_state=state)[1] for _ in range(2))
    assert first != second
    assert first == make_captchas(3, random_state=np.random.RandomState(0))[1]


def test_no_random_state_draws_afresh_and_leaves_the_global_one_alone():
    before = np.random.get_state()[1].copy()
    assert make_captchas(5)[1] != make_captchas(5)[1]
    make_captchas(1, random_state=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("size", [(40, 60), (50, 150), (100, 120), (40, None)])
@pytest.mark.parametrize(
    "hard",
    [
        {},
        {"rotation": 180},
        {"perspective": 0.4},
        {"warp": 0.25},
        {"overlap": 0.75},
        {"color": True},
        {"outline": 1},
    ],
)
def test_no_character_touches_the_border(size, hard):
    knobs = {**PLAIN, "size_jitter": 0.5, **hard}
    images, _ = make_captchas(
        20, length=(2, 4), vocabulary="Wgjpy8", size=size, random_state=0, **knobs
    )
    for image in images:
        ink = ink_of(image)
        assert ink.max() > 50
        assert not ink[[0, -1]].any()
        assert not ink[:, [0, -1]].any()


def test_perspective_bends_each_character_in_its_own_way():
    def count_differing(perspective):
        images, _ = make_captchas(
            20,
            vocabulary="I",
            length=2,
            size=(60, 160),
            random_state=0,
            **{**PLAIN, "perspective": perspective},
        )
        differing = 0
        for image in images:
            marks, n_marks = label(ink_of(image) > 50)
            assert n_marks == 2
            first, second = (marks == 1).sum(), (marks == 2).sum()
            differing += abs(first - second) > 0.05 * first
        return differing

    assert count_differing(0) == 0
    assert count_differing(0.3) >= 12


def test_spacing_moves_characters_apart_by_shares_of_the_font_size():
    def gaps(spacing):
        images, _ = make_captchas(
            20,
            vocabulary="HM",
            length=2,
            size=(40, None),
            random_state=0,
            **{**PLAIN, "spacing": spacing},
        )
        inked = [np.flatnonzero(ink_of(image).any(axis=0)) for image in images]
        return np.array([np.diff(columns).max() for columns in inked])

    wider = gaps(1) - gaps(0)
    assert wider.min() > 0.6 * 0.7 * 40  # the font size is 0.7 to 0.85 of the height
    assert wider.max() < 0.85 * 40 + 2


@pytest.mark.parametrize("hard", [{}, {"rotation": 20}, {"outline": 1}])
def test_without_overlap_there_is_a_gap_between_any_two_characters(hard):
    images, _ = make_captchas(
        20, vocabulary="abcdmw", random_state=0, **{**PLAIN, **hard}
    )
    for image in images:
        assert label(ink_of(image).any(axis=0))[1] == 5


def test_characters_stand_from_left_to_right():
    images, texts = make_captchas(30, vocabulary="tm", random_state=0, **PLAIN)
    for image, text in zip(images, texts, strict=True):
        runs, n_runs = label(ink_of(image).any(axis=0))
        widths = np.bincount(runs)[1:]
        assert n_runs == 5
        assert "".join("m" if width > 13 else "t" for width in widths) == text


def test_plain_images_hold_paper_ink_and_soft_edges_only():
    (image,), _ = make_captchas(1, random_state=0, **PLAIN)
    levels, counts = np.unique(image, return_counts=True)
    assert counts[-1] > image.size / 2  # the paper
    assert levels[0] < 80 and levels[-1] >= 195


@pytest.mark.parametrize(
    "knob", ["rotation", "perspective", "warp", "overlap", "size_jitter", "gradient"]
)
def test_each_share_changes_the_image(knob):
    (plain,), (text,) = make_captchas(1, random_state=0, **PLAIN)
    (image,), (same,) = make_captchas(1, random_state=0, **{**PLAIN, knob: 0.25})
    assert text == same
    assert (image != plain).any()


@pytest.mark.parametrize(
    ("knob", "value", "least"),
    [("lines", 3, 150), ("dots", 80, 80), ("noise", 20, 5e3)],
)
def test_each_disturbance_covers_paper(knob, value, least):
    (plain,), _ = make_captchas(1, random_state=0, **PLAIN)
    (image,), _ = make_captchas(1, random_state=0, **{**PLAIN, knob: value})
    paper = plain == plain[0, 0]
    assert (image[paper] != np.median(image[paper])).sum() >= least


def test_gradient_darkens_the_paper_by_the_share_asked_for():
    spans = []
    for gradient in [0.25, 1]:
        (image,), _ = make_captchas(
            1,
            vocabulary=".",
            length=1,
            random_state=0,
            **{**PLAIN, "gradient": gradient},
        )
        spans.append(int(image.max()) - int(np.sort(image.ravel())[100]))
    assert spans[1] == pytest.approx(4 * spans[0], rel=0.1)


def test_width_none_grows_with_the_text():
    images, texts = make_captchas(
        20, length=(2, 8), size=(40, None), vocabulary="n", random_state=0, **PLAIN
    )
    short = max(i.shape[1] for i, t in zip(images, texts, strict=True) if len(t) < 4)
    long = min(i.shape[1] for i, t in zip(images, texts, strict=True) if len(t) > 6)
    assert short < long
    assert {image.shape[0] for image in images} == {40}


def test_long_text_is_shrunk_to_fit():
    (image,), _ = make_captchas(
        1, vocabulary="m", length=12, size=(60, 160), random_state=0, **PLAIN
    )
    assert label(ink_of(image).any(axis=0))[1] == 12


def test_size_without_room_is_an_error():
    message = r"size=\(20, 30\) has no room to draw '\w{9}' legibly; give a larger"
    with pytest.raises(ValueError, match=message):
        make_captchas(1, length=9, size=(20, 30))


@pytest.mark.parametrize("font", [DEJAVU, str(DEJAVU)])
def test_fonts_are_taken_as_paths_or_as_pillow_fonts(font):
    expected, _ = make_captchas(1, random_state=0, fonts=[ImageFont.truetype(DEJAVU)])
    images, _ = make_captchas(1, random_state=0, fonts=font)
    np.testing.assert_array_equal(images, expected)
    assert (images[0] != make_captchas(1, random_state=0)[0][0]).any()


def test_any_character_the_font_has_can_be_drawn():
    _, texts = make_captchas(
        20, vocabulary="e\u0301ЖΩ7", fonts=DEJAVU, random_state=0
    )  # a composed character counts as one
    assert set("".join(texts)) == {"é", "Ж", "Ω", "7"}


@pytest.mark.parametrize("character", ["漢", " "])
def test_a_character_the_font_lacks_is_an_error(character):
    with pytest.raises(ValueError, match=f"Aileron.*nothing to draw for '{character}'"):
        make_captchas(1, vocabulary="a" + character)


def test_a_font_that_cannot_be_read_is_an_error(tmp_path):
    path = tmp_path / "no.ttf"
    path.write_bytes(b"no font")
    with pytest.raises(ValueError, match=r"fonts\[1\]='.*no\.ttf' cannot be read"):
        make_captchas(1, fonts=[DEJAVU, path])


def test_pillow_without_freetype_is_an_error(monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(ImportError, match="built without it; reinstall"):
        make_captchas(1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "n_samples=0 must be an int of at least 1"),
        ({"n_samples": 2.0}, "n_samples=2.0 must be an int of at least 1"),
        ({"vocabulary": ""}, "vocabulary='' must be a non-empty str"),
        ({"vocabulary": ["a"]}, "vocabulary=['a'] must be a non-empty str"),
        ({"vocabulary": "aba"}, "vocabulary='aba' has 'a' twice"),
        ({"length": 0}, "length=0 must be an int of at least 1, or a pair"),
        ({"length": (5, 3)}, "length=(5, 3) must be an int of at least 1, or a pair"),
        ({"length": "5"}, "length='5' must be an int of at least 1, or a pair"),
        ({"size": 50}, "size=50 must be (height, width) in pixels"),
        ({"size": (None, 9)}, "size=(None, 9) must be (height, width) in pixels"),
        ({"size": (50, 0)}, "size=(50, 0) must be (height, width) in pixels"),
        ({"color": "gray"}, "color='gray' must be True or False"),
        ({"fonts": []}, "fonts=[] must be None, the path of a TrueType font"),
        ({"fonts": [3]}, "fonts[0]=3 must be the path of a TrueType font or a"),
        ({"rotation": -1}, "rotation=-1 must be a number from 0 to 180"),
        ({"perspective": 0.5}, "perspective=0.5 must be a number from 0 to 0.4"),
        ({"warp": 0.3}, "warp=0.3 must be a number from 0 to 0.25"),
        ({"overlap": 1}, "overlap=1 must be a number from 0 to 0.75"),
        ({"spacing": -1}, "spacing=-1 must be a number from 0 to 2"),
        ({"size_jitter": "a"}, "size_jitter='a' must be a number from 0 to 0.5"),
        ({"lines": 1.5}, "lines=1.5 must be an int of at least 0"),
        ({"dots": True}, "dots=True must be an int of at least 0"),
        ({"gradient": float("nan")}, "gradient=nan must be a number from 0 to 1"),
        ({"noise": 256}, "noise=256 must be a number from 0 to 255"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        make_captchas(**parameters)


def test_outlines_are_hollow_and_change_nothing_else():
    plain, texts = make_captchas(20, **PLAIN, random_state=0)
    hollow, same = make_captchas(20, **PLAIN, outline=1, random_state=0)
    assert texts == same
    # Where a stroke was the darkest, paper shows now, with ink beside it.
    cores = [image < image.min() + 20 for image in plain]
    light = [h[c].mean() > 100 for h, c in zip(hollow, cores, strict=True)]
    assert all(light) and all(image.min() < 90 for image in hollow)


@pytest.mark.parametrize("color", [False, True])
def test_a_share_of_the_images_is_light_on_dark(color):
    images, _ = make_captchas(60, color=color, invert=0.5, random_state=0)
    dark = np.mean([np.median(image) < 128 for image in images])
    assert 0.3 < dark < 0.7
    images, _ = make_captchas(10, color=color, invert=1, random_state=0)
    assert all(np.median(image) < 128 for image in images)
