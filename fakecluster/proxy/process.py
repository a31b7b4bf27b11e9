"""The kube-proxy process of one node: two single-family proxiers, its configuration, its HTTP ports.

Feed it API objects with `on_object` (or an Inbox of the API server, see `drain`), call `start` once the first lists are
in, and let the clock run. Source: Kubernetes cmd/kube-proxy/app/server.go and server_linux.go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from fakecluster.proxy import healthz
from fakecluster.proxy.config import ConntrackConfiguration, KubeProxyConfiguration
from fakecluster.proxy.log import LINES_KEPT, LogLine, structured
from fakecluster.proxy.metrics import Metrics
from fakecluster.proxy.modes import CHECKS, CLEAN_UPS, sysctls_of, writer_of
from fakecluster.proxy.node import ProxyNode, node_ip, pod_cidrs, primary_family, what_changed
from fakecluster.proxy.program import NodeKernel, NodePorts, NodeRelays, NoPorts, NoRelays
from fakecluster.proxy.proxier import Proxier
from fakecluster.proxy.service_health import HttpAnswer
from fakecluster.proxy.versions import DEFAULT_VERSION, behaviours
from fakecluster.proxy.view import FAMILIES, Family, JsonObject, family_of
from fakecluster.sim import Choices, Clock, Seeded

#: What kube-proxy watches, by resource.
RESOURCES = ("services", "endpointslices.discovery.k8s.io", "nodes", "servicecidrs.networking.k8s.io")
#: nf_conntrack_max is maxPerCore times this, unless `min` is more.
CPUS = 4
ObjectKey = tuple[str, str, str]


class KubeProxy:
    """A node's kube-proxy. Its target names on the clock are `kube-proxy-IPv4@NODE` and `kube-proxy-IPv6@NODE`."""

    def __init__(
        self,
        node_name: str,
        config: KubeProxyConfiguration,
        kernel: NodeKernel,
        clock: Clock,
        *,
        ports: NodePorts | None = None,
        relays: NodeRelays | None = None,
        choices: Choices | None = None,
        kubernetes: str = DEFAULT_VERSION,
    ) -> None:
        self.node_name = (config.hostname_override or node_name).strip().lower()
        self.config, self.kernel, self.clock = config, kernel, clock
        self.ports: NodePorts = ports if ports is not None else NoPorts()
        self.relays: NodeRelays = relays if relays is not None else NoRelays()
        self.choices: Choices = choices if choices is not None else Seeded()
        self.behaviours = behaviours(kubernetes)
        self.metrics = Metrics()
        self.proxiers: dict[Family, Proxier] = {}
        self.node: JsonObject | None = None
        #: everything watched, as it is now; before the start this is the backlog
        self.objects: dict[ObjectKey, JsonObject] = {}
        #: what could not be removed of other modes' rules at the start
        self.complaints: list[str] = []
        #: whether the process ended by itself, as its node is not what it was any more: start a new one
        self.exited = False
        self._lines: deque[LogLine] = deque(maxlen=LINES_KEPT)

    @property
    def log(self) -> list[LogLine]:
        """What the process has logged, in order."""
        lines = [*self._lines, *(line for proxier in self.proxiers.values() for line in proxier.log)]
        return sorted(lines, key=lambda line: line.time_s)

    def take_over(self, lines: Iterable[LogLine]) -> None:
        """Go on with the log of the process that this one follows."""
        self._lines.extend(lines)

    # -- objects ---------------------------------------------------------------------------------------------------

    def on_object(self, resource: str, obj: JsonObject, *, deleted: bool = False) -> None:
        """One watch event: an object of one of `RESOURCES` as it is now (or was, when `deleted`)."""
        metadata = obj["metadata"]
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        if resource in _KEPT or not self.proxiers:
            if deleted:
                self.objects.pop(key, None)
            else:
                self.objects[key] = obj
        if resource == "nodes" and metadata["name"] == self.node_name:
            before, self.node = self.node, None if deleted else obj
            self._compare(before, self.node)
        if self.proxiers:
            self._deliver(resource, obj, deleted=deleted)

    def _compare(self, before: JsonObject | None, now: JsonObject | None) -> None:
        """The process ends when its node has other addresses than at its start, or other Pod CIDRs that it goes by."""
        if not self.proxiers or now is None:
            return
        text = what_changed(before, now, self.node_name, watches_pod_cidrs=self.config.detect_local_mode == "NodeCIDR")
        if text:
            lines = [*self.log, LogLine(self.clock.now_s, text)]
            self.stop()
            self._lines = deque(lines, maxlen=LINES_KEPT)
            self.exited = True

    def _deliver(self, resource: str, obj: JsonObject, *, deleted: bool) -> None:
        for proxier in self.proxiers.values():
            if resource == "services":
                proxier.on_service(obj, deleted=deleted)
            elif resource == "endpointslices.discovery.k8s.io":
                proxier.on_slice(obj, deleted=deleted)
            elif resource == "nodes" and obj["metadata"]["name"] == self.node_name:
                proxier.on_node((self.node or {"metadata": {}})["metadata"].get("labels") or {})
            elif resource == "servicecidrs.networking.k8s.io":
                proxier.on_service_cidrs(self._service_cidrs(proxier.node.family))

    def _service_cidrs(self, family: Family) -> list[str]:
        """CIDRs of the ServiceCIDR objects that are ready and not being deleted, sorted."""
        found: set[str] = set()
        for (resource, _, _), obj in self.objects.items():
            if resource == "servicecidrs.networking.k8s.io" and not obj["metadata"].get("deletionTimestamp"):
                found.update(cidr for cidr in obj["spec"].get("cidrs") or () if family_of(cidr) == family)
        return sorted(found)

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the node's own object, remove other modes' rules, tune conntrack, and begin to sync.

        Raises CommandError, in kube-proxy's words and with nothing changed, when the node cannot do the mode.
        """
        for warning in self.config.warnings:
            said = structured("Using lenient decoding as strict decoding failed", err=warning)
            self._lines.append(LogLine(self.clock.now_s, said))
        CHECKS.get(self.config.mode, _anything_goes)(self.kernel, self.config)
        for mode, clean_up in CLEAN_UPS.items():
            if self.config.mode not in (mode, *_SHARED_RULES.get(mode, ())):
                self.complaints += clean_up(self.kernel)
        self._tune_conntrack(self.config.conntrack)
        for family in self._families():
            node = self._proxy_node(family)
            writer = writer_of(self.config.mode)(node, self.metrics)
            self.proxiers[family] = Proxier(node, writer, self.metrics, self.ports)
        for address in (self.config.healthz_bind_address, self.config.metrics_bind_address):
            self._listen(address)
        self._deliver_backlog()
        for proxier in self.proxiers.values():
            proxier.start()

    def start_like(self, other: KubeProxy) -> None:
        """Start on a node that was given the rules of `other`'s, whose configuration and view are the same."""
        self._tune_conntrack(self.config.conntrack)
        for family, proxier in other.proxiers.items():
            node = self._proxy_node(family)
            self.proxiers[family] = Proxier(node, proxier.writer.fork(node, self.metrics), self.metrics, self.ports)
        for address in (self.config.healthz_bind_address, self.config.metrics_bind_address):
            self._listen(address)
        self._deliver_backlog()
        for family, proxier in self.proxiers.items():
            proxier.start_like(other.proxiers[family])

    def _families(self) -> tuple[Family, ...]:
        """Both, except in userspace mode, which serves only the family of the node's first address."""
        if self.config.mode != "userspace":
            return FAMILIES
        return (primary_family(self.node, self.config.bind_address),)

    def _proxy_node(self, family: Family) -> ProxyNode:
        return ProxyNode(
            family=family,
            name=self.node_name,
            ip=node_ip(self.node, family, self.config.bind_address),
            config=self.config,
            kernel=self.kernel,
            clock=self.clock,
            pod_cidrs=pod_cidrs(self.node),
            behaviours=self.behaviours,
            choices=self.choices,
            relays=self.relays,
        )

    def _deliver_backlog(self) -> None:
        for (resource, _, _), obj in list(self.objects.items()):
            self._deliver(resource, obj, deleted=False)
        self.objects = {key: obj for key, obj in self.objects.items() if key[0] in _KEPT}

    def _tune_conntrack(self, conntrack: ConntrackConfiguration) -> None:
        for key, value in sysctls_of(conntrack, CPUS).items():
            self.kernel.run(["sysctl", "-w", f"{key}={value}"])

    def _listen(self, bind_address: str) -> None:
        address, _, port = bind_address.rpartition(":")
        self.ports.listen(address.strip("[]"), int(port), f"kube-proxy@{self.node_name}")

    def stop(self) -> None:
        """The process ends; what it wrote stays."""
        for proxier in self.proxiers.values():
            proxier.stop()
        for bind_address in (self.config.healthz_bind_address, self.config.metrics_bind_address):
            address, _, port = bind_address.rpartition(":")
            self.ports.close(address.strip("[]"), int(port))
        self.proxiers = {}

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def http(self, address: str, port: int, path: str = "/") -> HttpAnswer | None:
        """What GET `path` on one of the node's addresses is answered; None: nothing of kube-proxy listens there."""
        if not self.proxiers:
            return None
        if _is_bound(self.config.healthz_bind_address, address, port):
            return healthz.answer_health(path, self.proxiers, self.node, self.metrics, self.clock)
        if _is_bound(self.config.metrics_bind_address, address, port):
            self._refresh_metrics()
            return healthz.answer_metrics(path, self.config.mode, self.metrics)
        for proxier in self.proxiers.values():
            service = proxier.health.listens(address, port)
            if service is not None:
                return proxier.health.answer(service, proxy_healthy=healthz.is_healthy(self.proxiers))
        return None

    def _refresh_metrics(self) -> None:
        """Values that the real one reads when it is asked."""
        pending = [proxier.tracker.pending for proxier in self.proxiers.values()]
        self.metrics.set("kubeproxy_sync_proxy_rules_service_changes_pending", sum(services for services, _ in pending))
        self.metrics.set("kubeproxy_sync_proxy_rules_endpoint_changes_pending", sum(slices for _, slices in pending))
        for proxier in self.proxiers.values():
            proxier.writer.refresh_metrics()

    # -- copies ----------------------------------------------------------------------------------------------------

    def fork(
        self,
        kernel: NodeKernel,
        clock: Clock,
        *,
        ports: NodePorts | None = None,
        relays: NodeRelays | None = None,
        choices: Choices | None = None,
    ) -> KubeProxy:
        """The same process on a copy of its node and clock."""
        copy = KubeProxy.__new__(KubeProxy)
        copy.__dict__.update(self.__dict__)
        copy.kernel, copy.clock = kernel, clock
        copy.ports = ports if ports is not None else NoPorts()
        copy.relays = relays if relays is not None else NoRelays()
        copy.choices = choices if choices is not None else self.choices.fork()
        copy.metrics, copy.objects = self.metrics.fork(), self.objects.copy()
        copy.complaints, copy._lines = self.complaints.copy(), self._lines.copy()
        copy.proxiers = {}
        for family, proxier in self.proxiers.items():
            node = proxier.node.on(kernel, clock, copy.choices, copy.relays)
            copy.proxiers[family] = proxier.fork(node, copy.metrics, copy.ports)
        return copy


#: Resources whose objects are kept after the start, because one change is read together with the others.
_KEPT = ("nodes", "servicecidrs.networking.k8s.io")
#: Modes that use another mode's rules: those are not removed when it starts.
_SHARED_RULES: Mapping[str, tuple[str, ...]] = {"iptables": ("ipvs",), "ipvs": ("iptables",)}


def _anything_goes(_kernel: NodeKernel, _config: KubeProxyConfiguration) -> None:
    return None


def _is_bound(bind_address: str, address: str, port: int) -> bool:
    bound, _, bound_port = bind_address.rpartition(":")
    return int(bound_port) == port and bound.strip("[]") in (address, "0.0.0.0", "::")


def clean_up(kernel: NodeKernel) -> list[str]:
    """`kube-proxy --cleanup`: remove the rules of every mode; returns complaints."""
    return [complaint for remove in CLEAN_UPS.values() for complaint in remove(kernel)]
