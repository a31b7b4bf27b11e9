from __future__ import annotations

import pytest

from fakecluster.api.allocators import (
    AllocationError,
    NumberRange,
    PortOperation,
    ServiceAllocators,
    new_allocators,
    static_band,
)
from fakecluster.sim import Seeded


@pytest.fixture
def allocators() -> ServiceAllocators:
    return new_allocators(["10.96.0.0/28", "fd00:10:96::/112"])


def test_bands_follow_the_published_formula() -> None:
    assert static_band(16, 16, 256) == 0
    assert static_band(32, 16, 256) == 16
    assert static_band(256, 16, 256) == 16
    assert static_band(4096, 16, 256) == 256
    assert static_band(65536, 16, 256) == 256
    assert static_band(2768, 32, 128) == 86


def test_any_number_comes_from_the_upper_band_while_it_has_one() -> None:
    numbers, choices = NumberRange(1, 40, 16), Seeded(7)
    taken = [numbers.take_any(choices, "test") for _ in range(24)]
    assert sorted(n for n in taken if n is not None) == list(range(17, 41))
    assert numbers.take_any(choices, "test") in range(1, 17)


def test_a_full_range_says_so() -> None:
    numbers, choices = NumberRange(1, 20, 16), Seeded(7)
    assert {numbers.take_any(choices, "test") for _ in range(20)} == set(range(1, 21))
    assert numbers.take_any(choices, "test") is None
    numbers.give_back(3)
    assert numbers.take_any(choices, "test") == 3


def test_every_address_but_network_and_broadcast_can_be_had(allocators: ServiceAllocators) -> None:
    found = {allocators.take_any_address("IPv4", Seeded(1)) for _ in range(14)}
    assert found == {f"10.96.0.{n}" for n in range(1, 15)}
    with pytest.raises(AllocationError, match="range is full"):
        allocators.take_any_address("IPv4", Seeded(1))


@pytest.mark.parametrize("address", ["10.96.0.0", "10.96.0.15", "10.97.0.1", "fd00:10:97::1", "fd00:10:96::"])
def test_addresses_outside_the_ranges_are_refused(allocators: ServiceAllocators, address: str) -> None:
    with pytest.raises(AllocationError, match="the provided network does not match the current range"):
        allocators.take_address(address)


def test_an_address_is_one_however_it_is_written(allocators: ServiceAllocators) -> None:
    allocators.take_address("fd00:10:96::20a")
    with pytest.raises(AllocationError, match="provided IP is already allocated"):
        allocators.take_address("FD00:0010:0096:0:0:0:0:20A")


def test_a_fork_has_numbers_of_its_own(allocators: ServiceAllocators) -> None:
    allocators.take_address("10.96.0.5")
    fork = allocators.fork()
    fork.take_address("10.96.0.6")
    fork.give_back_address("10.96.0.5")
    allocators.take_address("10.96.0.6")
    with pytest.raises(AllocationError):
        allocators.take_address("10.96.0.5")


def test_another_cidr_adds_addresses_and_takes_them_away_again(allocators: ServiceAllocators) -> None:
    allocators.add_cidr("10.50.0.0/24")
    allocators.take_address("10.50.0.9")
    allocators.remove_cidr("10.50.0.0/24")
    with pytest.raises(AllocationError, match="does not match"):
        allocators.take_address("10.50.0.10")


def test_a_dry_run_takes_nothing_and_does_not_search(allocators: ServiceAllocators) -> None:
    operation = PortOperation(allocators.ports, Seeded(1), dry_run=True)
    assert [operation.take_any(), operation.take_any()] == [30000, 30001]
    with pytest.raises(AllocationError, match="provided port is already allocated"):
        operation.take(30001)
    assert not allocators.ports.taken


def test_ports_outside_the_range_are_named(allocators: ServiceAllocators) -> None:
    operation = PortOperation(allocators.ports, Seeded(1), dry_run=False)
    with pytest.raises(AllocationError, match="The range of valid ports is 30000-32767"):
        operation.take(80)


def test_a_failed_write_gives_its_ports_back(allocators: ServiceAllocators) -> None:
    operation = PortOperation(allocators.ports, Seeded(1), dry_run=False)
    operation.take(30100)
    operation.take_any()
    operation.give_back()
    assert not allocators.ports.taken
