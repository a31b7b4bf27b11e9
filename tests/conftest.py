"""Loads once, for all tests, what must not be loaded twice.

pytester forgets the modules that were first imported inside one of its tests; C extensions (of PyYAML) then hold on to the
old ones, and classes (of Scapy) exist twice.
"""

from __future__ import annotations

import scapy.layers.inet
import scapy.layers.inet6
import scapy.utils

import fakecluster.cli
import fakecluster.strategies

__all__ = ["fakecluster", "scapy"]
