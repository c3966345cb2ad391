"""The transformers: one contract over all of them, and what ImageReader keeps."""

import importlib.util
import inspect
import io
import os
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skops.io
from PIL import Image
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted
from support.data import ROOT, TINY

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import ImageReadError
from skcaptcha.preprocessing import (
    CLAHE,
    AdaptiveThreshold,
    DarkOnLight,
    GrayscaleConverter,
    ImageReader,
    ImageResizer,
    MarginCropper,
    MedianFilter,
    MorphologicalOpening,
    _transformers,
)

TRANSFORMERS = [
    ImageReader(),
    GrayscaleConverter(),
    MedianFilter(),
    CLAHE(tile_grid_size=(2, 3)),
    AdaptiveThreshold(method="gaussian"),
    MorphologicalOpening(size=(1, 3)),
    DarkOnLight(),
    MarginCropper(margin=0.2),
    ImageResizer(height=24, width=60, align="center"),
]
NEED_OPENCV = (MedianFilter, CLAHE, AdaptiveThreshold, MorphologicalOpening)

every_transformer = pytest.mark.parametrize(
    "transformer", TRANSFORMERS, ids=lambda t: type(t).__name__
)


def to_png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def assert_same(images, others):
    assert len(images) == len(others)
    for i, (image, other) in enumerate(zip(images, others, strict=True)):
        np.testing.assert_array_equal(image, other, err_msg=f"image {i}")


# Each transformer


@every_transformer
def test_transformers_are_scikit_learns(transformer):
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        results = check_estimator(transformer)
    assert [one["status"] for one in results] == ["passed"]
    parameters = inspect.signature(type(transformer)).parameters.values()
    assert {p.kind for p in parameters} == {inspect.Parameter.KEYWORD_ONLY}
    assert {p.name for p in parameters} >= {"background", "n_jobs"}
    changed = clone(transformer).set_params(background="red", n_jobs=1)
    expected = {**transformer.get_params(), "background": "red", "n_jobs": 1}
    assert changed.get_params() == clone(changed).get_params() == expected


@every_transformer
def test_every_form_of_an_image_gives_the_same(transformer, captchas, tmp_path):
    images = captchas[0][:4]
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(to_png(image))
    names = [str(path) for path in paths]
    expected = transformer.fit_transform(images)
    forms = {
        "paths": paths,
        "str": names,
        "array of str": np.array(names),
        "series": pd.Series(names, index=range(9, 5, -1)),
        "bytes": [to_png(image) for image in images],
        "PIL": tuple(Image.fromarray(image) for image in images),
        "stack": np.stack(images),
        "color stack": np.stack([np.dstack([image] * 3) for image in images]),
        "floats": [image / 255 for image in images],
        "mixed": [images[0], paths[1], to_png(images[2]), images[3]],
    }
    for X in forms.values():
        assert_same(transformer.transform(X), expected)
        assert_same(clone(transformer).fit(X).transform(X), expected)


@every_transformer
def test_each_image_is_transformed_by_itself(transformer, images):
    together = transformer.transform(images)
    assert type(together) is list
    for image in together:
        assert image.dtype == np.uint8
        assert image.ndim == 2 or image.shape[2:] == (3,)
    assert_same(together, [transformer.transform([image])[0] for image in images])
    assert_same(transformer.transform(images[::-1]), together[::-1])


@every_transformer
def test_input_is_left_alone_and_not_shared(transformer, images, tmp_path):
    copies = [image.copy() for image in images]
    for image in copies:
        image.flags.writeable = False
    for image in transformer.fit_transform(copies):
        image[:] = 0  # what comes out is the user's own
    assert_same(copies, images)
    np.save(tmp_path / "stack.npy", np.stack(images[:2]))
    stack = np.load(tmp_path / "stack.npy", mmap_mode="r")
    assert_same(transformer.transform(stack), transformer.transform(images[:2]))


@every_transformer
def test_transparency_shows_the_background(transformer):
    clear = np.zeros((12, 30, 4), dtype=np.uint8)
    clear[4:8, 4:20, 3] = 255
    on_white = clone(transformer).transform([clear])[0]
    on_black = clone(transformer).set_params(background=(0, 0, 0)).transform([clear])
    opaque = np.full((12, 30), 255, dtype=np.uint8)
    opaque[4:8, 4:20] = 0
    np.testing.assert_array_equal(on_white, transformer.transform([opaque])[0])
    assert not np.array_equal(on_white, on_black[0])


@every_transformer
def test_threads_change_nothing(transformer, images):
    X = images * 5
    serial = clone(transformer).set_params(n_jobs=1).transform(X)
    assert_same(clone(transformer).set_params(n_jobs=2).transform(X), serial)
    parallel = joblib.Parallel(n_jobs=2, backend="threading")
    for result in parallel(joblib.delayed(transformer.transform)(X) for _ in range(2)):
        assert_same(result, serial)


@every_transformer
def test_nothing_is_learned(transformer, images):
    check_is_fitted(transformer)
    fitted = clone(transformer)
    assert fitted.fit(images, y=["a"] * len(images)) is fitted
    assert vars(fitted) == vars(transformer)
    with config_context(transform_output="pandas"):
        assert type(fitted.fit_transform(images)) is list


