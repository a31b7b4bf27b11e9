"""A packet's walk explained: through a cluster, or through a node made from what its own tools printed."""

from fakecluster.explaining.dumps import node_from_dumps
from fakecluster.explaining.explaining import explain, explain_in
from fakecluster.explaining.explanation import Change, Explanation, Neighbour
from fakecluster.explaining.names import Names, names_of
from fakecluster.explaining.rule_differences import RuleDifference, differences

__all__ = [
    "Change",
    "Explanation",
    "Names",
    "Neighbour",
    "RuleDifference",
    "differences",
    "explain",
    "explain_in",
    "names_of",
    "node_from_dumps",
]
