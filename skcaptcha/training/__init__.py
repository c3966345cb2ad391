"""Training of the network. Nothing in here knows scikit-learn."""
