"""What tests hold: Pods, Nodes, Services and the outside, and what they get back when they talk to each other."""

from fakecluster.handles.host import Host
from fakecluster.handles.node import Node
from fakecluster.handles.outcomes import Branch, Outcomes
from fakecluster.handles.outside import Outside
from fakecluster.handles.packets import PacketTrace
from fakecluster.handles.pod import Pod
from fakecluster.handles.service import Service
from fakecluster.handles.talk import ConnectFailed, Connection, Reach, ResolveFailed
from fakecluster.handles.targets import Target, TargetError

__all__ = [
    "Branch",
    "ConnectFailed",
    "Connection",
    "Host",
    "Node",
    "Outcomes",
    "Outside",
    "PacketTrace",
    "Pod",
    "Reach",
    "ResolveFailed",
    "Service",
    "Target",
    "TargetError",
]
