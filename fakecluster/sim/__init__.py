"""What makes a run repeatable: virtual time and recorded chance."""

from fakecluster.sim.choices import Choice, Choices, Scripted, Seeded, enumerate_outcomes, source_of
from fakecluster.sim.clock import Clock, Event
from fakecluster.sim.keyed import Keyed

__all__ = ["Choice", "Choices", "Clock", "Event", "Keyed", "Scripted", "Seeded", "enumerate_outcomes", "source_of"]
