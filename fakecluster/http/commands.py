"""Commands that `kubectl exec` can run in a Pod: a small set, each over the simulated network, in its tool's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import attrs

from fakecluster.handles import Pod
from fakecluster.handles.talk import ConnectFailed, ResolveFailed
from fakecluster.handles.targets import TargetError

#: Virtual time that a command waits for an answer.
PATIENCE_S = 5.0


@attrs.frozen
class Finished:
    """What a command left: its output, its error output, its exit code."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0


def run(pod: Pod, container: str, words: Sequence[str]) -> Finished | None:
    """Run a command in a container; None when there is no such program."""
    command = COMMANDS.get(words[0].rpartition("/")[2]) if words else None
    return None if command is None else command(pod, container, list(words[1:]))


def _env(pod: Pod, container: str, words: list[str]) -> Finished:
    lines = (f"{name}={value}\n" for name, value in pod.container_env(container).items())
    return Finished("".join(lines).encode())


def _cat(pod: Pod, container: str, words: list[str]) -> Finished:
    files = {
        "/etc/resolv.conf": lambda: str(pod.resolv_conf),
        "/etc/hosts": lambda: pod.hosts,
        "/etc/hostname": lambda: pod.hostname + "\n",
    }
    out, errors = "", ""
    for name in words:
        if name in files:
            out += files[name]()
        else:
            errors += f"cat: can't open '{name}': No such file or directory\n"
    return Finished(out.encode(), errors.encode(), 1 if errors else 0)


def _hostname(pod: Pod, container: str, words: list[str]) -> Finished:
    return Finished(f"{pod.hostname}\n".encode())


def _echo(pod: Pod, container: str, words: list[str]) -> Finished:
    return Finished((" ".join(words) + "\n").encode())


def _nslookup(pod: Pod, container: str, words: list[str]) -> Finished:
    if not words:
        return Finished(stderr=b"nslookup: no name\n", code=1)
    server = pod.resolv_conf.nameservers[0] if pod.resolv_conf.nameservers else ""
    head = f"Server:\t\t{server}\nAddress:\t{server}:53\n\n"
    try:
        addresses = pod.resolve(words[0], timeout_s=PATIENCE_S)
    except ResolveFailed as failed:
        return Finished(head.encode(), f"** server can't find {words[0]}: {failed.status}\n".encode(), 1)
    return Finished((head + "".join(f"Name:\t{words[0]}\nAddress: {one}\n" for one in addresses)).encode())


def _fetch(pod: Pod, container: str, words: list[str]) -> Finished:
    """curl and wget: one GET; options are not looked at, but for the URL."""
    urls = [word for word in words if not word.startswith("-")]
    if not urls:
        return Finished(stderr=b"curl: (2) no URL specified\n", code=2)
    url = urlsplit(urls[-1] if "//" in urls[-1] else f"http://{urls[-1]}")
    host, port = url.hostname or "", url.port or 80
    request = f"GET {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode()
    try:
        answer = pod.connect(host, port, timeout_s=PATIENCE_S).request(request, timeout_s=PATIENCE_S)
    except ResolveFailed:
        return Finished(stderr=f"curl: (6) Could not resolve host: {host}\n".encode(), code=6)
    except (ConnectFailed, TargetError) as failed:
        why = failed.outcome if isinstance(failed, ConnectFailed) else str(failed)
        return Finished(stderr=f"curl: (7) Failed to connect to {host} port {port}: {why}\n".encode(), code=7)
    return Finished(answer.body)


def _nc(pod: Pod, container: str, words: list[str]) -> Finished:
    names = [word for word in words if not word.startswith("-")]
    if len(names) != 2:
        return Finished(stderr=b"nc: bad address or port\n", code=1)
    host, port = names
    protocol = "udp" if any(word.startswith("-") and "u" in word for word in words) else "tcp"
    reach = pod.can_reach(f"{protocol}://{host}:{port}", timeout_s=PATIENCE_S)
    if reach:
        return Finished(stderr=f"{host} ({host}:{port}) open\n".encode())
    return Finished(stderr=f"nc: {host} ({host}:{port}): {reach.outcome}\n".encode(), code=1)


Command = Callable[[Pod, str, list[str]], Finished]
COMMANDS: dict[str, Command] = {
    "env": _env,
    "printenv": _env,
    "cat": _cat,
    "hostname": _hostname,
    "echo": _echo,
    "true": lambda pod, container, words: Finished(),
    "false": lambda pod, container, words: Finished(code=1),
    "nslookup": _nslookup,
    "curl": _fetch,
    "wget": _fetch,
    "nc": _nc,
}
