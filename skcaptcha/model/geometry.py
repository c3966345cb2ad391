"""How the network divides an image into time steps, known without PyTorch."""

N_TIME_STRIDES = 2
"""How many convolution blocks halve the width."""

TIME_STRIDE = 2**N_TIME_STRIDES
"""Columns of the input for each time step of the output."""


def list_blocks(conv_channels, residual_blocks):
    """Return (output channels, halving of the width, residual) of each block.

    All but the residual ones halve the height.
    """
    blocks = []
    for position, channels in enumerate(conv_channels):
        halves_width = position < N_TIME_STRIDES
        blocks.append((channels, halves_width, False))
        if not halves_width:
            blocks += [(channels, False, True)] * residual_blocks
    return blocks
