"""The API over HTTP: start to first answer, requests a second, watch fan-out, `kubectl apply` of a big file.

`python benchmarks/http_api.py [--objects N] [--watchers N] [--events N]`; figures are of one core for server and clients.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from fakecluster import Cluster

MAPS = "/api/v1/namespaces/default/configmaps"
SERVICE = "/api/v1/namespaces/default/services/kubernetes"
READS = 3000


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> bytes:
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, headers)
    return connection.getresponse().read()


def report(name: str, value: str) -> None:
    print(f"{name:<44}{value:>16}")


def start() -> None:
    begin = time.perf_counter()
    cluster = Cluster(nodes=2)
    built = time.perf_counter()
    with cluster.serve(tls=False) as api:
        ask(connect(api.port), "GET", "/version")
        report("cluster built", f"{(built - begin) * 1000:.0f} ms")
        report("serve to first answer", f"{(time.perf_counter() - built) * 1000:.0f} ms")


def raw_reads(port: int, path: str, count: int) -> float:
    """Reads a second as a client sees that sends raw bytes and looks for nothing but the length."""
    import socket

    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(request)
        time.sleep(0.1)
        size = len(raw.recv(1 << 20))
        begin = time.perf_counter()
        for _ in range(count):
            raw.sendall(request)
            left = size
            while left > 0:
                left -= len(raw.recv(left))
        return count / (time.perf_counter() - begin)


def requests(cluster: Cluster, writes: int) -> None:
    with cluster.serve(tls=False) as api:
        report("GET of a Service", f"{raw_reads(api.port, SERVICE, READS):.0f} /s")
        connection = connect(api.port)
        begin = time.perf_counter()
        for number in range(writes):
            body = json.dumps({"metadata": {"name": f"m{number}"}, "data": {"a": "b"}}).encode()
            ask(connection, "POST", MAPS, body)
        report("POST of a ConfigMap", f"{writes / (time.perf_counter() - begin):.0f} /s")
        begin = time.perf_counter()
        size = len(ask(connection, "GET", MAPS))
        report(f"LIST of {writes} ({size // 1024} KiB)", f"{(time.perf_counter() - begin) * 1000:.0f} ms")


def fan_out(cluster: Cluster, watchers: int, events: int) -> None:
    with cluster.serve(tls=False) as api:
        version = json.loads(ask(connect(api.port), "GET", MAPS))["metadata"]["resourceVersion"]

        def follow() -> None:
            connection = connect(api.port)
            connection.request("GET", f"{MAPS}?watch=1&resourceVersion={version}")
            response, seen = connection.getresponse(), 0
            while seen < events:
                seen += response.read1(1 << 20).count(b"\n")
            connection.close()

        threads = [threading.Thread(target=follow) for _ in range(watchers)]
        for thread in threads:
            thread.start()
        begin = time.perf_counter()
        for number in range(events):
            cluster.api.create("configmaps", {"metadata": {"name": f"e{number}"}}, "default")
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begin
        report(f"{watchers} watchers x {events} events", f"{seconds:.2f} s")
        report("events delivered", f"{watchers * events / seconds:.0f} /s")


def apply_file(objects: int) -> None:
    if not shutil.which("kubectl"):
        report("kubectl apply", "no kubectl")
        return
    cluster = Cluster(nodes=1)
    with tempfile.TemporaryDirectory() as folder, cluster.serve() as api:
        file = Path(folder) / "objects.yaml"
        one = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{}\ndata:\n  a: b\n"
        file.write_text("---\n".join(one.format(number) for number in range(objects)))
        environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig), "HOME": folder}
        for words in (["apply", "-f", str(file)], ["apply", "--server-side", "-f", str(file)]):
            begin = time.perf_counter()
            subprocess.run(["kubectl", *words], env=environment, check=True, capture_output=True)
            report(f"kubectl {' '.join(words[:-2])} of {objects} objects", f"{time.perf_counter() - begin:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    start()
    requests(Cluster(nodes=1), options.objects)
    fan_out(Cluster(nodes=1), options.watchers, options.events)
    apply_file(options.objects)


if __name__ == "__main__":
    main()
