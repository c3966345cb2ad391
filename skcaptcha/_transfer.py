"""Copies between the CPU and a GPU that the program does not wait for."""

import torch


def send(values, device):
    """Return a tensor of the CPU on a device.

    A GPU copies it when it comes to it, from memory that the system cannot move.
    """
    if torch.device(device).type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


class LateValues:
    """A few numbers on a GPU, asked for now and read later."""

    def __init__(self, values):
        self._values = torch.empty(
            values.shape, dtype=values.dtype, device="cpu", pin_memory=True
        )
        self._values.copy_(values, non_blocking=True)
        self._arrival = torch.cuda.Event()
        self._arrival.record(torch.cuda.current_stream(values.device))

    def read(self):
        """Return them as a list, waiting only if they are not there yet."""
        self._arrival.synchronize()
        return self._values.tolist()
