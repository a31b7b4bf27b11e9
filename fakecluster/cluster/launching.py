"""The commands that containers are started with (`command` and `args`): run once, then the container ends.

No virtual time passes while one runs: an answer that does not come at once counts as none. The commands themselves are
imported when the first container has words of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from fakecluster.cluster.twin import Twin
from fakecluster.cni.logs import Line, Logs
from fakecluster.cni.runtime import COMMANDS
from fakecluster.handles import Pod

#: (node, the Pod's namespace, its name, its uid, the container, its words)
Order = tuple[str, str, str, str, str, tuple[str, ...]]


@attrs.frozen(eq=False)
class Launcher:
    """Runs the commands of one simulation's containers; `world` is that simulation itself."""

    world: Twin

    def __attrs_post_init__(self) -> None:
        self.world.runtime.knows = known
        self.world.clock.bind(COMMANDS, self.launch)

    def launch(self, order: Order) -> None:
        """Run a container's command to its end."""
        node, namespace, name, uid, container, words = order
        runtime = self.world.runtime
        if uid not in runtime.sandboxes:
            return
        from fakecluster.cluster import commands

        pod = Pod(self.world, name, namespace)
        finished = commands.run(commands.Place(pod, container, pod), words)
        if finished is None:
            return
        for stream, output in (("stdout", finished.stdout), ("stderr", finished.stderr)):
            write(runtime.logs, (uid, container), stream, output)
        runtime.stop_container(node, pod.object, container)
        self.world.clock.schedule(f"kubelet@{node}", ("exited", uid, container, finished.code))


def known(words: Sequence[str]) -> bool:
    """Whether a container's words are a command that there is."""
    if not words:
        return False
    from fakecluster.cluster import commands

    return commands.known(words)


def write(logs: Logs, container: tuple[str, str], stream: str, output: bytes) -> None:
    """Keep what was printed, line by line."""
    for text in output.decode("utf-8", "replace").splitlines(keepends=True):
        logs.write(container, Line(logs.clock.now_ns, text.removesuffix("\n"), stream, end=text.endswith("\n")))
