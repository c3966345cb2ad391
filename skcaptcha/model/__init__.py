"""The network, and everything that is computed from what it puts out."""
