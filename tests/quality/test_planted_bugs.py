"""Plant a bug: a ready-made check must find it within Hypothesis' default number of examples and shrink it.

Most bugs are planted in the text between kube-proxy and the kernel, where every mode can be broken in the same way;
others in controllers, connection tracking, NAT, DNS and allocation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from fakecluster import Cluster, checks
from fakecluster import strategies as kube
from fakecluster.cluster.components import template
from fakecluster.kernel.netns import Netns

#: 100 is Hypothesis' default.
SEARCH = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
Plant = Callable[[pytest.MonkeyPatch], None]


def in_text(pattern: str, replacement: str, *, tool: str = "") -> Plant:
    """A bug in what kube-proxy tells its node: commands whose name begins with `tool`, their arguments and input."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Netns.run

        def run(netns: Netns, command: Any, stdin: str = "") -> str:
            argv = command.split() if isinstance(command, str) else list(command)
            if argv[0].startswith(tool):
                stdin = re.sub(pattern, replacement, stdin, flags=re.M)
                argv = re.sub(pattern, replacement, "\0".join(argv)).split("\0")
            return real(netns, argv, stdin)

        monkeypatch.setattr(Netns, "run", run)

    return plant


def in_code(target: str, wrong: Any) -> Plant:
    """A bug in the model's code: `target` (module:class.name) is replaced; `wrong` gets the real one first."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        module, _, path = target.partition(":")
        owner: Any = __import__(module, fromlist=["*"])
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **options: wrong(real, *args, **options))

    return plant


@attrs.frozen
class Bug:
    """What is broken, in which mode, which check tells, and the least (nodes, Services, Pods) that shows it."""

    plant: Plant
    check: str
    mode: str = "iptables"
    least: tuple[int, int, int] = (1, 1, 1)
    most_nodes: int = 3


BUGS = {
    # kube-proxy, iptables
    "iptables: probability ignores the number of endpoints": Bug(
        in_text(r"--probability 0\.\d+", "--probability 0.1000000000"), "balanced", least=(1, 1, 2)
    ),
    "iptables: DNAT forgets the endpoint's port": Bug(in_text(r"(--to-destination [\d.]+):\d+", r"\1"), "reachable"),
    "iptables: hairpin traffic is not marked": Bug(
        in_text(r"^-A KUBE-SEP-\w+ .*-s [\d.]+ -j KUBE-MARK-MASQ$", ""), "hairpin"
    ),
    "iptables: the last endpoint has no rule": Bug(
        in_text(r"^(-A KUBE-SVC-\w+ .*--probability) 0\.5\d* (.*)$", r"\1 1.0000000000 \2"),
        "reachable",
        least=(1, 1, 2),
    ),
    "iptables: affinity is not looked up": Bug(
        in_text(r"^-A KUBE-(SVC|SVL)-\w+ .*--rcheck.*$", ""), "affinity", least=(1, 1, 2)
    ),
    "iptables: Local policy masquerades": Bug(
        in_text(r"^(-A KUBE-EXT-\w+) -j KUBE-SVL-(\w+)$", r"\1 -j KUBE-MARK-MASQ\n\1 -j KUBE-SVL-\2"), "client-address"
    ),
    "iptables: node ports are captured on the wrong number": Bug(
        in_text(r"^(-A KUBE-NODEPORTS .*--dport) \d+", r"\1 1"), "reachable"
    ),
    # kube-proxy, nftables
    "nftables: the last endpoint is left out of the map": Bug(
        in_text(r"numgen random mod 2 (v?map) \{ (0 : [^,]+?) ,[^}]*\}", r"numgen random mod 1 \1 { \2 }"),
        "reachable",
        "nftables",
        (1, 1, 2),
    ),
    "nftables: one value too many in the generator": Bug(
        in_text(r"numgen random mod 1 ", "numgen random mod 2 "), "reachable", "nftables"
    ),
    "nftables: hairpin connections are not masqueraded": Bug(
        in_text(r"^add element ip kube-proxy hairpin-connections .*$", ""), "hairpin", "nftables"
    ),
    "nftables: affinity is not remembered": Bug(
        in_text(r"^add rule .* update @affinity-.*$", ""), "affinity", "nftables", (1, 1, 2)
    ),
    "nftables: the Service's port is one too high": Bug(
        in_text(r"(service-ips \{ [\d.]+ \. tcp \.) 80 :", r"\1 81 :"), "reachable", "nftables"
    ),
    # kube-proxy, IPVS
    "ipvs: real servers have weight 0": Bug(in_text(r"-w 1\b", "-w 0", tool="ipvsadm"), "reachable", "ipvs"),
    "ipvs: affinity is not persistent": Bug(in_text(r" -p 10800", "", tool="ipvsadm"), "affinity", "ipvs", (1, 1, 2)),
    "ipvs: hairpin set is not filled": Bug(in_text(r"^add KUBE-LOOP-BACK .*$", "", tool="ipset"), "hairpin", "ipvs"),
    # control plane
    "slices: ports are the Service's, not the Pods'": Bug(
        in_code("fakecluster.controllers.endpointslices.endpoint:port_number", lambda real, pod, port: port["port"]),
        "endpoints",
    ),
    "slices: not ready Pods are published as ready": Bug(
        in_code("fakecluster.controllers.endpointslices.endpoint:is_ready", lambda real, pod: not real(pod)),
        "endpoints",
    ),
    "allocation: a node port is given out twice": Bug(
        in_code(
            "fakecluster.api.allocators:NumberRange._free",
            lambda real, numbers, first, last, *rest: last if last == 32767 else real(numbers, first, last, *rest),
        ),
        "unique",
        least=(1, 2, 0),
    ),
    "allocation: nodes have the same Pod range": Bug(
        in_code(
            "fakecluster.cni.runtime:Runtime._free_addresses",
            lambda real, runtime: attrs.evolve(real(runtime), pod_cidrs=runtime.plan.node(0).pod_cidrs),
        ),
        "unique",
        least=(2, 0, 0),
        most_nodes=2,  # with a third one the routes between the nodes clash at once
    ),
    # kernel
    "nat: the destination port is not rewritten": Bug(
        in_code(
            "fakecluster.kernel.packet:Skb.set_end4",
            lambda real, skb, address, port, source: real(skb, address, port if source else skb.dport, source=source),
        ),
        "reachable",
    ),
    "conntrack: replies are not found": Bug(
        in_code("fakecluster.kernel.conntrack.table:Conntrack.find", lambda real, table, zone, key: None), "reachable"
    ),
    # DNS
    "dns: the first address is not answered": Bug(
        in_code("fakecluster.discovery.kubernetes:Lookup.address", lambda real, *arguments: real(*arguments)[1:]),
        "dns",
        least=(1, 1, 0),
    ),
}


@pytest.fixture(autouse=True)
def no_templates_from_elsewhere() -> Iterator[None]:
    """Clusters are copied from templates: neither may one that was made before hide a bug, nor one with a bug stay."""
    template.cache_clear()
    yield
    template.cache_clear()


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_shrunk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = BUGS[name]
    bug.plant(monkeypatch)
    clusters = kube.clusters(
        nodes=st.integers(1, bug.most_nodes), proxy=bug.mode, objects=kube.manifests(min_services=0)
    )
    found: Cluster = find(
        clusters,
        lambda cluster: any(one.severity == "error" for one in checks.run(cluster, [bug.check])),
        settings=SEARCH,
    )
    pods = [pod for pod in found.pods if pod.name != "client"]
    assert (len(found.nodes), len(found.services), len(pods)) == bug.least


def test_without_a_bug_nothing_is_found() -> None:
    """The checks do not cry wolf: no finding of any of them over the same clusters, in every mode."""
    names = sorted({bug.check for bug in BUGS.values()})

    @settings(SEARCH, max_examples=20)
    @given(data=st.data(), mode=st.sampled_from(("iptables", "nftables", "ipvs")))
    def holds(data: st.DataObject, mode: str) -> None:
        cluster = data.draw(kube.clusters(proxy=mode))
        assert [str(one) for one in checks.run(cluster, names) if one.severity == "error"] == []

    holds()
