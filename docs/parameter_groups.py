"""Which parameters belong together, for the summaries in the reference.

For what has many parameters: by group, each with the parameters in it, and before these
the three that matter first, each with what it is good for. ``parameter_summary.py``
writes the pages by it, and a test sees that each parameter is in one group.
"""

# The name under which the parameters that matter first are listed.
FIRST = "first"

GROUPS = {
    "skcaptcha.CaptchaRecognizer": {
        FIRST: {
            "random_state": "an int gives the same result each time",
            "max_iter": "more epochs for a better reader, fewer for a quick one",
            "image_height": "more rows for small characters, fewer to save time",
        },
        "data": [
            "vocabulary",
            "image_height",
            "image_shape",
            "color_mode",
            "background",
        ],
        "network": [
            "conv_channels",
            "network_size",
            "downsampling",
            "lstm_units",
            "lstm_layers",
            "dropout",
            "pretrained",
        ],
        "training": [
            "augmentation",
            "batch_size",
            "learning_rate_init",
            "weight_decay",
            "max_iter",
            "early_stopping",
            "validation_fraction",
            "n_iter_no_change",
            "tol",
            "warm_start",
            "freeze_convolutions",
        ],
        "reading": ["decoder", "beam_width", "multi_scale", "backend"],
        "running": [
            "checkpoint",
            "checkpoint_interval",
            "device",
            "n_jobs",
            "cache_size",
            "random_state",
            "verbose",
        ],
    },
    "skcaptcha.SelfTrainingRecognizer": {
        FIRST: {
            "vocabulary": "the characters, if you know them; it then reads more",
            "length": "how many there are in a text, if you know it",
            "recognizer": "what learns, such as one with a random_state",
        },
        "data": ["vocabulary", "length"],
        "training": ["recognizer", "threshold", "criterion", "k_best", "max_iter"],
        "running": ["verbose"],
    },
    "skcaptcha.CaptchaEnsemble": {
        "training": ["estimator", "cv"],
        "running": ["n_jobs", "random_state"],
    },
    "skcaptcha.datasets.make_captchas": {
        FIRST: {
            "vocabulary": "the characters to draw",
            "length": "how many of them are in a text",
            "size": "height and width of the images",
        },
        "text": ["n_samples", "vocabulary", "length"],
        "picture": ["size", "color", "fonts"],
        "characters": [
            "rotation",
            "perspective",
            "warp",
            "overlap",
            "spacing",
            "size_jitter",
            "outline",
        ],
        "paper": ["lines", "dots", "gradient", "noise", "invert"],
        "running": ["random_state"],
    },
    "skcaptcha.inspection.label_curve": {
        FIRST: {
            "estimator": "what learns, such as a CaptchaRecognizer",
            "train_sizes": "how many labels to learn from, at each point of the curve",
            "cv": "more repeats for a surer estimate",
        },
        "data": ["X", "y", "groups"],
        "training": ["estimator", "train_sizes", "cv", "scoring"],
        "running": ["n_jobs", "random_state"],
    },
}
