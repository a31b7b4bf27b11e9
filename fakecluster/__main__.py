"""`python -m fakecluster`."""

from fakecluster.cli import main

if __name__ == "__main__":
    main()
