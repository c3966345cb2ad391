"""How far a training is: a bar in a terminal or notebook, lines elsewhere."""

import sys
import time

from tqdm.auto import tqdm

# What a bar or its lines begin with, at first and once it is known when training ends.
_OPEN, _KNOWN = "Training (may end sooner)", "Training"


def show_progress(trainer):
    """Return a progress bar of the updates: of all, or of an only epoch."""
    schedule = trainer.schedule
    known = schedule.endless or schedule.stage == "annealing"
    options = {
        "desc": _KNOWN if known else _OPEN,
        "total": schedule.updates_per_epoch,
        "initial": 0,
    }
    if not schedule.endless:
        options |= {"total": schedule.last_update, "initial": schedule.update}
    disable = not trainer.training_config.verbose or trainer.processes.rank > 0
    is_terminal = getattr(sys.stderr, "isatty", bool)()
    if disable or is_terminal or "ipykernel" in sys.modules:
        return tqdm(unit="update", disable=disable, **options)
    return ProgressLines(**options)


def show_end(progress, schedule):
    """Show when training will end, as far as is known."""
    progress.total = schedule.last_update  # which annealing brings nearer
    if schedule.stage == "annealing" or schedule.finished:
        progress.desc = _KNOWN


class ProgressLines:
    """A line for each tenth, which is readable in files; used as tqdm's bar is."""

    def __init__(self, desc, total, initial):
        self.desc, self.total, self.n, self.report = desc, total, initial, {}
        self.begun, self.tenth = time.monotonic(), initial * 10 // total

    def __enter__(self):
        """Begin the lines."""
        return self

    def __exit__(self, kind, error, traceback):
        """End them with how far it came."""
        self._print()

    def update(self):
        """Count an update."""
        self.n += 1
        tenth = self.n * 10 // self.total
        if self.tenth < tenth < 10:
            self._print()
        self.tenth = tenth

    def set_postfix(self, report):
        """Set what stands at the end of each line."""
        self.report = report

    def _print(self):
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        parts = [
            f"{self.n / self.total:.0%}",
            f"{self.n} of {self.total} updates",
            f"{minutes}:{seconds:02}",
            *(f"{name} {value}" for name, value in self.report.items()),
        ]
        print(f"{self.desc}: {', '.join(parts)}", file=sys.stderr, flush=True)