@every_transformer
def test_persistence(transformer, images):
    expected = transformer.transform(images)
    assert_same(pickle.loads(pickle.dumps(transformer)).transform(images), expected)
    dumped = skops.io.dumps(transformer)
    trusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("skcaptcha.") for name in trusted)
    assert_same(skops.io.loads(dumped, trusted=trusted).transform(images), expected)


@every_transformer
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_tables_and_single_items_are_refused(transformer, method):
    def call(X):
        getattr(transformer, method)(X)

    for X, kind in [
        (np.zeros((4, 9)), r"shape \(4, 9\)"),
        (pd.DataFrame(np.zeros((4, 9))), r"shape \(4, 9\)"),
        (scipy.sparse.csr_array(np.eye(3)), r"shape \(3, 3\)"),
        (np.zeros(5), r"shape \(5,\)"),
        ([[0.0, 1.0], [2.0, 3.0]], "2 rows"),
    ]:
        with pytest.raises(ValueError, match=f"X is a table of {kind}; pass images"):
            call(X)
    with pytest.raises(ValueError, match="holds 'a.png' where numbers should be"):
        call(pd.DataFrame({"path": ["a.png", "b.png"]}))
    with pytest.raises(TypeError, match="X='a.png' is a single item"):
        call("a.png")
    with pytest.raises(TypeError, match="X is int; pass a list"):
        call(3)
    with pytest.raises(ValueError, match="X is empty"):
        call([])


@every_transformer
def test_bad_items_are_named(transformer, images, tmp_path):
    for bad, error, message in [
        (tmp_path / "no.png", FileNotFoundError, r"X\[3\].*no.png"),
        (b"no image", ImageReadError, r"X\[3\]=<8 bytes>"),
        (None, TypeError, r"X\[3\]=None"),
        (np.full((2, 2), np.nan), ImageReadError, r"X\[3\]"),
    ]:
        with pytest.raises(error, match=message):
            transformer.fit_transform([*images[:3], bad])


def test_a_generator_of_images_is_taken(images):
    expected = GrayscaleConverter().fit_transform(images[:2])
    found = GrayscaleConverter().fit_transform(image for image in images[:2])
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_that_cannot_be_resized_is_named(images, tmp_path):
    low = np.zeros((1, 10_000), dtype=np.uint8)
    with pytest.raises(
        ValueError,
        match=r"X\[1\]: an image of shape \(1, 10000\) would be 500000 pixels wide at "
        "height=50; at most 32768 are allowed. Set `width`",
    ):
        ImageResizer().transform([images[0], low])
    Image.fromarray(low).save(tmp_path / "low.png")
    with pytest.raises(ValueError, match=r"X\[0\]='.*low.png': an image of shape"):
        ImageResizer().transform([tmp_path / "low.png"])
    assert ImageResizer(width=100).transform([low])[0].shape == (50, 100)


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        *((clone(t).set_params(background="wite"), "wite") for t in TRANSFORMERS),
        *((clone(t).set_params(n_jobs=0), "n_jobs=0") for t in TRANSFORMERS),
        (ImageReader(background=3), "background=3 is not a color"),
        (ImageReader(n_jobs="all"), "n_jobs='all' must be None or an int"),
        (ImageReader(memory=3), "'memory' should be None"),
        (MedianFilter(size=0), "size=0; pass an odd int from 1"),
        (CLAHE(clip_limit=0), "clip_limit=0; pass a number above 0"),
        (CLAHE(clip_limit=np.inf), "clip_limit=inf; pass a number"),
        (CLAHE(tile_grid_size=0), "tile_grid_size=0; pass an int from 1"),
        (AdaptiveThreshold(block_size=10), "block_size=10; pass an odd int from 3"),
        (AdaptiveThreshold(offset=0.5), "offset=0.5; pass an int from -255"),
        (AdaptiveThreshold(method="otsu"), "method='otsu'; pass 'mean' or"),
        (MorphologicalOpening(size=(2, 300)), r"size=\(2, 300\); pass an int from 1"),
        (MorphologicalOpening(foreground="red"), "foreground='red'; pass 'dark' or"),
        (MarginCropper(margin=-1), "margin=-1; pass a number from 0 to 10"),
        (ImageResizer(height=0), "height=0; pass an int from 1"),
        (ImageResizer(width="wide"), "width='wide'; pass an int from 1"),
        (ImageResizer(align="right"), "align='right'; pass 'left' or"),
        (ImageResizer(fill="pink"), "fill='pink'; pass 'border' or"),
    ],
    ids=repr,
)
def test_bad_parameters_are_named_before_anything_is_read(transformer, message):
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ValueError, match=message) as caught:
            method(["missing.png"])
        assert "X[0]" not in str(caught.value)


@every_transformer
def test_only_some_steps_need_opencv(transformer, images, without_opencv):
    if not isinstance(transformer, NEED_OPENCV):
        assert len(transformer.fit_transform(images)) == len(images)
        return
    for method in (transformer.fit, transformer.transform):
        with pytest.raises(ImportError, match=r'install "skcaptcha\[preprocessing\]"'):
            method(["missing.png"])


