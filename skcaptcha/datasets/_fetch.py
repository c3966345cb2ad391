"""The captcha set of the Keras example, downloaded once and verified."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

from skcaptcha._files import write_atomically
from skcaptcha.datasets._folder import load_image_folder

FILENAME = "captcha_images_v2.zip"
URL = (
    "https://raw.githubusercontent.com/AakashKumarNain/CaptchaCracker/master/"
    "captcha_images_v2.zip"
)
# Of git: the SHA-1 of b"blob <size>\0" and the content.
BLOB_ID = "e8fb4fa40806d4f0c9dde720d40e786352ec3843"
LARGEST_DOWNLOAD = 32 * 2**20  # bytes, several times what the archive has
TIMEOUT = 30  # seconds without a byte

DESCRIPTION = """\
captcha_images_v2: 1,040 captchas of five characters

Gray PNG images, 200 pixels wide and 50 high, each with five characters out of
2345678bcdefgmnpwxy, blurred and crossed by a line. There is no split into training and
test images. The Keras example "OCR model for reading Captchas" trains on this set,
which goes back to Rodrigo Wilhelmy and Horacio Rosas, "captcha dataset", 2013.
"""


def fetch_captcha_images_v2(
    *,
    data_home=None,
    download_if_missing=True,
    return_X_y=False,
    n_retries=3,
    delay=1.0,
):
    """Load the captcha set of the Keras example, downloading it the first time.

    It has 1,040 gray PNGs, 50 high and 200 wide, each with five characters out of
    2345678bcdefgmnpwxy. The archive is kept in `data_home` and verified each time it
    is read. One put there by hand does as well.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the archive. ``None`` is scikit-learn's, as
        :func:`sklearn.datasets.get_data_home` has it.
    download_if_missing : bool, default=True
        If False, raise an OSError where the archive is not in `data_home`.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.
    n_retries : int, default=3
        How often to try again after a failed connection.
    delay : float, default=1.0
        Seconds between tries.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : list of bytes of length 1040
            The images as PNG files, in order of their names.
        target : ndarray of str of shape (1040,)
            Their texts.
        filenames : ndarray of str of shape (1040,)
            Their names in the archive.
        DESCR : str
            A description of the set.

    (data, target) : tuple if ``return_X_y=True``
        `data` and `target` as above.

    Raises
    ------
    OSError
        If the archive cannot be downloaded, or is not the one expected. Nothing is
        then written, and nothing that was there is deleted.
    ValueError
        If `n_retries` or `delay` is out of range.

    Examples
    --------
    >>> from skcaptcha.datasets import fetch_captcha_images_v2
    >>> X, y = fetch_captcha_images_v2(return_X_y=True)  # doctest: +SKIP
    >>> len(X), y[0]  # doctest: +SKIP
    (1040, '226md')
    """
    if not isinstance(n_retries, Integral) or n_retries < 0:
        raise ValueError(f"n_retries={n_retries!r} must be an int of at least 0")
    if not isinstance(delay, Real) or not 0 <= delay < np.inf:
        raise ValueError(f"delay={delay!r} must be a number of seconds, at least 0")
    path = Path(get_data_home(data_home)) / FILENAME
    if path.exists():
        blob_id = _blob_id(path.read_bytes())
        if blob_id != BLOB_ID:
            raise OSError(
                f"{str(path)!r} is damaged or another archive: its git blob id is "
                f"{blob_id}, not {BLOB_ID}. Move it away and call again to "
                f"download it, or put there the file at {URL}"
            )
    elif download_if_missing:
        write_atomically(path, _download(path, n_retries, delay))
    else:
        raise OSError(
            f"{str(path)!r} is missing and download_if_missing=False. Allow the "
            f"download, or put there the file at {URL}"
        )

    data, texts = load_image_folder(path, pattern="*.png")
    target = np.array(texts)
    if return_X_y:
        return data, target
    filenames = np.array([image.name for image in data])
    return Bunch(data=data, target=target, filenames=filenames, DESCR=DESCRIPTION)


def _blob_id(content):
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _download(path, n_retries, delay):
    """Return the verified content of the archive; `path` is for the messages."""
    for tries_left in range(n_retries, -1, -1):
        try:
            content = _read_url()
            break
        except (OSError, http.client.HTTPException) as error:
            # An answer such as 404 will be the same the next time.
            final = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if tries_left == 0 or final:
                raise OSError(
                    f"{FILENAME} could not be downloaded from {URL} "
                    f"({error}). Check the connection and call again, or fetch that "
                    f"file in another way and put it at {str(path)!r}"
                ) from error
        time.sleep(delay)
    blob_id = _blob_id(content)
    if len(content) > LARGEST_DOWNLOAD:
        problem = f"it has more than {LARGEST_DOWNLOAD} bytes"
    elif blob_id != BLOB_ID:
        problem = f"its git blob id is {blob_id}, not {BLOB_ID}"
    else:
        return content
    raise OSError(
        f"The file at {URL} is not the one expected: {problem}. It was not kept"
    )


def _read_url():
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as response:
        content = response.read(LARGEST_DOWNLOAD + 1)
        announced = response.headers.get("Content-Length")
    # A read of limited size says nothing where the connection broke off.
    if announced and len(content) < min(int(announced), LARGEST_DOWNLOAD):
        raise OSError(f"it broke off after {len(content)} of {announced} bytes")
    return content
