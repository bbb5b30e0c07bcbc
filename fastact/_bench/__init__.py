"""What is measured and how it is shown: ``python -m fastact bench``. The harness itself is `fastact.testing`."""
