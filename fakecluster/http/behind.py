"""What the API server passes on: to kubelets (logs, commands, port forwarding) and to programs (`proxy`).

The API model checks such a request (who asks, whether the object exists) and ends with 501; what is here goes on from
there. Proxied requests are packets from the first node, where the API server's own would come from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import attrs

from fakecluster.api import status
from fakecluster.api.rest.path import Target, parse
from fakecluster.api.rest.response import Response
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.cluster import Cluster
from fakecluster.errors import Unsupported
from fakecluster.http import container_logs, forwarding, proxying, running
from fakecluster.http.channels import Channels, Ports
from fakecluster.http.door import Door

#: Subresources that need an upgraded connection.
UPGRADED = ("exec", "attach", "portforward")
COMMANDS = {"exec": running.execute, "attach": running.attach}


@attrs.frozen(eq=False)
class Behind:
    """The kubelets and programs of one cluster."""

    cluster: Cluster
    door: Door

    def answer(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response | None:
        """The answer to a request that the API server passes on; None for what is not passed on here."""
        target = parse(method, path, {})
        try:
            if target.resource == "pods" and target.subresource == "log":
                return container_logs.answer(self.cluster, self._pod(target), parse_qs(query, keep_blank_values=True))
            if target.resource == "pods" and target.subresource in UPGRADED:
                raise status.bad_request("Upgrade request required")
            if target.subresource == "proxy" and target.resource in proxying.LOCATE:
                return proxying.answer(self.cluster, method, target, query, headers, body)
        except ApiError as problem:
            return Response(problem.code, problem.status)
        except Unsupported as gap:
            return Response(501, status.failure(501, "NotImplemented", str(gap), {}).status)
        return None

    def _pod(self, target: Target) -> JsonObject:
        return self.cluster.api.get("pods", target.name, target.namespace)

    def command(self, path: str, query: str) -> tuple[running.Asked, Callable[[Channels], Awaitable[None]]]:
        """What is asked for by `exec` or `attach`, and what runs it. Raises ApiError (400, 500)."""
        target = parse("GET", path, {})
        pod = self._pod(target)
        asked = running.Asked.of(pod, query)
        started = container_logs.Run.latest(self.cluster, pod, asked.container)
        if started is None or started.exit_code is not None:
            words = f'unable to upgrade connection: container not found ("{asked.container}")'
            raise status.failure(500, "InternalError", words, {})
        run = COMMANDS[target.subresource]
        return asked, lambda channels: run(self.door, self.cluster, asked, channels)

    def ports(self, path: str) -> Callable[[Ports], Awaitable[None]]:
        """What carries the bytes of a `portforward`."""
        target = parse("GET", path, {})
        return lambda ports: forwarding.forward(self.door, self.cluster, target.namespace, target.name, ports)