# What the reader keeps


@pytest.fixture
def n_read(monkeypatch):
    """List that grows by the number of images each time that some are decoded."""
    calls, read = [], _transformers.read_images

    def count(items, **options):
        if not (len(items) == 1 and np.shape(items[0]) == (1, 1)):  # the trial
            calls.append(len(items))
        return read(items, **options)

    monkeypatch.setattr(_transformers, "read_images", count)
    return calls


@pytest.fixture
def mixed(images, tmp_path):
    """The images in several forms, those of the first two in files."""
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(to_png(images[i]))
    return [
        str(tmp_path / "0.png"),
        tmp_path / "1.png",
        to_png(images[2]),
        Image.fromarray(images[3]),
        images[4].astype(float),
        images[5],
    ]


def test_with_memory_images_are_decoded_once(mixed, images, n_read, tmp_path):
    for memory in (str(tmp_path / "a"), joblib.Memory(tmp_path / "b", verbose=0)):
        reader = ImageReader(memory=memory)
        expected = ImageReader().transform(images)
        assert_same(reader.fit_transform(mixed), expected)
        n_read.clear()
        found = clone(reader).set_params(n_jobs=2).transform(list(mixed))
        assert n_read == []
        assert_same(found, expected)
        found[0][:] = 0  # what is kept is not what the user gets
        assert_same(reader.transform(mixed), expected)
        assert n_read == []
        reader.transform(mixed[1:])
        assert n_read == [5]
        reader.transform(mixed[::-1])
        assert n_read == [5, 6]


def test_without_memory_nothing_is_kept(mixed, n_read, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for _ in range(2):
        ImageReader().transform(mixed)
    assert n_read == [6, 6]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_file_is_read_anew(images, n_read, tmp_path):
    path = tmp_path / "captcha.png"
    reader = ImageReader(memory=str(tmp_path / "cache"))
    path.write_bytes(to_png(images[0]))
    assert_same(reader.transform([path]), images[:1])
    size, before = path.stat().st_size, path.stat().st_mtime_ns
    path.write_bytes(to_png(images[1]).ljust(size, b"\0"))
    os.utime(path, ns=(before, before + 1))
    assert_same(reader.transform([path]), images[1:2])
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(before, before + 1))  # only the size differs
    reader.transform([path])
    assert n_read == [1, 1, 1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"X\[0\].*captcha.png"):
        reader.transform([path])


def test_the_background_is_part_of_what_is_kept(tmp_path):
    clear = np.zeros((2, 3, 4), dtype=np.uint8)
    read = [
        ImageReader(memory=str(tmp_path), background=background).transform([clear])[0]
        for background in ("white", "black", "white")
    ]
    assert [int(image[0, 0]) for image in read] == [255, 0, 255]


def test_relative_paths_are_those_of_the_current_folder(images, tmp_path, monkeypatch):
    reader = ImageReader(memory=str(tmp_path / "cache"))
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        monkeypatch.chdir(tmp_path / str(i))
        Image.fromarray(images[i]).save("a.png")
        os.utime("a.png", ns=(0, 0))
        assert_same(reader.transform(["a.png"]), images[i : i + 1])


def test_memory_can_be_bounded_and_cleared(mixed, n_read, tmp_path):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    reader = ImageReader(memory=memory).fit(mixed)
    reader.transform(mixed)
    memory.reduce_size(bytes_limit=1)
    assert memory.store_backend.get_items() == []
    reader.transform(mixed)
    memory.clear(warn=False)
    reader.transform(mixed)
    assert n_read == [6, 6, 6]


# In a pipeline


def test_a_search_over_the_steps_of_a_pipeline(captchas, tmp_path):
    images, texts = (values[:18] for values in captchas)
    pipeline = Pipeline(
        [
            ("read", ImageReader(memory=str(tmp_path))),
            ("median", MedianFilter()),
            ("contrast", CLAHE()),
            ("threshold", AdaptiveThreshold()),
            ("opening", MorphologicalOpening()),
            ("resize", ImageResizer(height=16, width=60)),
            ("recognizer", CaptchaRecognizer(**TINY, max_iter=1)),
        ]
    )
    grid = [
        {"median": ["passthrough", MedianFilter(size=5)]},
        {"threshold__offset": [2], "opening": ["passthrough"]},
    ]
    X = [to_png(image) for image in images]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, texts)
    assert len(search.cv_results_["params"]) == 3
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    assert list(copy.predict(X)) == list(search.predict(images))


# The example


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_example_saves_a_pipeline_that_reads_elsewhere(capsys):
    path = ROOT / "examples" / "preprocessing.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    assert example.main(["--n-samples", "16", "--max-iter", "1"]) == 0
    words = capsys.readouterr().out
    for left_out in ("nothing", *example.STEPS, "everything"):
        assert f"\n{left_out} " in words
    *_, elsewhere, here = words.splitlines()
    assert elsewhere.partition("it reads ")[2].rstrip(";") == (
        here.partition("it reads ")[2].rstrip(".")
    )
