"""What `cluster.clients` offers: each method imports its library when it is called and returns a configured client."""

from __future__ import annotations

import importlib
from typing import Any

from fakecluster.cluster import Cluster
from fakecluster.http.clients import aiohttp_session, httpx_transport, urllib3_pool
from fakecluster.http.direct import Direct
from fakecluster.http.kubeconfig import kubeconfig
from fakecluster.http.served_cluster import door_of

#: Never resolved: nothing is sent anywhere.
URL = "http://fakecluster"


class Clients:
    """Clients of one cluster, who ask as its admin. Raises ImportError where a library is not installed."""

    def __init__(self, cluster: Cluster) -> None:
        self._direct = Direct(door_of(cluster))

    def kubernetes(self) -> Any:
        """An `ApiClient` of the official client: `kubernetes.client.CoreV1Api(cluster.clients.kubernetes())`."""
        client = importlib.import_module("kubernetes.client")
        api = client.ApiClient(client.Configuration(host=URL))
        api.rest_client.pool_manager = urllib3_pool.Pool(self._direct)
        return api

    def kubernetes_asyncio(self) -> Any:
        """The same of kubernetes_asyncio; call it in a running loop."""
        client = importlib.import_module("kubernetes_asyncio.client")
        api = client.ApiClient(client.Configuration(host=URL))
        api.rest_client.pool_manager = aiohttp_session.replacing(api.rest_client.pool_manager, self._direct)
        return api

    def httpx(self) -> Any:
        """An `httpx.Client`."""
        httpx = importlib.import_module("httpx")
        return httpx.Client(base_url=URL, transport=httpx_transport.sync_transport(httpx, self._direct), timeout=None)

    def httpx_async(self) -> Any:
        """An `httpx.AsyncClient`."""
        httpx = importlib.import_module("httpx")
        transport = httpx_transport.async_transport(httpx, self._direct)
        return httpx.AsyncClient(base_url=URL, transport=transport, timeout=None)

    def lightkube(self, **options: Any) -> Any:
        """A `lightkube.Client`."""
        generic = importlib.import_module("lightkube.core.generic_client")
        config = importlib.import_module("lightkube").KubeConfig.from_dict(kubeconfig(URL))
        transport = httpx_transport.sync_transport(generic.httpx, self._direct)
        return importlib.import_module("lightkube").Client(config=config, transport=transport, **options)

    async def kr8s(self) -> Any:
        """A `kr8s.asyncio` API: `await cluster.clients.kr8s()`; pass it on as `api=`."""
        httpx = importlib.import_module("httpx")
        kr8s = importlib.import_module("kr8s.asyncio")
        direct = self._direct

        class Api(kr8s._api._AsyncApi):  # type: ignore[misc, name-defined]
            async def _create_session(self) -> None:
                transport = httpx_transport.async_transport(httpx, direct)
                headers = {"User-Agent": self.__version__, "content-type": "application/json"}
                self._session = httpx.AsyncClient(base_url=URL, headers=headers, transport=transport, timeout=None)

        return await Api(bypass_factory=True, url=URL)
