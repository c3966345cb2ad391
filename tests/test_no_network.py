"""Nothing but the fetcher opens a connection."""

import socket
import warnings

import joblib
import pytest

from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import fetch_captcha_images_v2


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


def test_fit_predict_save_and_load_stay_at_home(no_network, captchas, tmp_path):
    images, texts = captchas
    recognizer = CaptchaRecognizer(max_iter=1, random_state=0)  # pretrained
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The network has not learned to read")
        recognizer.fit(images[:8], texts[:8])
    path = tmp_path / "model.joblib"
    joblib.dump(recognizer, path)
    loaded = joblib.load(path)
    expected = recognizer.predict(images[:8]).tolist()
    assert loaded.predict(images[:8]).tolist() == expected
    loaded.predict_topk(images[:2], k=2, length=2)
