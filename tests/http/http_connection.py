"""HTTP from the client's side."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from fakecluster.http import Served


class Connection:
    """One HTTP connection to a served cluster."""

    def __init__(self, api: Served) -> None:
        parts = urlsplit(api.url)
        assert parts.hostname and parts.port
        self.token = api.token
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(api.ca_file))
            self.raw: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, context=context, timeout=10
            )
        else:
            self.raw = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        """The answer, its body not yet read; `User_Agent="x"` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if "Authorization" not in named:
            named["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            named.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        self.raw.request(method, path, body, named)
        return self.raw.getresponse()

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        with self.ask(method, path, body, **headers) as response:
            return json.loads(response.read())
