"""``python -m gkd`` is ``gkd``."""

from gkd.cli import main

if __name__ == "__main__":
    main()
