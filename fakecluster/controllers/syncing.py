"""How the networking controllers work on one key of their queue, and what they make of a refusal."""

from __future__ import annotations

from collections.abc import Callable

from fakecluster.api.client import ApiError
from fakecluster.controllers.workqueue import Key, WorkQueue


def sync_key(queue: WorkQueue, key: Key, sync: Callable[[Key], bool | None]) -> None:
    """Run `sync` on a key that was taken; one that fails, or says False, is tried again later."""
    try:
        is_complete = sync(key) is not False
    except ApiError as error:
        is_complete = is_namespace_terminating(error)
    if is_complete:
        queue.done(key)
    else:
        queue.failed(key)


def is_namespace_terminating(error: ApiError) -> bool:
    """Whether a creation was refused because the namespace is being deleted: trying again is useless."""
    causes = (error.status.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
