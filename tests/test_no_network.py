"""Nothing but the fetcher opens a connection."""

import socket

import joblib
import pytest

from skcaptcha import CaptchaRecognizer, persistence
from skcaptcha.datasets import fetch_captcha_images_v2, load_image_folder
from skcaptcha.export import export_onnx, load_onnx


@pytest.fixture
def no_network(monkeypatch):
    """Make every way out an error."""

    def refuse(*args, **kwargs):
        raise AssertionError("something tried to reach the network")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


def test_the_fetcher_would_be_noticed(no_network, tmp_path):
    with pytest.raises(AssertionError, match="tried to reach the network"):
        fetch_captcha_images_v2(data_home=tmp_path)


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_fit_predict_save_and_load_stay_at_home(
    no_network, captchas, png_folder, tmp_path
):
    paths, texts = load_image_folder(png_folder)
    recognizer = CaptchaRecognizer(max_iter=1, random_state=0)  # pretrained
    recognizer.fit(paths[:8], texts[:8])
    joblib.dump(recognizer, tmp_path / "model.joblib")
    persistence.dump(recognizer, tmp_path / "model.skops")
    export_onnx(recognizer, tmp_path / "model.onnx")
    images = captchas[0][:8]
    expected = recognizer.predict(images).tolist()
    for loaded in (
        joblib.load(tmp_path / "model.joblib"),
        persistence.load(tmp_path / "model.skops"),
        load_onnx(tmp_path / "model.onnx"),
    ):
        assert loaded.predict(images).tolist() == expected
    recognizer.predict_topk(images[:2], k=2, length=2)
