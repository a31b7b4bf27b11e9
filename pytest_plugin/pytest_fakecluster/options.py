"""The plugin's command-line flags and ini options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: The proxy modes that `proxy_mode` runs a test in, unless told otherwise.
PROXY_MODES = ("iptables", "ipvs", "nftables", "userspace")
TRACE_LEVELS = ("none", "last", "all")
KUBERNETES = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36")
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
    seed(config)
    given = value(config, "proxy")
    if unknown := [mode for mode in proxy_modes(config) if mode not in PROXY_MODES]:
        words = f"--fakecluster-proxy: unknown mode {', '.join(unknown)}; there are {', '.join(PROXY_MODES)}"
        raise pytest.UsageError(words)
    if not proxy_modes(config):
        raise pytest.UsageError(f"--fakecluster-proxy={given!r}: name one or more of {', '.join(PROXY_MODES)}")
    for name, known in (("trace", TRACE_LEVELS), ("kubernetes", KUBERNETES)):
        if value(config, name) not in known:
            raise pytest.UsageError(f"--fakecluster-{name}={value(config, name)!r}: one of {', '.join(known)}")
    live(config)
    folder, page = artifacts(config), html(config)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise pytest.UsageError(f"--fakecluster-artifacts={folder}: this is a file; expected a folder")
    if page is not None and page.is_dir():
        raise pytest.UsageError(f"--fakecluster-html={page}: this is a folder; expected a file, as in traces.html")


def seed(config: pytest.Config) -> int:
    """The seed of clusters that set none. Raises UsageError for what is no number."""
    given = value(config, "seed")
    try:
        return int(given)
    except ValueError:
        raise pytest.UsageError(f"--fakecluster-seed={given!r}: expected a whole number") from None


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


def html(config: pytest.Config) -> Path | None:
    """The page of traces, None when none was asked for."""
    page = value(config, "html")
    return Path(page) if page else None
