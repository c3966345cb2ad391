"""Searches and batch predictions on a Dask cluster."""

import os
import pickle
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from support.scores import count_threads, final_loss, find_process, mean_confidence

from skcaptcha import CaptchaRecognizer
from skcaptcha.export import export_onnx, load_onnx

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
array = pytest.importorskip("dask.array")
bag = pytest.importorskip("dask.bag")

pytestmark = pytest.mark.slow

N = 18


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Client of two worker processes of one thread each, without the dashboard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OMP_NUM_THREADS", raising=False)  # Dask is to see to that
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                local_directory=str(tmp_path_factory.mktemp("dask")),
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def scattered(client, fitted):
    """The fitted recognizer on the workers, kept there till the last test.

    Its key is made from what it holds. Were it scattered by each test, the releases of
    the one before might arrive after the next has sent it, and take that away.
    """
    return client.scatter(fitted, broadcast=True)


@pytest.fixture(scope="module")
def files(png_folder, captchas):
    """Paths of 18 PNG files and their texts."""
    return [str(png_folder / f"{i}.png") for i in range(N)], list(captchas[1][:N])


# The workers import these from here.


def read_partition(paths, recognizer, **options):
    """Read the images of a partition, which may be empty."""
    paths = list(paths)
    return list(recognizer.predict(paths, **options)) if paths else []


def read_block(paths, recognizer):
    """Read the images of a block of an array of paths."""
    return recognizer.predict(paths, on_error="skip")


def tell_skipped(paths, recognizer):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recognizer.predict(paths, on_error="skip")
    return str(caught[-1].message)


class CountedRecognizer(CaptchaRecognizer):
    """Recognizer that counts how often a process has loaded one."""

    n_loaded = 0

    def __setstate__(self, state):
        CountedRecognizer.n_loaded += 1
        super().__setstate__(state)


def count_loaded():
    return CountedRecognizer.n_loaded


# Searches


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_a_search_on_a_cluster_finds_the_same_scores(client, files):
    search = GridSearchCV(
        CaptchaRecognizer(
            conv_channels=(4, 4),
            image_height=16,
            lstm_units=4,
            max_iter=1,
            device="cpu",
            random_state=0,
        ),
        {"lstm_layers": [0, 1]},
        cv=3,
        scoring={
            "loss": final_loss,
            "confidence": mean_confidence,
            "threads": count_threads,
            "process": find_process,
        },
        refit="confidence",
        error_score="raise",
    )
    serial = search.fit(*files).cv_results_
    with joblib.parallel_config(backend="dask"):
        search.fit(*files)
    on_cluster = search.cv_results_
    workers = set(client.run(os.getpid).values())
    for fold in range(3):
        for name in ("loss", "confidence"):
            key = f"split{fold}_test_{name}"
            np.testing.assert_allclose(on_cluster[key], serial[key], rtol=1e-4)
            assert len(set(serial[key])) == 2
        assert set(on_cluster[f"split{fold}_test_process"]) <= workers
        assert set(on_cluster[f"split{fold}_test_threads"]) == {1}
    assert search.predict(files[0]).shape == (N,)


# Predictions


def test_the_partitions_of_a_bag_are_read(client, fitted, files):
    paths, _ = files
    expected = list(fitted.predict(paths))
    partitions = bag.from_sequence(paths, npartitions=4)
    model = dask.delayed(fitted)
    assert partitions.map_partitions(read_partition, model).compute() == expected
    assert partitions.map_partitions(fitted.predict).compute() == expected
    confidence = partitions.map_partitions(fitted.predict_confidence).compute()
    np.testing.assert_allclose(confidence, fitted.predict_confidence(paths), atol=1e-4)


def test_an_exported_model_reads_on_the_workers(client, fitted, files, tmp_path):
    export_onnx(fitted, tmp_path / "model.onnx")
    model = client.scatter(load_onnx(tmp_path / "model.onnx"), broadcast=True)
    (tmp_path / "model.onnx").unlink()  # what was sent holds all of it
    partitions = bag.from_sequence(files[0], npartitions=3)
    read = partitions.map_partitions(read_partition, model).compute()
    assert read == list(fitted.predict(files[0]))


