"""AdamW, without what PyTorch's own one loads when it is first used."""

from collections import defaultdict

import torch

from skcaptcha._torch_compat import foreach

# All of an update in one pass, which PyTorch does not promise to keep.
_FUSED = getattr(torch, "_fused_adamw_", None)


class AdamW:
    """Adam with decoupled weight decay [1]_, computed as by ``torch.optim.AdamW``.

    That one imports PyTorch's compiler, which takes longer than many an epoch. The
    attributes are the same: `param_groups`, which hold the parameters with their `lr`
    and `weight_decay`, and the `state` of each parameter.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, groups, lr, betas, eps=1e-8):
        self.param_groups = [{**group, "lr": lr} for group in groups]
        self.betas, self.eps = betas, eps
        self.state = defaultdict(dict)

    def zero_grad(self):
        """Drop the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self, grad_scale=None, is_finite=None):
        """Update the parameters that have gradients.

        Both arguments are tensors of one number on the device, which is not waited
        for: the gradients are divided by `grad_scale`, and nothing changes where
        `is_finite` is 0 rather than 1.
        """
        found_inf = None if is_finite is None else 1 - is_finite
        groups = [
            (group, [p for p in group["params"] if p.grad is not None])
            for group in self.param_groups
        ]
        updated = [parameter for _, parameters in groups for parameter in parameters]
        if not updated:
            return
        for parameter in updated:
            self._begin(parameter)
        steps = [self.state[p]["step"] for p in updated]
        foreach.add_(steps, 1 if is_finite is None else [is_finite] * len(steps))
        for group, parameters in groups:
            if parameters:
                settings = group["lr"], group["weight_decay"], grad_scale, found_inf
                self._update(parameters, *settings)

    def _begin(self, parameter):
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(
                (), dtype=torch.float32, device=parameter.device
            )
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        elif state["step"].device != parameter.device:  # it comes from a checkpoint
            state["step"] = state["step"].to(parameter.device)

    def _update(self, parameters, lr, weight_decay, grad_scale, found_inf):
        gradients = [p.grad for p in parameters]
        means, squares, steps = (
            [self.state[p][name] for p in parameters]
            for name in ("exp_avg", "exp_avg_sq", "step")
        )
        beta, beta_of_squares = self.betas
        if _FUSED is not None:
            _FUSED(
                parameters,
                gradients,
                means,
                squares,
                [],
                steps,
                lr=lr,
                beta1=beta,
                beta2=beta_of_squares,
                weight_decay=weight_decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
                grad_scale=grad_scale,
                found_inf=found_inf,
            )
            return
        if found_inf is not None:
            if found_inf.item():
                return
            foreach.div_(gradients, grad_scale)
        steps = [step.item() for step in steps]
        foreach.mul_(parameters, 1 - lr * weight_decay)
        foreach.lerp_(means, gradients, 1 - beta)
        foreach.mul_(squares, beta_of_squares)
        foreach.addcmul_(squares, gradients, gradients, 1 - beta_of_squares)
        roots = foreach.sqrt(squares)
        foreach.div_(roots, [(1 - beta_of_squares**n) ** 0.5 for n in steps])
        foreach.add_(roots, self.eps)
        sizes = [-lr / (1 - beta**n) for n in steps]
        foreach.addcdiv_(parameters, means, roots, sizes)


def make_optimizer(network, config):
    """AdamW whose weight decay spares biases and the scales of the norms."""
    learning = [p for p in network.parameters() if p.requires_grad]
    matrices = [p for p in learning if p.ndim > 1]
    vectors = [p for p in learning if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.learning_rate_init, betas=(0.9, 0.99))
