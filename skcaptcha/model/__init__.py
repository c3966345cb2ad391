"""The network, and what is computed from its output."""
