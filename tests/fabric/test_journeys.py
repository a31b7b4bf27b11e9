"""Records of journeys: numbered, kept for a while, copied."""

from __future__ import annotations

from fakecluster.fabric.journeys import Journeys
from fakecluster.trace import Hop, Verdict

HOP = Hop("a", "eth0", "", b"", b"", (), Verdict("delivered", "a", ""), 0, 0)


def test_the_oldest_of_more_than_64_journeys_is_forgotten() -> None:
    journeys = Journeys()
    assert [journeys.begin() for _ in range(65)][-1] == 65
    assert (1 in journeys.hops, 2 in journeys.hops, len(journeys.hops)) == (False, True, 64)


def test_an_old_journey_goes_on_under_its_number() -> None:
    journeys = Journeys()
    first = journeys.begin()
    journeys.hops[first].append(HOP)
    assert (journeys.begin(), journeys.begin(first), journeys.begin()) == (2, 1, 3)
    assert journeys.hops[first] == [HOP]


def test_a_copy_goes_its_own_way() -> None:
    journeys = Journeys()
    journeys.begin()
    copy = journeys.fork()
    copy.hops[1].append(HOP)
    assert (journeys.hops[1], copy.begin(), journeys.last) == ([], 2, 1)
