"""The command line: `fakecluster demo | trace | rules`."""

from fakecluster.cli.main import main

__all__ = ["main"]
