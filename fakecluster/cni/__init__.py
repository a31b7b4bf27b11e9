"""Nodes and Pods as network namespaces: what node set-up, CNI plugin and container runtime do together."""

from fakecluster.cni.addressing import AddressPlan, NodeAddresses
from fakecluster.cni.runtime import Runtime

__all__ = ["AddressPlan", "NodeAddresses", "Runtime"]
