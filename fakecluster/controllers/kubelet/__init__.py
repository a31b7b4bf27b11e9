"""The kubelet of one node: runs the Pods bound to it and reports how they are."""

from fakecluster.controllers.kubelet.kubelet import Kubelet

__all__ = ["Kubelet"]
