"""Area `kubectl`: the recorded requests are answered as recorded, and the installed kubectl prints what the real one did."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from replay.kubectl_requests import RequestReplay
from replay.kubectl_tool import ToolReplay
from replay.result import Difference, Recording

#: Set to 0: only the requests; every run of kubectl takes a sixth of a second.
TOOL = "FAKECLUSTER_KUBECTL"


def replay(recording: Recording) -> Iterator[Difference]:
    yield from RequestReplay(recording.data).run()
    if os.environ.get(TOOL, "1") != "0" and shutil.which("kubectl"):
        yield from ToolReplay(recording.data).run()
