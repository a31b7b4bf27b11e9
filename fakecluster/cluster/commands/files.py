"""Programs that tell what is in the container: its environment, the files that the kubelet wrote, its name."""

from __future__ import annotations

from fakecluster.cluster.commands.place import Finished, Place, failed


def env(place: Place, words: list[str]) -> Finished:
    """env(1), without a command."""
    lines = (f"{name}={value}\n" for name, value in place.pod.container_env(place.container).items())
    return Finished("".join(lines).encode())


def printenv(place: Place, words: list[str]) -> Finished:
    if not words:
        return env(place, words)
    variables = place.pod.container_env(place.container)
    known = [f"{variables[name]}\n" for name in words if name in variables]
    return Finished("".join(known).encode(), code=int(len(known) < len(words)))


def cat(place: Place, words: list[str]) -> Finished:
    pod = place.pod
    files = {
        "-": lambda: place.stdin.decode("utf-8", "surrogateescape"),
        "/etc/resolv.conf": lambda: str(pod.resolv_conf),
        "/etc/hosts": lambda: pod.hosts,
        "/etc/hostname": lambda: pod.hostname + "\n",
    }
    out, errors = "", ""
    for name in words or ["-"]:
        if name in files:
            out += files[name]()
        else:
            errors += f"cat: can't open '{name}': No such file or directory\n"
    return Finished(out.encode("utf-8", "surrogateescape"), errors.encode(), 1 if errors else 0)


def hostname(place: Place, words: list[str]) -> Finished:
    if words in (["-i"], ["-I"]):
        return Finished(f"{' '.join(place.host.ips)}\n".encode())
    return failed(f"hostname: invalid option {words[0]}") if words else Finished(f"{place.pod.hostname}\n".encode())


def echo(place: Place, words: list[str]) -> Finished:
    end = b"\n"
    if words[:1] == ["-n"]:
        words, end = words[1:], b""
    return Finished(" ".join(words).encode() + end)


def true(place: Place, words: list[str]) -> Finished:
    return Finished()


def false(place: Place, words: list[str]) -> Finished:
    return Finished(code=1)
