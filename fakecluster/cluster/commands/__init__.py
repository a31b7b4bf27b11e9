"""Commands that run in containers: a small set, each over the simulated network, in its tool's words."""

from fakecluster.cluster.commands.place import Finished, Place
from fakecluster.cluster.commands.run import converse, known, reads_input, run

__all__ = ["Finished", "Place", "converse", "known", "reads_input", "run"]
