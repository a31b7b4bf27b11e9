"""Which destination each scheduler chooses. Sequences were recorded from a real kernel or follow from its rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakecluster.kernel.ipvs.schedulers import SCHEDULERS, Request
from fakecluster.kernel.ipvs.schedulers.hashing import fold, hash32
from fakecluster.kernel.ipvs.schedulers.maglev import hsiphash
from fakecluster.kernel.ipvs.service import Destination, Service
from fakecluster.kernel.netns import Netns
from fakecluster.rules.ipvsadm import Server, ServiceId, ServiceOptions
from fakecluster.sim import enumerate_outcomes

SERVICE = "-t 10.96.0.1:80"
#: (0x0A600001 * 0x61C88647 mod 2^32) >> 24
DH_BUCKET = 130


def chosen(director, count, *, client="10.1.0.5"):
    """The last byte of the servers that so many new connections go to."""
    fates = [director.syn(f"{client}:{director.free_port()}") for _ in range(count)]
    return [int(fate.rpartition(".")[2].partition(":")[0]) if "." in fate else fate for fate in fates]


def weights(director, *pairs, scheduler="rr", flags=""):
    director.run(f"ipvsadm -A {SERVICE} -s {scheduler} {flags}")
    for last, weight in pairs:
        director.run(f"ipvsadm -a {SERVICE} -r 10.2.0.{last}:80 -m -w {weight}")


def edit(director, last, weight):
    director.run(f"ipvsadm -e {SERVICE} -r 10.2.0.{last}:80 -m -w {weight}")


def test_round_robin_begins_with_the_newest_and_skips_weight_zero(director):
    weights(director, (1, 1), (2, 0), (3, 7))
    assert chosen(director, 5) == [3, 1, 3, 1, 3]


def test_round_robin_goes_on_behind_a_destination_that_was_removed(director):
    weights(director, (1, 1), (2, 1), (3, 1))
    assert chosen(director, 2) == [3, 2]
    director.run(f"ipvsadm -d {SERVICE} -r 10.2.0.2:80")
    assert chosen(director, 3) == [1, 3, 1]


def test_round_robin_reaches_a_newcomer_after_wrapping(director):
    weights(director, (1, 1), (2, 1))
    assert chosen(director, 1) == [2]
    director.run(f"ipvsadm -a {SERVICE} -r 10.2.0.3:80 -m")
    assert chosen(director, 3) == [1, 3, 2]


def test_weighted_rounds_fall_from_the_largest_weight(director):
    weights(director, (1, 1), (2, 2), (3, 4), scheduler="wrr")
    director.run(f"ipvsadm -E {SERVICE} -s rr")
    director.run(f"ipvsadm -E {SERVICE} -s wrr")
    assert chosen(director, 7) == [3, 3, 3, 2, 3, 2, 1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_weighted_shares_are_exact_over_a_full_cycle(values):
    service = Service(ServiceId(4, 6, 1, 80), ServiceOptions("wrr"), None, 1, 0)
    for number, weight in enumerate(values):
        service.link(Destination(service, Server(4, number, 80, "masquerade", weight)))
    scheduler = SCHEDULERS["wrr"](service, 0)
    picks = [scheduler.choose(Request(Netns(), 4, 0, 0, 0)).address for _ in range(2 * sum(values))]
    assert [picks.count(number) for number in range(len(values))] == [2 * weight for weight in values]


def test_weighted_rounds_give_up_when_all_are_full(director):
    weights(director, (1, 3), (2, 2), scheduler="wrr")
    for last, weight in ((1, 3), (2, 2)):
        director.run(f"ipvsadm -e {SERVICE} -r 10.2.0.{last}:80 -m -w {weight} -x 1")
    assert sorted(chosen(director, 2)) == [1, 2]
    assert chosen(director, 2) == ["icmp 3/3", "icmp 3/3"]


def test_least_connections_ignores_weights_above_zero(director):
    weights(director, (1, 9), (2, 1), (3, 0), scheduler="lc")
    assert chosen(director, 4) == [2, 1, 2, 1]


def test_weighted_least_connections_compares_per_weight(director):
    weights(director, (1, 1), (2, 3), scheduler="wlc")
    assert chosen(director, 8) == [2, 1, 2, 2, 2, 1, 2, 2]


def test_an_active_connection_weighs_as_much_as_256_inactive_ones(director):
    weights(director, (1, 1), (2, 1), scheduler="lc")
    destinations = director.netns.ipvs.services[4, 6, 0x0A600001, 80].destinations
    destinations[0].active, destinations[1].inactive = 1, 256
    assert chosen(director, 1) == [2]
    destinations[0].active, destinations[1].inactive = 1, 255
    assert chosen(director, 1) == [1]


def test_shortest_expected_delay_counts_the_new_connection(director):
    weights(director, (1, 1), (2, 3), scheduler="sed")
    assert chosen(director, 4) == [2, 2, 2, 1]


def test_never_queue_fills_idle_destinations_first(director):
    weights(director, (1, 1), (2, 3), scheduler="nq")
    assert chosen(director, 4) == [2, 1, 2, 2]


def test_failover_uses_the_heaviest_until_it_is_full(director):
    weights(director, (1, 5), (2, 9), scheduler="fo")
    assert chosen(director, 3) == [2, 2, 2]
    edit(director, 2, 0)
    assert chosen(director, 1) == [1]


def test_overflow_moves_on_after_one_connection_more_than_the_weight(director):
    weights(director, (1, 1), (2, 2), scheduler="ovf")
    assert chosen(director, 6) == [2, 2, 2, 1, 1, "icmp 3/3"]


def test_destination_hashing_sends_a_service_to_one_place(director):
    weights(director, (1, 1), (2, 5), (3, 1), scheduler="dh")
    assert hash32(0x0A600001) == DH_BUCKET
    place = [3, 2, 1][DH_BUCKET % 3]
    assert chosen(director, 3) == [place] * 3
    edit(director, place, 0)
    assert chosen(director, 1) == ["icmp 3/3"]


def test_source_hashing_keeps_a_client_on_its_server_whatever_its_port(director):
    weights(director, (1, 1), (2, 1), (3, 1), scheduler="sh")
    seen = {client: set(chosen(director, 4, client=client)) for client in ("10.1.0.5", "10.1.0.6", "10.1.3.9")}
    assert all(len(servers) == 1 for servers in seen.values())


def test_source_hashing_with_ports_spreads_one_client(director):
    weights(director, (1, 1), (2, 1), (3, 1), scheduler="sh", flags="-b sh-port")
    assert set(chosen(director, 40)) == {1, 2, 3}


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_a_hashed_client_is_refused_without_fallback_and_moved_with_it(director, scheduler):
    weights(director, (1, 1), (2, 1), scheduler=scheduler)
    (home,) = set(chosen(director, 3))
    edit(director, home, 0)
    assert chosen(director, 1) == ["icmp 3/3"]
    director.run(f"ipvsadm -E {SERVICE} -s {scheduler} -b {scheduler}-fallback")
    assert chosen(director, 1) == [3 - home]


def test_maglev_moves_few_clients_when_a_server_goes(director):
    weights(director, (1, 1), (2, 1), (3, 1), (4, 1), scheduler="mh")
    clients = [f"10.1.{high}.{low}" for high in range(4) for low in range(1, 51)]
    before = {client: chosen(director, 1, client=client)[0] for client in clients}
    director.run(f"ipvsadm -d {SERVICE} -r 10.2.0.4:80")
    after = {client: chosen(director, 1, client=client)[0] for client in clients}
    stayed = [client for client in clients if before[client] != 4]
    assert 100 < len(stayed) < 180
    assert sum(before[client] != after[client] for client in stayed) < len(stayed) // 10


def test_maglev_hashes_with_the_keys_of_a_real_kernel():
    """As the model that reproduces every mh recording had it."""
    assert [hsiphash(value, 2654435761) % 4093 for value in (0, 1, 0xC0A84105)] == [2495, 979, 1671]


def test_ipv6_addresses_are_folded_by_their_words():
    assert fold(6, 0x00000001_00000002_00000004_00000008) == 15


def test_locality_keeps_one_destination_until_it_is_overloaded(director):
    weights(director, (1, 1), (2, 2), scheduler="lblc")
    # 2 until it has more connections than its weight, while 1 has less than half of its own
    assert chosen(director, 5) == [2, 2, 2, 1, 1]


def test_replicated_locality_shares_an_address_among_a_growing_set(director):
    weights(director, (1, 1), (2, 2), scheduler="lblcr")
    # 2 alone until it is overloaded; then the less loaded of both, per weight
    assert chosen(director, 6) == [2, 2, 2, 1, 1, 2]


def test_locality_forgets_what_was_not_asked_for_in_a_day(director):
    weights(director, (1, 1), (2, 1), scheduler="lblc")
    assert chosen(director, 1) == [2]
    director.clock.advance(86400 + 1800)
    destinations = director.netns.ipvs.services[4, 6, 0x0A600001, 80].destinations
    destinations[0].inactive = 5
    assert chosen(director, 1) == [1]
    destinations[0].inactive = 0


def test_the_power_of_two_choices_is_exact(wire):
    def run(choices):
        director = wire.director()
        weights(director, (1, 1), (2, 2), scheduler="twos")
        director.netns.choices = choices
        return director.syn("10.1.0.5:1000")

    shares = {}
    for probability, server, _ in enumerate_outcomes(run):
        shares[server] = shares.get(server, 0) + probability
    # both idle: the second draw decides only where loads differ, so the first draw stands: 3 and 1 of 4
    assert {server: float(share) for server, share in shares.items()} == {"10.2.0.2:80": 0.75, "10.2.0.1:80": 0.25}


def test_thresholds_keep_new_connections_away_until_enough_have_gone(director):
    weights(director, (1, 1))
    director.run(f"ipvsadm -e {SERVICE} -r 10.2.0.1:80 -m -x 4")
    assert chosen(director, 5) == [1, 1, 1, 1, "icmp 3/3"]
    director.clock.advance(60)  # all four time out in SYN_RECV; below three quarters of four
    assert chosen(director, 1) == [1]


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS if name != "twos"])
def test_nothing_is_left_to_chance(director, scheduler):
    weights(director, (1, 1), (2, 3), (3, 2), scheduler=scheduler)
    assert all(fate in (1, 2, 3) for fate in chosen(director, 6))
    assert director.netns.choices.taken == []
