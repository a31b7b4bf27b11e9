"""`portforward`: bytes between a client's connections and the ports of a Pod.

Each connection is one of the simulated network's own, made inside the Pod's namespace to its loopback, as container
runtimes do it. Sources: k8s.io/kubelet pkg/cri/streaming/portforward/httpstream.go, containerd sandbox_portforward.
"""

from __future__ import annotations

import asyncio

from fakecluster.api.status import ApiError
from fakecluster.cluster import Cluster
from fakecluster.handles import Pod
from fakecluster.handles.talk import ConnectFailed, Connection
from fakecluster.http.channels import PortData, PortOpened, Ports
from fakecluster.http.door import Door
from fakecluster.http.waiting import Waiting
from fakecluster.kernel.effects import SendError

#: Where the Pod's programs are looked for, in this order.
LOOPBACKS = ("127.0.0.1", "::1")


async def forward(door: Door, cluster: Cluster, namespace: str, name: str, ports: Ports) -> None:
    """Serve a client's connections until it leaves."""
    with door:
        pod = cluster.pod(name, namespace)
    open_ones: dict[str, Connection] = {}
    pumps: set[asyncio.Task[None]] = set()
    try:
        while (event := await ports.receive()) is not None:
            if isinstance(event, PortOpened):
                connection = await _open(door, pod, ports, event)
                if connection is not None:
                    open_ones[event.connection] = connection
                    pump = asyncio.ensure_future(_pump(door, connection, ports, event.connection))
                    pumps.add(pump)
                    pump.add_done_callback(pumps.discard)
            elif event.connection in open_ones:
                _push(door, open_ones[event.connection], event)
    finally:
        for pump in tuple(pumps):
            pump.cancel()
        with door:
            for connection in open_ones.values():
                connection.close()


async def _open(door: Door, pod: Pod, ports: Ports, wanted: PortOpened) -> Connection | None:
    outcome = "refused"
    for address in LOOPBACKS:
        target = f"[{address}]" if ":" in address else address
        try:
            with door:
                return pod.connect(f"tcp://{target}:{wanted.port}")
        except ConnectFailed as failed:
            outcome = failed.outcome
        except (LookupError, ApiError) as gone:
            outcome = str(gone)
    where = f"error forwarding port {wanted.port} to pod {pod.name}_{pod.kubernetes_namespace}"
    await ports.fail(
        wanted.connection, f"{where}: failed to connect to localhost:{wanted.port} inside namespace: {outcome}"
    )
    return None


def _push(door: Door, connection: Connection, event: PortData) -> None:
    with door:
        try:
            if event.data:
                connection.send(event.data)
        except SendError:
            return  # the program has closed its end; what it last sent is on its way to the client
        if event.ended:
            connection.close()


async def _pump(door: Door, connection: Connection, ports: Ports, name: str) -> None:
    with Waiting(door, lambda: connection.waiting or connection.over) as waiting:
        while True:
            with door:
                data, over = connection.receive(), connection.over
            if data:
                await ports.send(name, data)
            elif over:
                await ports.end(name)
                return
            else:
                await waiting.once()
