"""The API over HTTP(S) on loopback for kubectl and every other client; in-process transports for Python clients."""

from fakecluster.http.serving import Served, serve

__all__ = ["Served", "serve"]
