"""When to align, when to learn, when to lower the rate, when to start again."""

import math

# The uniform alignment has taught enough when it predicts the symbols better than
# their frequencies alone by this share of their entropy.
_ALIGNED = 0.1
# The loss, as a share of the symbols' entropy, under which the plateau is left.
_LEFT_PLATEAU = 0.6
# CTC loss a symbol under which more steps at the full rate bring nothing.
_LEARNED = 0.05
# Updates at the full rate at the least, by which small sets learn to tell characters
# apart that look alike; fewer where the network could read before.
_LEAST_LEARNING, _LEAST_FINE_TUNING = 700, 400
# Length of the annealing, as a share of the updates before it, and its least.
_ANNEALING, LEAST_ANNEALING = 0.8, 400
# Updates over which the learning rate rises at first.
_WARM_UP = 60
# Updates that the uniform alignment takes at the most; 60 to 169 on nine sets.
_LONGEST_ALIGNMENT = 2000
# Updates without the loss falling by a hundredth before a new start; 26 on nine sets.
_PATIENCE = 500
# Updates in a row whose loss is not finite before a new start. It takes a few to tell
# weights that are destroyed from a batch that is the cause.
_MOST_BAD = 5


class Schedule:
    """Decides, update by update, on the stage of a fit and on its learning rate.

    Three stages: the uniform alignment until it has taught something, CTC at the
    full rate until it has learned what it can, CTC with a rate that a cosine lowers
    to zero. A fit that does not leave the plateau starts again, from the weights that
    it began with or new ones, at half the rate, aligned for longer and with more
    patience. So does one whose loss is no longer finite.

    `entropy` is that of the symbols' frequencies in nats, the loss of a guess;
    `n_updates` counts restarts, too, and with ``math.inf`` the rate is never lowered.
    A network that is `aligned` can read already and needs no alignment, unless it
    stays on the plateau all the same.
    """

    def __init__(self, entropy, n_updates, updates_per_epoch, *, aligned=False):
        self.aligned, self.left_plateau = aligned, False
        self.n_updates = n_updates
        self.least_patience = max(_PATIENCE, updates_per_epoch)
        self.update = 0
        self.n_late = 0  # updates that have been made, and whose loss is not known yet
        self.diverged = False
        self.resume(entropy, updates_per_epoch)
        self._begin()

    def resume(self, entropy, updates_per_epoch):
        """Continue at the full rate, with other samples."""
        self.entropy, self.updates_per_epoch = max(entropy, 0.5), updates_per_epoch
        self.aligned |= self.left_plateau  # or a new start would lose what it learned
        self.n_restarts, self.patience = 0, self.least_patience

    def _begin(self):
        self.begun = self.update
        self.left_plateau = False
        self.n_bad = 0
        self._enter("ctc" if self.aligned else "alignment")

    def _enter(self, stage):
        self.stage, self.stage_begun = stage, self.update
        if stage != "annealing":
            self.loss, self.least_loss, self.progressed = None, math.inf, self.update

    @property
    def endless(self):
        """Whether nobody knows how many updates there will be."""
        return self.n_updates == math.inf

    @property
    def learning_rate(self):
        """Share of the initial learning rate."""
        warm = min(1.0, (self.n_made - self.begun + 1) / _WARM_UP)
        return warm * self.share_left * 0.5**self.n_restarts

    @property
    def share_left(self):
        """What the annealing has left, 1 before it and 0 at its end."""
        if self.stage != "annealing":
            return 1.0
        done = min(1.0, (self.n_made - self.stage_begun) / self.annealing)
        return 0.5 * (1 + math.cos(math.pi * done))

    @property
    def n_made(self):
        """Updates that have been made."""
        return self.update + self.n_late

    @property
    def last_update(self):
        """Number of updates at which the fit will end, as far as is known."""
        if self.stage == "annealing":
            return min(self.n_updates, math.ceil(self.stage_begun + self.annealing))
        return self.n_updates

    @property
    def finished(self):
        """Whether the updates are spent or the rate has come to zero."""
        return self.n_made >= self.last_update

    def step(self, loss):
        """Take in the loss of an update, NaN of a failed one; return True to restart.

        `diverged` then tells whether it is for losses that are not finite. A GPU tells
        losses a few updates late, in their order; `n_late` counts those to come.
        """
        self.update += 1
        self.n_late = max(0, self.n_late - 1)
        self.n_bad = 0 if math.isfinite(loss) else self.n_bad + 1
        self.diverged = self.n_bad == _MOST_BAD
        if self.diverged:
            return self.restart()
        if self.n_bad:
            return False
        self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        if self.stage == "alignment":
            age = self.update - self.stage_begun
            aligned = 1 - _ALIGNED * (1 + self.n_restarts)
            taught = age >= _WARM_UP and self.loss < aligned * self.entropy
            if taught or age >= min(_LONGEST_ALIGNMENT, 0.3 * self.n_updates):
                self._enter("ctc")
        elif self.stage == "ctc":
            self.left_plateau |= self.loss < _LEFT_PLATEAU * self.entropy
            left = self.n_updates - self.update
            if self.loss < 0.99 * self.least_loss:
                self.least_loss, self.progressed = self.loss, self.update
            stalled = self.update - self.progressed >= self.patience
            if stalled and not self.left_plateau and left > self.patience:
                return self.restart()
            least = _LEAST_FINE_TUNING if self.aligned else _LEAST_LEARNING
            enough = self.update - self.begun >= least
            if (enough and self.loss < _LEARNED) or left <= self._annealing_length():
                self.anneal()
        return False

    def restart(self):
        """Begin again at half the rate; return True."""
        self.update += self.n_late  # whatever they taught is given up
        self.n_late = 0
        self.n_restarts += 1
        self.patience *= 2
        self.aligned &= self.left_plateau
        self._begin()
        return True

    def begin_aligned(self):
        """Begin with weights that can read."""
        self.aligned = True
        self._begin()

    def _annealing_length(self):
        return max(LEAST_ANNEALING, _ANNEALING * (self.update - self.begun))

    def anneal(self):
        """Begin to lower the rate, unless the plateau has not even been left."""
        if self.stage == "ctc" and self.left_plateau and not self.endless:
            left = self.n_updates - self.update
            self.annealing = max(1, min(left, self._annealing_length()))
            self._enter("annealing")
