"""The plugin's command-line flags and ini options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: The proxy modes that `proxy_mode` runs a test in, unless told otherwise.
PROXY_MODES = ("iptables", "ipvs", "nftables", "userspace")
TRACE_LEVELS = ("none", "last", "all")
#: flag and ini option -> (default, help)
OPTIONS = {
    "seed": ("0", "the seed of clusters that do not set one themselves"),
    "proxy": (",".join(PROXY_MODES), "the proxy modes that the fixture proxy_mode runs a test in, separated by commas"),
    "kubernetes": ("1.36", "the Kubernetes version whose kube-proxy is modelled"),
    "trace": ("last", f"how many packet traces a failure report shows: {', '.join(TRACE_LEVELS)}"),
    "artifacts": ("", "a folder for manifests, traces and captures of failing tests"),
    "html": ("", "write the traces of failing tests to this HTML file"),
}


def add(parser: pytest.Parser) -> None:
    """Declare `--fakecluster-NAME` and the ini option `fakecluster_NAME` for each of `OPTIONS`."""
    group = parser.getgroup("fakecluster", "fakecluster: a Kubernetes cluster's network in the test process")
    group.addoption(
        "--fakecluster-live",
        metavar="KUBECONFIG",
        nargs="?",
        const="",
        default=None,
        help="run the tests that use only the portable part of the API against a real cluster [$KUBECONFIG]",
    )
    for name, (default, words) in OPTIONS.items():
        group.addoption(f"--fakecluster-{name}", metavar=name.upper(), default=None, help=f"{words} [{default}]")
        parser.addini(f"fakecluster_{name}", words, default=default)


def value(config: pytest.Config, name: str) -> str:
    """An option's value: the flag, else the ini option, else its default."""
    given = config.getoption(f"--fakecluster-{name}")
    return str(given if given is not None else config.getini(f"fakecluster_{name}"))


def check(config: pytest.Config) -> None:
    """Refuse values that mean nothing, before any test runs. Raises UsageError."""
    if not value(config, "seed").lstrip("-").isdigit():
        raise pytest.UsageError(f"--fakecluster-seed={value(config, 'seed')!r}: expected a whole number")
    if unknown := [mode for mode in proxy_modes(config) if mode not in PROXY_MODES]:
        words = f"--fakecluster-proxy: unknown mode {', '.join(unknown)}; there are {', '.join(PROXY_MODES)}"
        raise pytest.UsageError(words)
    live(config)
    if value(config, "trace") not in TRACE_LEVELS:
        raise pytest.UsageError(f"--fakecluster-trace={value(config, 'trace')!r}: one of {', '.join(TRACE_LEVELS)}")


def live(config: pytest.Config) -> Path | None:
    """The kubeconfig of the real cluster that tests run against; None: they run in simulations.

    Raises UsageError when there is no such file.
    """
    given = config.getoption("--fakecluster-live")
    if given is None:
        return None
    path = Path(given or os.environ.get("KUBECONFIG", "") or Path.home() / ".kube" / "config")
    if not path.is_file():
        raise pytest.UsageError(f"--fakecluster-live: there is no kubeconfig {path}")
    return path


def proxy_modes(config: pytest.Config) -> list[str]:
    return [mode.strip() for mode in value(config, "proxy").split(",") if mode.strip()]


def artifacts(config: pytest.Config) -> Path | None:
    """The folder for artifacts, None when none was asked for."""
    folder = value(config, "artifacts")
    return Path(folder) if folder else None
