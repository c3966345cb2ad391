"""Two processes under torchrun, on the CPU, that fit one network together."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from support import fit_together

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "fork") or not torch.distributed.is_available(),
        reason="needs PyTorch's gloo, and signals",
    ),
]

# So that the processes find `support` too.
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join(sys.path),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of the two processes saw, by the name of the task."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "support.fit_together", str(folder)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def both(found, task):
    return found[0][task], found[1][task]


@pytest.mark.parametrize("task", ["fit_plainly", "fit_padded"])
def test_the_losses_are_those_of_one_process_and_the_whole_batches(found, task):
    """Rounding apart, of bfloat16 too; both share a batch and the sums of its norms."""
    alone = getattr(fit_together, task)(0, None)
    for one in both(found, task):
        np.testing.assert_allclose(one["loss_curve"], alone["loss_curve"], rtol=1e-3)
        assert one["validation_scores"] == alone["validation_scores"]
        # Without padding one process corrects the running variance by n / (n - 1).
        np.testing.assert_allclose(one["confidence"], alone["confidence"], atol=0.02)


@pytest.mark.parametrize(
    "task", ["fit_plainly", "fit_padded", "resume", "interrupt_one", "stop_one"]
)
def test_both_end_with_the_same_weights_and_predictions(found, task):
    one, other = both(found, task)
    assert one["weights"] == other["weights"]
    assert one["confidence"] == other["confidence"]
    assert one["loss_curve"] == other["loss_curve"]


def test_what_the_user_has_set_in_pytorch_changes_nothing(found):
    for one, plain in zip(
        both(found, "fit_under_settings"), both(found, "fit_plainly"), strict=True
    ):
        assert one.items() <= plain.items()


def test_their_noise_differs_and_goes_with_the_random_state(found):
    seeded, unseeded = found[0]["fit_with_noise"]
    assert [seeded, unseeded] == found[1]["fit_with_noise"]
    assert seeded["weights"] != unseeded["weights"]
    assert seeded["weights"] == found[0]["resume"]["weights"]  # which is another fit


def test_the_first_alone_shows_progress_and_warns(found):
    one, other = both(found, "fit_plainly")
    assert "Training" in one["shown"]
    assert other["shown"] == ""
    one, other = both(found, "interrupt_one")
    assert one["told"] and not other["told"]


def test_the_first_alone_writes_the_checkpoint_from_which_both_go_on(found):
    for one in both(found, "resume"):
        assert one["error"] == "ValueError('a callback has failed')"
        assert one["left"] == ["fit.ckpt"]
        assert len(one["loss_curve"]) == 2


def test_what_interrupts_one_interrupts_both(found):
    for one in both(found, "interrupt_one"):
        assert len(one["loss_curve"]) == 1
        assert one["as_before"]  # what Ctrl-C does
    assert "interrupted in epoch 2" in found[0]["interrupt_one"]["told"][0]


def test_a_callback_that_stops_one_stops_both(found):
    assert [len(one["loss_curve"]) for one in both(found, "stop_one")] == [1, 1]


def test_an_error_of_one_is_no_reason_for_the_other_to_wait(found):
    one, other = both(found, "fail_in_one")
    assert other["error"] == "ValueError('a callback has failed')"
    assert "Process 0 of 2 that fit together lost touch with another" in one["error"]
    assert not one["fitted"] and not other["fitted"]
    # The next fit is one of both again.
    assert one["weights"] == other["weights"]


def test_processes_that_are_given_other_things_say_so(found):
    for errors in both(found, "differ"):
        names = ["`max_iter`", "`random_state`", "`random_state`", "The number of sam"]
        assert len(errors) == len(names)
        for error, name in zip(errors, names, strict=True):
            assert error.startswith(f"""ValueError("{name}""") or error.startswith(
                f"ValueError('{name}"
            )
            assert "differs between the processes" in error


def test_threads_jobs_and_forks_fit_alone_and_so_does_partial_fit(found):
    one, other = both(found, "fit_alone")
    assert one["thread"] == other["thread"] == one["fork"] == other["fork"] == 1
    assert one["job"] == [1]
    assert one["weights"] != other["weights"]


def test_global_generators_are_left_alone(found):
    assert found[0]["as_before"] and found[1]["as_before"]


KILLED = """
import os
import torch
from support import fit_together
from skcaptcha.training import step as _trainer

torch.distributed.init_process_group("gloo")
update = _trainer.Trainer.train_step

def die(self, *args):
    if torch.distributed.get_rank() == 1 and len(self.losses) == 3:
        os._exit(7)
    return update(self, *args)

_trainer.Trainer.train_step = die
fit_together.fit()
"""


def test_a_process_that_dies_ends_the_others(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, str(script)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,  # gloo would wait for half an hour
    )
    assert done.returncode != 0
    assert "exitcode  : 7" in done.stderr
