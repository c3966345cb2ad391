"""Arguments of `skcaptcha train` by which it takes a moment."""

QUICK = [
    f"--param={assignment}"
    for assignment in (
        "conv_channels=(4, 8)",
        "lstm_units=4",
        "image_height=16",
        "max_iter=1",
        "pretrained=False",
    )
]
