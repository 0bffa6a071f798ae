"""How the shipped weights were made; run one with ``python -m ganprobe_zoo.training.digits``."""
