"""``python -m ganprobe``: the command line."""

from ganprobe.cli import main

if __name__ == "__main__":
    main()
