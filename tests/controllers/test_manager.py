"""Building the controllers of a cluster."""

import pytest
from endpoint_objects import ControlPlane

from fakecluster.api.server import ApiServer
from fakecluster.controllers.manager import CONTROLLERS, Manager
from fakecluster.sim import Clock, Seeded


def test_all_controllers_are_built_unless_some_are_chosen():
    clock, choices = Clock(), Seeded(0)
    assert set(Manager(ApiServer(clock, choices), clock, choices).controllers) == set(CONTROLLERS)
    assert list(ControlPlane("endpoints-controller").manager.controllers) == ["endpoints-controller"]


def test_each_is_bound_to_the_clock_under_a_name_of_its_own():
    clock, choices = Clock(), Seeded(0)
    manager = Manager(ApiServer(clock, choices), clock, choices)
    assert len(clock.targets) == len(manager.controllers)


def test_a_name_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"no such controllers: endpoint-controller; there are .*endpoints-controller"):
        ControlPlane("endpoint-controller")
