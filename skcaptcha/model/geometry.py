"""How the network divides an image into time steps, known without PyTorch."""

N_TIME_STRIDES = 2
"""How many convolution blocks halve the width."""

TIME_STRIDE = 2**N_TIME_STRIDES
"""Columns of the input for each time step of the output."""
