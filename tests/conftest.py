"""Loads once, for all tests, what must not be loaded twice.

pytester forgets the modules that were first imported inside one of its tests; C extensions (of PyYAML) then hold on to the
old ones, and classes (of Scapy) exist twice. No example of Hypothesis is timed: machines are busy.
"""

from __future__ import annotations

import scapy.layers.inet
import scapy.layers.inet6
import scapy.utils
from hypothesis import settings

import fakecluster.cli
import fakecluster.strategies

__all__ = ["fakecluster", "scapy"]

settings.register_profile("untimed", parent=settings.default, deadline=None)
settings.load_profile("untimed")
