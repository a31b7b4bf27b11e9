"""The HTTP border of the API server: one request in, one response out, no sockets."""

from fakecluster.api.rest.response import Response

__all__ = ["Response"]
