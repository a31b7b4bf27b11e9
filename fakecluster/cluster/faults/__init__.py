"""What can be broken in a cluster: on demand (`Faults`), and by a plan on the virtual clock (`FaultPlan`)."""

from fakecluster.cluster.faults.faults import Faults
from fakecluster.cluster.faults.options import FaultOptions
from fakecluster.cluster.faults.plan import Fault, FaultPlan

__all__ = ["Fault", "FaultOptions", "FaultPlan", "Faults"]
