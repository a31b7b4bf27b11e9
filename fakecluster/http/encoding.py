"""Objects as JSON text in the field order of the real server, remembered: a version of an object is written once.

What has the same UID, version and kind is the same text, however many clients read, list or watch it.
"""

from __future__ import annotations

from typing import Any

from fakecluster.api.go_order import in_go_order
from fakecluster.api.rest.response import encode
from fakecluster.api.rest.watching import WatchStream

#: Texts that are kept; then all are forgotten. A few kilobytes each.
KEPT = 20_000
#: What is written for one watch before its reader has taken it: slow readers cost no more.
AT_ONCE_BYTES = 1 << 20
Key = tuple[str, str, str, str]


class Encoder:
    """Writes the objects of one server."""

    def __init__(self) -> None:
        self._kept: dict[Key, bytes] = {}

    def body(self, value: Any) -> bytes:
        """The answer to a read: an object, a list, or whatever else."""
        if not isinstance(value, dict):
            return encode(value)
        kind, items = value.get("kind", ""), value.get("items")
        if isinstance(items, list) and kind.endswith("List"):
            head = encode({key: item for key, item in value.items() if key != "items"}).rstrip()
            single = kind.removesuffix("List")
            texts = b",".join(self.object(item, value.get("apiVersion", ""), single) for item in items)
            return b'%s,"items":[%s]}\n' % (head[:-1], texts)
        return self.object(value, value.get("apiVersion", ""), kind) + b"\n"

    def object(self, obj: Any, api_version: str, kind: str) -> bytes:
        """One object, without a newline; a list's items do not say their kind themselves."""
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if not isinstance(meta, dict) or not meta.get("uid") or not meta.get("resourceVersion"):
            return encode(obj).rstrip(b"\n")
        said = f"{api_version}/{kind}" if "kind" in obj else f"{api_version}/{kind} of a list"
        key = (meta["uid"], meta["resourceVersion"], meta["name"], said)
        text = self._kept.get(key)
        if text is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            text = self._kept[key] = encode(in_go_order(api_version, kind, obj)).rstrip(b"\n")
        return text

    def lines(self, stream: WatchStream) -> bytes:
        """What has happened on a watch since the last look, a line each; no more than a reader can take at once."""
        events, lines, size = stream.take(), [], 0
        for number, event in enumerate(events, 1):
            lines.append(self._line(event))
            size += len(lines[-1])
            if size >= AT_ONCE_BYTES:
                stream.put_back(events[number:])
                break
        return b"".join(lines)

    def _line(self, event: dict[str, Any]) -> bytes:
        obj = event["object"]
        if event["type"] not in ("ADDED", "MODIFIED"):  # a deleted one may carry another's version
            return encode(event)
        text = self.object(obj, obj.get("apiVersion", ""), obj.get("kind", ""))
        return b'{"type":"%s","object":%s}\n' % (event["type"].encode(), text)
