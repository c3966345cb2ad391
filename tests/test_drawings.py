"""The drawn images that the shipped weights learn from."""

import shutil
import string

import numpy as np
import pytest
from support.benchmarks import make_fonts
from support.data import ROOT

pytest.importorskip("cv2")

LATIN = string.digits + string.ascii_lowercase + string.ascii_uppercase


@pytest.fixture(scope="module")
def drawings():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import drawings
        import drawings.letters
        import drawings.picture
        import drawings.texts

        yield drawings


@pytest.fixture(scope="module")
def fonts(drawings, tmp_path_factory):
    """One family for all scripts, and one without small letters."""
    folder = tmp_path_factory.mktemp("fonts")
    make_fonts(folder)
    for path in folder.glob("node_modules/@fontsource/plain/files/*"):
        for script in ("cyrillic", "greek"):
            shutil.copy(path, path.with_name(path.name.replace("latin", script)))
    return drawings.find_fonts(folder)


def draw_many(drawings, fonts, seeds):
    return [drawings.draw(np.random.default_rng(seed), fonts) for seed in seeds]


def test_the_classes_begin_with_those_of_the_shipped_weights(drawings):
    characters = drawings.CHARACTERS
    assert characters.startswith(LATIN + "+-*/=?×абвгдеё")
    assert characters.endswith("ΧΨΩ") and len(characters) == 62 + 7 + 66 + 48
    assert len(set(characters)) == len(characters)


def test_a_font_has_small_letters_only_where_they_differ(drawings, fonts):
    faces = {face.name: face for family in fonts["sans-serif"] for face in family}
    assert len(faces) == 4  # three weights, and the capitals
    assert faces["plain-latin-400-normal"].characters == set(drawings.CHARACTERS)
    capitals = faces["capitals-latin-400-normal"].characters
    assert capitals == set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+-*/=?×")


def test_no_fonts_is_an_error_that_says_what_to_do(drawings, tmp_path):
    with pytest.raises(SystemExit, match="There are no fonts in .*npm install"):
        drawings.find_fonts(tmp_path)


def test_drawn_images_are_of_the_sizes_and_texts_promised(drawings, fonts):
    drawn = draw_many(drawings, fonts, range(60))
    for image, text in drawn:
        assert image.dtype == np.uint8 and image.shape[2] == 3
        assert 20 <= image.shape[0] <= 120
        assert 0.7 <= image.shape[1] / image.shape[0] <= 14
        assert 1 <= len(text) <= 12 and set(text) <= set(drawings.CHARACTERS)
        assert np.ptp(image) > 10  # there is something to be seen
    again = draw_many(drawings, fonts, range(60))
    for (image, text), (other, same) in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(image, other)
        assert text == same
    assert len({image.shape for image, _ in drawn}) > 40


def test_a_text_is_of_one_script_and_sums_are_sums(drawings):
    rng = np.random.default_rng(0)
    texts, seen = drawings.texts, set()
    scripts = {
        "latin": set(texts.LOWER + texts.UPPER),
        "russian": set(texts.RUSSIAN + texts.RUSSIAN.upper()),
        "greek": set(texts.GREEK + texts.GREEK.upper()),
        "signs": set(texts.SIGNS),
    }
    for _ in range(1000):
        text = texts.draw_text(rng)
        found = {name for name, letters in scripts.items() if letters & set(text)}
        assert len(found) <= 1
        seen |= found
        if "signs" in found:
            assert text[0].isdigit() and set(text[1:]) & set("+-*/×")
    assert seen == set(scripts)


@pytest.mark.parametrize("kind", range(8))
def test_each_kind_of_letter_shows_on_plain_paper(drawings, fonts, kind):
    kinds = list(drawings.letters.KINDS)
    assert len(kinds) == 8
    picture, rng = drawings.picture, np.random.default_rng(kind)
    paper = np.full(3, 255.0)
    painter = kinds[kind](rng, 40, paper, 120)
    glyphs = picture.draw_glyphs(rng, "A8x", 40, fonts, painter.bold)
    placed = picture.lay_out(rng, glyphs, 40, 0.0)
    canvas, _ = picture.paint_text(rng, placed, 40, painter, np.zeros(3), 0.0)
    image = canvas[..., :3] + (1 - canvas[..., 3:]) * 255
    assert canvas[..., 3].min() >= 0 and canvas[..., 3].max() <= 1.001
    dark = (image.mean(2) < 160).mean()
    assert 0.02 < dark < 0.7