def test_a_partition_may_be_empty(client, fitted, files):
    first = files[0][:5]
    partitions = bag.from_sequence(files[0], npartitions=4).filter(first.__contains__)
    read = partitions.map_partitions(read_partition, dask.delayed(fitted)).compute()
    assert read == list(fitted.predict(first))


@pytest.mark.parametrize("broadcast", ["scatter", "delayed"])
def test_each_worker_loads_the_model_once(broadcast, client, fitted, files):
    paths, _ = files
    recognizer = CountedRecognizer()
    vars(recognizer).update(vars(fitted))
    before = client.run(count_loaded)
    if broadcast == "scatter":
        model = client.scatter(recognizer, broadcast=True)
    else:
        model = dask.delayed(recognizer)
    partitions = bag.from_sequence(paths, npartitions=9)
    read = partitions.map_partitions(read_partition, model).compute()
    assert read == list(fitted.predict(paths))
    after = client.run(count_loaded)
    loaded = [after[worker] - before[worker] for worker in after]
    assert max(loaded) == 1


def test_dask_tells_a_changed_model_from_the_one_before(fitted):
    # Tasks with the same token are computed once.
    token = dask.base.tokenize(fitted)
    assert dask.base.tokenize(fitted) == token
    changed = pickle.loads(pickle.dumps(fitted))
    with torch.no_grad():
        next(changed.network_.parameters()).add_(1)
    assert dask.base.tokenize(changed) != token
    again = pickle.loads(pickle.dumps(fitted)).set_params(decoder="beam")
    assert dask.base.tokenize(again) != token


def test_a_file_that_cannot_be_read_is_named(client, fitted, files, tmp_path):
    paths = [*files[0], str(tmp_path / "absent.png")]
    partitions = bag.from_sequence(paths, npartitions=4)
    read = partitions.map_partitions(read_partition, dask.delayed(fitted))
    with pytest.raises(FileNotFoundError, match=r"absent.png' does not exist"):
        read.compute()


@pytest.fixture(scope="module")
def some_bad(files, tmp_path_factory):
    """Paths of `files` with three bad ones among them, and where these are."""
    folder = tmp_path_factory.mktemp("bad")
    broken, text = folder / "broken.png", folder / "text.png"
    broken.write_bytes(Path(files[0][0]).read_bytes()[:60])
    text.write_text("no image")
    paths = list(files[0])
    for place, bad in ((4, broken), (11, folder / "absent.png"), (20, text)):
        paths.insert(place, str(bad))
    return paths, [4, 11, 20]


@pytest.mark.parametrize("form", ["bag", "array", "futures"])
def test_images_that_cannot_be_read_do_not_take_the_job_down(
    form, client, fitted, scattered, files, some_bad
):
    paths, bad = some_bad
    if form == "bag":
        partitions = bag.from_sequence(paths, npartitions=5)
        model = dask.delayed(fitted)
        read = partitions.map_partitions(read_partition, model, on_error="skip")
        read = read.compute()
    elif form == "array":
        blocks = array.from_array(np.array(paths, dtype=object), chunks=5)
        read = blocks.map_blocks(
            read_block, scattered, dtype=object, meta=np.empty(0, dtype=object)
        )
        read = list(read.compute())
    else:
        parts = [paths[i : i + 5] for i in range(0, len(paths), 5)]
        futures = client.map(
            read_partition, parts, recognizer=scattered, on_error="skip"
        )
        read = sum(client.gather(futures), [])
    assert [i for i, text in enumerate(read) if text is None] == bad
    texts = [text for text in read if text is not None]
    assert texts == list(fitted.predict(files[0]))


def test_workers_tell_which_images_they_have_skipped(client, scattered, some_bad):
    paths, bad = some_bad
    told = client.submit(tell_skipped, paths, scattered).result()
    assert told.startswith("3 of 21 images were skipped: X[4]=")
    assert "broken.png" in told and "absent.png" in told and "text.png" in told
