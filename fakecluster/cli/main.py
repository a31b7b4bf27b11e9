"""The entry point: commands, and what is said when one fails.

Exit codes: 0 it worked; 1 the answer is no (a connection did not open); 2 the input is wrong (a line on standard error
says where); 3 not modelled; 130 interrupted; 141 the reader of the output has gone (`| head`).
"""

from __future__ import annotations

import io
import os
import sys

import typer

from fakecluster.cli import (
    check,
    demo,
    diff,
    dns,
    explain,
    plot,
    reachability,
    replay,
    rules,
    serve,
    trace,
    translate,
    version,
)
from fakecluster.cli.options import UsageError
from fakecluster.errors import FakeclusterError, ManifestError, Unsupported

app = typer.Typer(
    name="fakecluster",
    help="A Kubernetes cluster's network inside one process: apply manifests, follow packets.",
    epilog="Exit codes: 0 it worked; 1 the answer is no; 2 the input is wrong; 3 not modelled; 130 interrupted; "
    "141 the reader of the output has gone. "
    "Most commands take --output text, json or html, and -o FILE; - is standard input. NO_COLOR and COLUMNS are heeded. "
    "Example: fakecluster explain shop.yaml --packet 'tcp pod/client > web:81' -o why.html",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(trace.trace)
app.command()(rules.rules)
app.command()(check.check)
app.command()(serve.serve)
app.command()(dns.dns)
app.command()(reachability.reachability)
app.command()(reachability.diff)
app.command("replay")(replay.replay_command)
app.command("diff-rules")(diff.diff_rules)
app.command()(translate.translate)
app.command("explain")(explain.explain_command)
app.add_typer(plot.app, name="plot")
app.command("version")(version.version_command)

WRONG_INPUT, NOT_MODELLED, INTERRUPTED, READER_GONE = 2, 3, 130, 141


class _Closed(io.TextIOBase):
    """A standard stream that was closed before the program began (`>&-`): whoever writes there is told."""

    def write(self, text: str) -> int:
        raise UsageError("standard output is closed")


def main() -> None:
    """Run the command line and exit; quietly when nobody reads the output any more, as programs that SIGPIPE ends."""
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = io.StringIO()  # nobody reads what is said there
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow, where the terminal's encoding has none
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as end:
        # click catches a broken pipe itself, and exits with 1 from there
        if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                os.dup2(nowhere, stream.fileno())  # what is left in its buffer is written there at the end
        sys.exit(READER_GONE)


def _run() -> None:
    try:
        app()
    except FakeclusterError as problem:
        sys.exit(report(problem))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def report(problem: FakeclusterError) -> int:
    """Say what is wrong, on standard error, and give the exit code."""
    print(f"fakecluster: {problem}", file=sys.stderr)
    if isinstance(problem, ManifestError) and problem.applied:
        print(f"applied before: {', '.join(problem.applied)}", file=sys.stderr)
    return NOT_MODELLED if isinstance(problem, Unsupported) else WRONG_INPUT
