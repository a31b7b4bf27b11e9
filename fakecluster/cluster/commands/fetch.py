"""curl and wget: one HTTP/1.1 request over the simulated network. TLS is not modelled."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import attrs

from fakecluster.cluster.commands.options import BadOption, Options, parse
from fakecluster.cluster.commands.place import Finished, Place, failed
from fakecluster.handles.talk import ConnectFailed, Connection, ResolveFailed
from fakecluster.handles.targets import TargetError

CURL_FLAGS = "-s --silent -S --show-error -f --fail -i --include -I --head -k --insecure -L --location -4 -6 -g -N"
CURL_VALUES = (
    "-X --request -d --data --data-raw --data-binary -H --header -o --output -w --write-out -A --user-agent "
    "-m --max-time --connect-timeout --retry"
)
WGET_FLAGS = "-q --quiet -S --server-response --spider --no-check-certificate -4 -6"
WGET_VALUES = "-O --output-document -T --timeout -t --tries --header --post-data -U --user-agent"


@attrs.frozen
class Fetched:
    """An HTTP answer: `head` is everything before the blank line."""

    status: int
    head: bytes
    body: bytes
    address: str


@attrs.frozen
class Wanted:
    """A request."""

    url: str
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: bytes = b""
    agent: str = ""
    patience_s: float = 0.0

    @property
    def parts(self) -> SplitResult:
        """The URL in parts; those of an empty one where it cannot be read."""
        try:
            return urlsplit(self.url if "//" in self.url else f"http://{self.url}")
        except ValueError:
            return urlsplit("http://")

    @property
    def where(self) -> tuple[str, int]:
        """(host, port); port 0 for a port that is none, host "" for a URL without one."""
        try:
            return self.parts.hostname or "", self.parts.port or 80
        except ValueError:
            return self.parts.hostname or "", 0

    @property
    def scheme(self) -> str:
        return self.parts.scheme

    def text(self) -> bytes:
        """The request's bytes."""
        parts = self.parts
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Host": parts.netloc, "User-Agent": self.agent, "Accept": "*/*"}
        if self.body:
            fields["Content-Length"] = str(len(self.body))
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        for line in self.headers:
            name, _, value = line.partition(":")
            known = next((key for key in fields if key.lower() == name.lower()), name)
            fields[known] = value.strip()
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self.method} {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + self.body


def fetch(place: Place, wanted: Wanted) -> Fetched | None:
    """Ask; None when what came back is no HTTP. Raises ConnectFailed, ResolveFailed, TargetError."""
    host, port = wanted.where
    connection = place.host.connect(host, port, timeout_s=wanted.patience_s)
    raw = received(connection, wanted.text(), wanted.patience_s)
    connection.close()
    head, blank, body = raw.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    if not blank or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    address = str(connection.place).rpartition("(")[2].rstrip(")").rpartition(":")[0]
    return Fetched(int(words[1]), head, b"" if wanted.method == "HEAD" else body, address)


def received(connection: Connection, request: bytes, patience_s: float) -> bytes:
    """The answer to a request as far as it comes: all that its Content-Length promises."""
    raw = connection.request(request, timeout_s=patience_s).raw
    while not complete(raw) and patience_s and (more := connection.wait(patience_s)):
        raw += more
    return raw


def complete(raw: bytes) -> bool:
    """Whether an HTTP answer is all there, as far as it says."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = line.partition(b":")[2].strip()
            return bool(blank) and (not length.isdigit() or len(body) >= int(length))
    return bool(blank)


# --- curl


def curl(place: Place, words: list[str]) -> Finished:
    """curl(1)."""
    try:
        options = parse(words, flags=CURL_FLAGS, valued=CURL_VALUES)
        wanted = _curl_request(place, options)
    except BadOption as wrong:
        return failed(f"curl: {wrong}", 2)
    if not options.words:
        return failed("curl: (2) no URL specified", 2)
    host, port = wanted.where
    quiet = options.has("-s", "--silent") and not options.has("-S", "--show-error")
    try:
        problem = "" if host and port else "(3) URL rejected: Malformed input to a URL function"
        if wanted.scheme != "http":
            problem = f'(1) Protocol "{wanted.scheme}" is not modelled'
        found = None if problem else fetch(place, wanted)
        problem = problem or ("" if found else "(1) Received HTTP/0.9 when not allowed")
    except ResolveFailed:
        found, problem = None, f"(6) Could not resolve host: {host}"
    except (ConnectFailed, TargetError) as wrong:
        found, problem = None, _curl_words(wrong, host, port)
    if found is None:
        code = int(problem[1 : problem.index(")")])
        out = _write_out(options, None)
        return Finished(out, b"" if quiet else f"curl: {problem}\n".encode(), code)
    return _curl_result(options, found, quiet)


def _curl_request(place: Place, options: Options) -> Wanted:
    data = [*options.lists.get("-d", ()), *options.lists.get("--data", ()), *options.lists.get("--data-raw", ())]
    data += options.lists.get("--data-binary", [])
    body = "&".join(place.stdin.decode() if one == "@-" else one for one in data)
    method = "HEAD" if options.has("-I", "--head") else "POST" if data else "GET"
    return Wanted(
        options.words[0] if options.words else "",
        options.value("-X", "--request", default=method),
        tuple(options.lists.get("-H", [])) + tuple(options.lists.get("--header", [])),
        body.encode(),
        options.value("-A", "--user-agent", default="curl/8.5.0"),
        min(place.patience_s, options.seconds("-m", "--max-time", "--connect-timeout", default=place.patience_s)),
    )


def _curl_words(wrong: ConnectFailed | TargetError, host: str, port: int) -> str:
    if isinstance(wrong, TargetError):
        return f"(3) URL rejected: {wrong}"
    if wrong.error == "ECONNRESET":
        return "(56) Recv failure: Connection reset by peer"
    if not wrong.error:
        return f"(28) Failed to connect to {host} port {port}: timed out"
    return f"(7) Failed to connect to {host} port {port}: {wrong.outcome}"


def _curl_result(options: Options, found: Fetched, quiet: bool) -> Finished:
    if options.has("-f", "--fail") and found.status >= 400:
        words = f"curl: (22) The requested URL returned error: {found.status}\n"
        return Finished(_write_out(options, found), b"" if quiet else words.encode(), 22)
    shown = found.head + b"\r\n\r\n" if options.has("-i", "--include", "-I", "--head") else b""
    body = b"" if options.value("-o", "--output", default="-") != "-" else found.body
    return Finished(shown + body + _write_out(options, found))


def _write_out(options: Options, found: Fetched | None) -> bytes:
    text = options.value("-w", "--write-out").replace("\\n", "\n").replace("\\t", "\t")
    variables = {
        "http_code": f"{found.status if found else 0:03}",
        "response_code": f"{found.status if found else 0:03}",
        "remote_ip": found.address if found else "",
        "size_download": str(len(found.body) if found else 0),
    }
    for name, value in variables.items():
        text = text.replace(f"%{{{name}}}", value)
    return text.encode()


# --- wget


def wget(place: Place, words: list[str]) -> Finished:
    """wget(1), as busybox has it."""
    try:
        options = parse(words, flags=WGET_FLAGS, valued=WGET_VALUES)
        patience_s = min(place.patience_s, options.seconds("-T", "--timeout", default=place.patience_s))
    except BadOption as wrong:
        return failed(f"wget: {wrong}")
    if not options.words:
        return failed("wget: missing URL")
    body = options.value("--post-data").encode()
    agent = options.value("-U", "--user-agent", default="Wget")
    method = "POST" if body else "GET"
    wanted = Wanted(options.words[0], method, tuple(options.lists.get("--header", [])), body, agent, patience_s)
    host, port = wanted.where
    if wanted.scheme != "http" or not host or not port:
        return failed(f"wget: not an http or ftp url: {wanted.url}" if host else f"wget: bad address '{wanted.url}'")
    greeting = "" if options.has("-q", "--quiet") else f"Connecting to {host}:{port}\n"
    try:
        found = fetch(place, wanted)
    except (ResolveFailed, TargetError):
        return failed(f"wget: bad address '{host}'")
    except ConnectFailed as wrong:
        words_of = wrong.outcome if wrong.error else "download timed out"
        return failed(f"{greeting}wget: can't connect to remote host ({host}): {words_of}")
    return _wget_result(options, found, greeting)


def _wget_result(options: Options, found: Fetched | None, greeting: str) -> Finished:
    if found is None:
        return failed(f"{greeting}wget: error getting response")
    if found.status >= 400:
        first = found.head.split(b"\r\n")[0].decode("latin-1")
        return failed(f"{greeting}wget: server returned error: {first}")
    if options.has("-S", "--server-response"):
        greeting += "".join(f"  {line}\n" for line in found.head.decode("latin-1").split("\r\n"))
    shown = options.value("-O", "--output-document") == "-" and not options.has("--spider")
    return Finished(found.body if shown else b"", greeting.encode())
