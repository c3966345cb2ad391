"""Images and archives that are broken, odd or made to do harm."""

import gc
import io
import os
import re
import signal
import stat
import struct
import sys
import threading
import time
import warnings
import zipfile
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image
from support.data import TINY
from support.hostile import (
    BAD,
    FORMATS,
    NAMES,
    SHAPES,
    cut_at_tenths,
    encode,
    make_bad,
    make_variants,
    png,
)
from support.weights import changed_weights

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import _folder, _zip, load_image_folder, load_labels_csv
from skcaptcha.exceptions import ImageReadError, SkippedImageWarning
from skcaptcha.images import read_image, read_images

METHODS = ["predict", "predict_confidence", "predict_topk", "frame_log_proba"]
# What an item of X may be refused with; never an error of Pillow or PyTorch itself.
OURS = (ImageReadError, FileNotFoundError, TypeError, ValueError)


@pytest.fixture(autouse=True)
def no_hang():
    """Fail rather than wait for ever, say for somebody to write to a pipe."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def give_up(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def peak_memory(function):
    """Return the peak of the process's memory during a call, less what it had before.

    In bytes. Pillow's own memory counts, which Python knows nothing of.
    """

    def read(name):
        with open("/proc/self/status") as status:
            return next(
                int(line.split()[1]) * 1024 for line in status if line.startswith(name)
            )

    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # set the peak to what is in use now
        before = read("VmHWM")
    except OSError:
        pytest.skip("the peak of memory in use can be set back on Linux alone")
    function()
    return read("VmHWM") - before


@contextmanager
def as_nobody():
    """Give up the rights of root, who may read any file."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# ---- odd, but images -------------------------------------------------------------


