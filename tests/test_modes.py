"""Modes of all threads come back when the last thread is done."""

import os
import threading
import warnings

import pytest
import torch

from skcaptcha._modes import own_modes


def read_modes():
    return (
        torch.is_anomaly_enabled(),
        torch.is_anomaly_check_nan_enabled(),
        torch.__future__.get_swap_module_params_on_conversion(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


OWN = (False, True, False, True, False, False)


@pytest.fixture(autouse=True)
def modes():
    """The caller has set them all."""
    torch.__future__.set_swap_module_params_on_conversion(True)
    with (
        torch.autograd.set_detect_anomaly(True, check_nan=False),
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16),
    ):
        yield read_modes()
    torch.__future__.set_swap_module_params_on_conversion(False)


def test_they_are_put_aside_and_come_back(modes):
    assert modes == (True, False, True, False, True, True)
    with own_modes():
        with own_modes():
            assert read_modes() == OWN
        assert read_modes() == OWN
    assert read_modes() == modes
    with pytest.raises(KeyError), own_modes():
        raise KeyError
    assert read_modes() == modes


def test_the_last_thread_restores_them(modes):
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with own_modes():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(10)
    with own_modes():
        assert read_modes() == OWN
    assert read_modes()[:3] == OWN[:3]  # the other one is at work
    leave.set()
    thread.join()
    assert read_modes() == modes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_has_none_of_the_other_threads(modes):
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with own_modes():
            entered.set()
            leave.wait(60)

    def look():
        found = [read_modes()]
        with own_modes():
            found.append(read_modes())
        return [*found, read_modes()]

    thread = threading.Thread(target=stay)
    thread.start()
    assert entered.wait(10)
    reader, writer = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 warns of threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.write(writer, repr(look()).encode())
        os._exit(0)
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    os.close(writer)
    with open(reader) as pipe:
        assert pipe.read() == repr([modes, OWN, modes])
