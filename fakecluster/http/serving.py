"""A served cluster: uvicorn on loopback in a thread of its own, from `with` to the end of it."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType

import uvicorn

from fakecluster.api.rest.users import ADMIN, ANONYMOUS
from fakecluster.http import certificates
from fakecluster.http.app import App
from fakecluster.http.door import Door, Simulation
from fakecluster.http.kubeconfig import ADMIN_TOKEN, kubeconfig_text
from fakecluster.http.pace import Pace
from fakecluster.http.upgrades import HttpProtocol

LOOPBACK = "127.0.0.1"
#: Connections that may wait to be accepted; a test opens a thousand watches at once.
BACKLOG = 2048
#: How long open requests may take to end when the server stops.
GRACE_S = 2


class Served:
    """A running server: `url`, `token`, `kubeconfig` (a file), `door` (the lock around the simulation).

    `with served: ...` stops it at the end; `stop` does so at once. Its clients may live in any thread or process.
    """

    def __init__(self, door: Door, *, port: int = 0, tls: bool = True, pace: Pace | None = None) -> None:
        self.door, self.token = door, ADMIN_TOKEN
        self.app = App(door, pace=pace, user=ANONYMOUS.name if tls else ADMIN.name)
        self._socket = listen(port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="fakecluster-")
        self.kubeconfig = Path(self._folder.name) / "kubeconfig"
        ca_pem = certificates.ca_pem() if tls else b""
        write_private(self.kubeconfig, kubeconfig_text(self.url, ca_pem))
        self.ca_file = Path(self._folder.name) / "ca.crt"
        self.ca_file.write_bytes(ca_pem)
        self._server = uvicorn.Server(_config(self.app, tls))
        self._thread = threading.Thread(target=self._run, name="fakecluster-http", daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.001)
        self._started.set()
        await serving

    def stop(self) -> None:
        """End open watches, finish what is being answered, free the port; harmless when it is stopped already."""
        if not self._thread.is_alive():
            return
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.app.close(), self._loop).result()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self._folder.cleanup()

    def wait(self) -> None:
        """Serve until the server stops by itself."""
        self._thread.join()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def serve(simulation: Simulation, *, port: int = 0, tls: bool = True, clock: str = "virtual") -> Served:
    """Serve a simulation on loopback; `port` 0 takes a free one. Raises ValueError, OSError when the port is taken."""
    return Served(Door(simulation), port=port, tls=tls, pace=Pace.of(clock))


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises OSError."""
    # asyncio turns Nagle's algorithm off only where the protocol is given; with it, every answer waits 40 ms
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((LOOPBACK, port))
        found.listen(BACKLOG)
    except OSError:
        found.close()
        raise
    return found


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read: kubectl warns about others."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)


def _config(app: App, tls: bool) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        log_config=None,
        log_level="error",
        access_log=False,
        lifespan="on",
        ws="wsproto",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=120,
    )
    config.load()
    config.ssl = certificates.server_context() if tls else None
    return config
