"""Every recording in the project's archives is a test; what the model does not answer yet is listed in known_gaps.txt."""

import json
import lzma
import tarfile
from functools import cache
from pathlib import Path

import pytest
import run

HERE = Path(__file__).parent
ARCHIVES = sorted((HERE / "recordings").glob("*.tar.xz"))
#: recordings known to differ; a listed one that passes fails the test, so that the list can only shrink
KNOWN_GAPS = {line for line in (HERE / "known_gaps.txt").read_text().splitlines() if not line.startswith("#")}


@cache
def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return sorted(member.name for member in tar if member.isfile())


@cache
def files(archive: Path) -> dict[str, run.Recording]:
    return {recording.name.rpartition("!")[2]: recording for recording in run.recordings(archive)}


CASES = [(archive, name) for archive in ARCHIVES for name in names(archive)]


@pytest.mark.parametrize(("archive", "name"), CASES, ids=[name.removesuffix(".json") for _, name in CASES])
def test_the_model_answers_as_the_real_thing(archive: Path, name: str) -> None:
    recording = files(archive).get(name)
    if recording is None:
        pytest.skip("a fixture of other recordings")
    result, lines = run.outcome(recording)
    if result == "skipped":
        pytest.skip("a fixture of other recordings")
    if name in KNOWN_GAPS:
        assert result != "passed", f"{name} passes now: take it out of known_gaps.txt"
        pytest.xfail(lines[0])
    assert result == "passed", "\n".join(lines[:10])


def test_known_gaps_name_existing_recordings() -> None:
    assert {name for _, name in CASES} >= KNOWN_GAPS


def test_a_falsified_recording_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = HERE / "recordings" / "selectors.tar.xz"
    text = json.dumps(next(iter(files(archive).values())).data)
    honest = tmp_path / "honest.json"
    honest.write_text(text)
    assert run.main([str(honest)]) == 0
    assert capsys.readouterr().out.endswith("1 passed, 0 failed, 0 unsupported\n")
    false = tmp_path / "false.json"
    false.write_text(text.replace('"output": {', '"output": {"invented": 1, '))
    assert run.main([str(false)]) == 1
    assert capsys.readouterr().out.endswith("0 passed, 1 failed, 0 unsupported\n")


def test_an_unknown_area_is_unsupported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.json"
    path.write_text('{"area": "quantum"}')
    assert run.main([str(path)]) == 1
    assert capsys.readouterr().out == (
        f"UNSUPPORTED {path}: area 'quantum' is not known\n0 passed, 0 failed, 1 unsupported\n"
    )


def test_archives_are_whole() -> None:
    assert [archive.name for archive in ARCHIVES] == [
        f"{area}.tar.xz"
        for area in ("api", "controllers", "dns", "env", "ipvs", "kubectl", "kubeproxy", "netfilter", "selectors")
    ]
    for archive in ARCHIVES:
        assert lzma.decompress(archive.read_bytes())