def test_odd_forms_of_an_image_are_predicted_as_the_image(fitted, captchas):
    images, texts = captchas[0][160:165], captchas[1][160:165]
    assert (fitted.predict(images) == texts).all()
    for pixels, text in zip(images, texts, strict=True):
        variants = make_variants(pixels)
        for name, item in variants.items():
            assert np.array_equal(read_image(item), pixels), name
        assert set(fitted.predict(list(variants.values()))) == {text}
    photos = [encode(pixels, "JPEG", quality=95) for pixels in images]
    inks = [
        encode(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
        for pixels in images
    ]
    for X in (photos, inks):
        assert (fitted.predict(X) == texts).all()


def test_odd_forms_of_images_are_fitted_as_the_images(quick, captchas):
    images, texts = captchas[0][:20], captchas[1][:20]
    odd = [list(make_variants(x).values())[i] for i, x in enumerate(images)]
    assert not changed_weights(quick(odd, texts), quick(images, texts))


def test_files_of_any_name_are_read(fitted, quick, captchas, tmp_path):
    pixels = captchas[0][160]
    paths = []
    for name in NAMES:
        try:
            path = os.path.join(tmp_path, os.fsdecode(name))
            with open(path, "wb") as file:
                file.write(encode(pixels))
        except (OSError, UnicodeError):  # some file systems take UTF-8 alone
            continue
        paths.append(path)
    assert len(paths) >= 5
    assert set(fitted.predict(paths)) == {captchas[1][160]}
    texts = ["01"[i % 2] for i in range(len(paths))]
    fits = quick(paths, texts), quick([pixels] * len(paths), texts)
    assert not changed_weights(*fits)
    listed, _ = load_image_folder(tmp_path, label=lambda file: "-")
    assert set(listed) == {path for path in paths if path.endswith(("g", "G"))}


def test_a_label_of_broken_unicode_is_refused(captchas, tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(b"ab\xff.png"))
    try:
        with open(path, "wb") as file:
            file.write(encode(captchas[0][0]))
    except (OSError, UnicodeError):
        pytest.skip("the file system takes UTF-8 alone")
    paths, texts = load_image_folder(tmp_path)
    with pytest.raises(ValueError, match=r"y\[0\]='ab\\udcff' holds '\\udcff', a lone"):
        CaptchaRecognizer(**TINY).fit(paths * 2, texts * 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
def test_images_of_any_shape_are_read(fitted, quick, captchas, shape):
    image = np.full(shape, 255, np.uint8)
    (text,) = fitted.predict([encode(image)])
    assert isinstance(text, str)
    # In company the shape changes nothing.
    assert fitted.predict([captchas[0][160], image])[0] == captchas[1][160]
    X, y = [*captchas[0][:3], image], [*captchas[1][:3], "0"]
    assert np.isfinite(quick(X, y).loss_curve_).all()


# ---- what is no image ------------------------------------------------------------


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_named_at_fit_and_predict(fitted, captchas, tmp_path, name):
    try:
        item, message = make_bad(name, tmp_path)
    except NotImplementedError as error:
        pytest.skip(str(error))
    good = list(captchas[0][:3])
    match = rf"^X\[3\]=.*{message}"
    if isinstance(item, os.PathLike):
        match = rf"^X\[3\]={re.escape(repr(str(item)))} .*{message}"

    def check(function, *arguments):
        rights = as_nobody() if name == "a locked file" else nullcontext()
        with rights, pytest.raises(OURS, match=match) as caught:
            function(*arguments)
        assert type(caught.value) in OURS
        assert len(str(caught.value)) < 1000

    for method in METHODS:
        check(getattr(fitted, method), [*good, item])
    recognizer = CaptchaRecognizer(**TINY, n_jobs=1)
    before = dict(vars(recognizer))
    check(recognizer.fit, [*good, item], ["0", "1", "2", "3"])
    check(recognizer.partial_fit, [*good, item], ["0", "1", "2", "3"])
    assert vars(recognizer) == before
    if name != "far too wide":  # which is an image, though no text
        check(read_images, [*good, item])


@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_file_cut_at_any_tenth_is_read_right_or_named(
    fitted, captchas, tmp_path, format, color
):
    image = Image.fromarray(captchas[0][160])
    if color:
        image = Image.merge("RGB", [image, image.transpose(0), image])
    data = encode(image, format)
    whole = read_image(data)
    n_refused = 0
    for tenth, part in enumerate(cut_at_tenths(data)):
        path = tmp_path / f"cut-{tenth}.img"
        path.write_bytes(part)
        X = [*captchas[0][:3], str(path)]
        match = rf"^X\[3\]='.*cut-{tenth}.img' is (not an image|truncated|empty)"
        try:
            assert np.array_equal(read_image(path), whole)
            continue
        except ImageReadError:
            n_refused += 1
        for function in (
            lambda X: fitted.predict(X),
            lambda X: CaptchaRecognizer(**TINY).fit(X, ["0", "1", "2", "3"]),
        ):
            with pytest.raises(ImageReadError, match=match):
                function(X)
    assert n_refused >= 9


# ---- time, memory, warnings ------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")
def test_bad_images_leave_nothing_behind(fitted, tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(encode(np.zeros((16, 48), np.uint8))[:40])
    items = [b"bad", path, tmp_path / "gone.png", tmp_path, None]

    def repeat(function, n_times):
        for i in range(n_times):
            try:
                function(items[i % len(items)])
            except OURS:
                pass

    def count():
        gc.collect()
        with open("/proc/self/statm") as file:
            n_pages = int(file.read().split()[1])
        return sys.getallocatedblocks(), n_pages, len(os.listdir("/proc/self/fd"))

    for function, n_times in (
        (read_image, 10_000),
        (lambda item: read_images([item, item]), 1000),
        (lambda item: fitted.predict([item]), 1000),
        (lambda item: fitted.predict([item] * 20, on_error="skip"), 200),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkippedImageWarning)
            repeat(function, 50)
            before = count()
            repeat(function, n_times)
            blocks, pages, files = np.subtract(count(), before)
        assert blocks < 500 and pages < 1000 and files <= 0


def test_a_bomb_is_refused_by_its_header_before_any_memory_is_taken(fitted):
    bomb = png(50_000, 50_000, 8, 6, b"")
    assert len(bomb) < 100
    recognizer = CaptchaRecognizer(**TINY)
    good = np.eye(16)

    def read():
        for function in (
            read_image,
            lambda item: fitted.predict([item]),
            lambda item: recognizer.fit([good, item], ["0", "1"]),
            lambda item: recognizer.partial_fit([good, item], ["0", "1"]),
        ):
            with pytest.raises(ImageReadError, match="claims too many pixels"):
                function(bomb)

    read()  # what is imported at the first time is no matter
    start = time.process_time()
    assert peak_memory(read) < 5 * 2**20
    assert time.process_time() - start < 5


def test_a_large_image_takes_few_bytes_a_pixel():
    side = 2000
    packed = png(side, side, 8, 6, (b"\0" + bytes(4 * side)) * side)
    assert len(packed) < 20_000
    read_image(packed)
    # The file has 4 bytes a pixel, the image 1.
    assert peak_memory(lambda: read_image(packed)) < 14 * side**2


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
def test_many_large_images_are_not_held_at_once(fitted):
    side = 2000
    packed = png(side, side, 1, 0, (b"\0" + bytes(side // 8)) * side)
    reader = deepcopy(fitted).set_params(n_jobs=1)
    reader.predict([packed])
    assert peak_memory(lambda: reader.predict([packed] * 30)) < 15 * side**2


def test_warnings_of_pillow_stay_inside(fitted, captchas):
    data = encode(captchas[0][160], "TIFF", compression="tiff_lzw")
    too_large = png(10_000, 10_000, 1, 0, b"")  # between Pillow's warning and its error
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for item in (data[: len(data) // 2], too_large):
            with pytest.raises(ImageReadError):
                read_image(item)
            with pytest.raises(ImageReadError):
                fitted.predict([captchas[0][0], item])
        assert not caught
        Image.open(io.BytesIO(too_large))  # the user's own call warns as ever
        assert len(caught) == 1
    assert warnings.filters == before


def test_threads_that_read_leave_the_filters_as_they_were(captchas):
    data = encode(captchas[0][160], "TIFF", compression="tiff_lzw")
    bad = data[: len(data) // 2]
    before = list(warnings.filters)
    with pytest.raises(ImageReadError) as alone:
        read_images([bad, bad], n_jobs=1)
    reasons = []

    def read():
        for _ in range(50):
            try:
                read_images([bad, bad], n_jobs=2)
            except ImageReadError as error:
                reasons.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Under the filters of these tests a warning would be an error, and so the reason.
    assert len(reasons) == 400
    assert set(reasons) == {str(alone.value)}
    assert warnings.filters == before


def test_too_little_memory_is_said_to_be_just_that(captchas, monkeypatch):
    monkeypatch.setattr(Image, "open", Mock(side_effect=MemoryError))
    with pytest.raises(ImageReadError, match=r"X\[0\]=.* needs more memory than there"):
        read_images([encode(captchas[0][0])])


# ---- on_error="skip" -------------------------------------------------------------


def test_read_images_puts_none_where_it_skips(captchas):
    images = list(captchas[0][:5])
    items = [b"bad", images[0], None, *images[1:4], "gone.png", images[4]]
    with pytest.warns(SkippedImageWarning) as caught:
        read = read_images(items, on_error="skip")
    assert [i for i, image in enumerate(read) if image is None] == [0, 2, 6]
    for image, expected in zip(
        [image for image in read if image is not None], images, strict=True
    ):
        assert np.array_equal(image, expected)
    (warning,) = caught
    assert warning.filename == __file__
    message = str(warning.message)
    assert message.startswith("3 of 8 images were skipped: X[0]=<3 bytes> is not an im")
    assert message.index("X[2]=None is no image") < message.index("X[6]='gone.png' doe")
    assert read_images(images, on_error="skip")[4] is not None  # without a warning


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_skipping_shifts_nothing(fitted, captchas, tmp_path, decoder):
    n = 520 if decoder == "greedy" else 24  # more than are decoded at a time
    # Of two widths, so that they are not read in their order.
    images = [captchas[0][i % 200][:, : 48 - i % 2 * 8] for i in range(n)]
    bad = {0: b"bad", 3: tmp_path / "gone.png", n - 9: None, n - 1: b""}
    X = [bad.get(i, image) for i, image in enumerate(images)]
    reader = deepcopy(fitted).set_params(decoder=decoder)
    with pytest.warns(
        SkippedImageWarning, match=rf"^4 of {n} .* X\[0\]=.* X\[3\]=.*X\["
    ):
        found = reader.predict(X, on_error="skip")
    expected = reader.predict(images)
    expected[list(bad)] = None
    assert list(found) == list(expected)


@pytest.mark.parametrize("method", METHODS)
def test_where_all_is_skipped_every_place_is_empty(fitted, method):
    with pytest.warns(SkippedImageWarning, match="^7 of 7 .* And 2 more"):
        found = getattr(fitted, method)([b"bad"] * 7, on_error="skip")
    assert len(found) == 7
    for value in found:
        assert value is None or np.isnan(value)


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
def test_an_image_too_narrow_for_the_length_is_skipped(fitted, captchas):
    X = [captchas[0][160], captchas[0][161][:, :8], captchas[0][162]]
    match = r"^1 of 3 .*: X\[1\]: No text of length=10 fits"
    with pytest.warns(SkippedImageWarning, match=match):
        texts = fitted.predict(X, length=10, on_error="skip")
    assert texts[1] is None
    assert [len(texts[i]) for i in (0, 2)] == [10, 10]


@pytest.mark.parametrize("on_error", ["ignore", None, True, ["skip"]])
def test_on_error_is_checked(fitted, captchas, png_folder, tmp_path, on_error):
    match = r"^on_error=.* must be 'raise' or 'skip'"
    (tmp_path / "labels.csv").write_text("filename,text\na.png,1\n")
    for method in METHODS:
        with pytest.raises(ValueError, match=match):
            getattr(fitted, method)(captchas[0][:1], on_error=on_error)
    with pytest.raises(ValueError, match=match):
        read_images([], on_error=on_error)
    with pytest.raises(ValueError, match=match):
        load_image_folder(png_folder, on_error=on_error)
    with pytest.raises(ValueError, match=match):
        load_labels_csv(tmp_path / "labels.csv", on_error=on_error)


@pytest.fixture
def spoiled_folder(captchas, tmp_path):
    """Folder of five images, labels as stems, of which b and d cannot be read."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, name in enumerate("abcde"):
        data = encode(captchas[0][i])
        (folder / f"{name}.png").write_bytes(data[:40] if name in "bd" else data)
    return folder


def zip_folder(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_folder_is_loaded_without_what_cannot_be_read(
    spoiled_folder, captchas, packed
):
    path = zip_folder(spoiled_folder) if packed else spoiled_folder
    items, texts = load_image_folder(path)
    assert texts == list("abcde")
    with pytest.raises(ImageReadError, match=r"^X\[1\]="):
        CaptchaRecognizer(**TINY).fit(items, texts)

    with pytest.warns(SkippedImageWarning) as caught:
        items, texts = load_image_folder(path, on_error="skip")
    assert texts == list("ace")
    for image, i in zip(read_images(items), (0, 2, 4), strict=True):
        assert np.array_equal(image, captchas[0][i])
    (warning,) = caught
    assert warning.filename == __file__
    message = str(warning.message)
    assert message.startswith(f"2 of 5 images in path={str(path)!r} were skipped: ")
    assert "b.png'" in message and "d.png'" in message

    for name in "ace":
        (spoiled_folder / f"{name}.png").unlink()
    path = zip_folder(spoiled_folder) if packed else spoiled_folder
    with pytest.raises(ValueError, match="^None of the 2 images in path=.*b.png"):
        load_image_folder(path, on_error="skip")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_table_is_loaded_without_the_rows_of_what_cannot_be_read(
    spoiled_folder, captchas, packed
):
    table = spoiled_folder / "labels.csv"
    table.write_text(
        "filename,text\ne.png,5\nb.png,2\ngone.png,9\na.png,1\nb.png,2\ne.png,5\n"
    )
    path = zip_folder(spoiled_folder) if packed else table
    with pytest.raises(FileNotFoundError, match="^row 4 of .* names 'gone.png'"):
        load_labels_csv(path)
    with pytest.warns(SkippedImageWarning) as caught:
        items, texts = load_labels_csv(path, on_error="skip")
    assert texts == ["5", "1", "5"]
    for image, i in zip(read_images(items), (4, 0, 4), strict=True):
        assert np.array_equal(image, captchas[0][i])
    (warning,) = caught
    assert warning.filename == __file__
    message = str(warning.message)
    assert message.startswith(f"3 of 6 images in path={str(path)!r} were skipped: ")
    assert message.count("b.png'") == 2 and "row 4 of" in message
    table.write_text("filename,text\ne.png\n")
    path = zip_folder(spoiled_folder) if packed else table
    with pytest.raises(ValueError, match="row 2 of .* has 1 fields"):
        load_labels_csv(path, on_error="skip")


def test_an_image_that_many_rows_name_is_read_once(spoiled_folder, monkeypatch):
    table = spoiled_folder / "labels.csv"
    table.write_text("filename,text\n" + "a.png,1\nb.png,2\n" * 50)
    read = []
    monkeypatch.setattr(_folder, "read_image", read.append)
    for path in (table, zip_folder(spoiled_folder)):
        items, _ = load_labels_csv(path, on_error="skip")
        assert len(items) == 100 and len(read) == 2
        read.clear()


def test_a_label_that_is_not_found_is_not_skipped(spoiled_folder):
    with pytest.raises(ValueError, match=r"No label was found for 'a\.png' \(and 4"):
        load_image_folder(spoiled_folder, label=r"(.+)-\d+", on_error="skip")


# ---- archives --------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Function that writes a zip of entries (name or ZipInfo, content).

    When the test is over nothing but the zip may have been written.
    """
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)

    def write(*entries):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate name")
            with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as opened:
                for info, content in entries:
                    opened.writestr(info, content)
        return home / "a.zip"

    yield write
    assert os.listdir(home) == ["a.zip"]
    assert os.listdir(tmp_path) == ["home"]


GOOD = encode(np.arange(16 * 48, dtype=np.uint8).reshape(16, 48))
OTHER = encode(np.zeros((16, 48), np.uint8))


def test_paths_in_a_zip_are_names_and_no_more(archive):
    names = ["/etc/a.png", "C:\\b.png", "x/../../c.png", "../d.png", "e\nf.png"]
    path = archive(*((name, GOOD) for name in names))
    with pytest.raises(ValueError, match=r"'e\\nf' of .* holds '\\n' \(a control"):
        load_image_folder(path)
    items, texts = load_image_folder(path, label=lambda file: file.stem[0])
    assert texts == ["a", "b", "e"]
    assert items == [GOOD] * 3


def test_rows_of_a_zip_name_nothing_outside_of_it(archive, tmp_path):
    for name in ("../a.png", "/etc/passwd", "../../etc/passwd", "a.zip"):
        path = archive(("l.csv", f"filename,text\n{name},1\n"), ("../a.png", GOOD))
        with pytest.raises(
            FileNotFoundError, match=r"row 2 .* which is not in '\.'\. Names"
        ):
            load_labels_csv(path)


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]
)
def test_links_and_devices_in_a_zip_are_refused_by_name(archive, kind):
    info = zipfile.ZipInfo("b.png")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    path = archive(("a.png", GOOD), (info, "/etc/passwd"))
    with pytest.raises(ValueError, match=r"the entry 'b\.png', which is a link or a d"):
        load_image_folder(path)
    with pytest.warns(
        SkippedImageWarning, match=r"^1 of 2 .*'b\.png', which is a link"
    ):
        assert load_image_folder(path, on_error="skip") == ([GOOD], ["a"])


def change_headers(path, name, **values):
    """Make both headers of an entry of a zip claim something else."""
    data = bytearray(path.read_bytes())
    offsets = {"flags": ("H", 6, 8), "method": ("H", 8, 10), "size": ("I", 22, 24)}
    for signature, column, start in ((b"PK\3\4", 1, 30), (b"PK\1\2", 2, 46)):
        header = data.index(signature)
        while data[header + start :][: len(name)] != name:
            header = data.index(signature, header + 1)
        for key, value in values.items():
            form, *at = offsets[key]
            struct.pack_into(f"<{form}", data, header + at[column - 1], value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flags": 1}, r"has an encrypted entry 'b\.png'; unpack it"),
        ({"method": 12}, r"'b\.png' compressed by method 12; pack it"),
        ({"method": 14}, r"'b\.png' compressed by method 14"),
        ({"size": 2**31}, r"entry 'b\.png' of 2147483648 bytes; 67108864 at most"),
        ({"size": 10}, "cannot be read as a zip file: .*b.png"),
        ({"size": 10**6}, "cannot be read as a zip file: .*b.png"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused_or_skipped(archive, change, message):
    path = archive(("a.png", GOOD), ("b.png", OTHER), ("c.png", GOOD))
    change_headers(path, b"b.png", **change)
    with pytest.raises(ValueError, match=message):
        load_image_folder(path)
    with pytest.warns(SkippedImageWarning, match=f"^1 of 3 .*{message}"):
        assert load_image_folder(path, on_error="skip") == ([GOOD] * 2, ["a", "c"])


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.png", "a.png"), ("a.png", "./a.png"), ("x/a.png", "x\\a.png")],
)
def test_one_name_for_two_entries_is_refused(archive, one, other):
    path = archive((one, GOOD), (other, OTHER))
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match=r"has the name '.*a\.png' twice"):
            load_image_folder(path, on_error=on_error)


def test_archives_within_an_archive_are_not_opened(archive):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as opened:
        opened.writestr("b.png", GOOD)
    path = archive(("a.png", GOOD), ("inner.zip", inner.getvalue()))
    assert load_image_folder(path) == ([GOOD], ["a"])


@pytest.mark.parametrize("claim", [None, 1000, 2**30])
def test_a_zip_bomb_takes_no_memory_whatever_it_claims(archive, claim):
    n_bytes = 80 * 2**20
    path = archive(("a.png", bytes(n_bytes)))
    assert path.stat().st_size < 200_000
    if claim is not None:
        change_headers(path, b"a.png", size=claim)

    def load():
        with pytest.raises(
            ValueError, match="bytes; 67108864 at|size of|Bad CRC|trunc"
        ):
            load_image_folder(path)

    assert peak_memory(load) < 20 * 2**20


def test_what_a_zip_unpacks_to_is_bounded_in_all(archive, monkeypatch):
    path = archive(*((f"{name}.png", GOOD) for name in "abc"))
    monkeypatch.setattr(_zip, "MAX_TOTAL_BYTES", 3 * len(GOOD))
    assert len(load_image_folder(path)[0]) == 3
    monkeypatch.setattr(_zip, "MAX_TOTAL_BYTES", 3 * len(GOOD) - 1)
    assert len(load_image_folder(path, pattern="[ab].png")[0]) == 2  # these count
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match="bytes of images; .* at most are read"):
            load_image_folder(path, on_error=on_error)


def test_a_table_in_a_zip_is_bounded(archive):
    rows = b"a.png,1\n" * (2**21 + 1)  # a little over 16 MiB
    path = archive(("a.png", GOOD), ("l.csv", b"filename,text\n" + rows))
    with pytest.raises(ValueError, match=r"a table 'l\.csv' of \d+ bytes; 16777216 at"):
        load_labels_csv(path)
