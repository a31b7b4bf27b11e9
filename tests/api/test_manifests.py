"""Reading manifests: what is accepted, and where errors are said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakecluster.api import manifests
from fakecluster.api.manifests import read
from fakecluster.errors import ManifestError

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"


def test_files_folders_text_objects_and_lists_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(f"# comment\n---\n{POD}---\n{POD}")
    (tmp_path / "a.json").write_text('{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}')
    (tmp_path / "notes.txt").write_text("not a manifest")
    assert [one.kind for one in read(tmp_path)] == ["Service", "Pod", "Pod"]
    assert [one.name for one in read(POD)] == ["a"]
    assert [one.name for one in read({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})] == ["x"]
    listed = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "x"}}]}
    (found,) = read([listed])
    assert found.object == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}


def test_yaml_is_read_as_kubectl_does() -> None:
    (found,) = read(
        POD + "data: {when: 2026-01-01, 8: yes, mode: 0644, none: null}\nx: &a [1]\ny: *a\nz: {<<: {p: q}}\n"
    )
    assert found.object["data"] == {"when": "2026-01-01", "8": True, "mode": 420, "none": None}
    assert found.object["x"] == found.object["y"] == [1]
    assert found.object["x"] is not found.object["y"]
    assert found.object["z"] == {"p": "q"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [b\n", "text: line 2, column 1: YAML: did not find expected ',' or ']'"),
        (f"{POD}---\n- a\n", "text: document 2 (line 5): expected an object, got a list"),
        (f"{POD}metadata: {{}}\n", 'line 4: YAML: key "metadata" already set in map'),
        ("kind: Pod\nx: 1\n", "text: document 1 (line 1): Object 'apiVersion' is missing"),
        ("apiVersion: v1\nx: 1\n", "text: document 1 (line 1): Object 'Kind' is missing"),
        ("a: &a [*a]\n", "YAML: a value contains itself"),
        ("a: *nothing\n", "YAML: found undefined alias"),
        ("a: \x00\n", "control characters are not allowed"),
        ("? [a]\n: b\n", "YAML: a key must be a string"),
        ("a: !!python/object/apply:os.system [id]\n", "a"),
        ("[" * 5000 + "\n", "YAML:"),
    ],
)
def test_bad_text_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read(text)
    assert words in str(refused.value)


def test_a_yaml_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ManifestError, match="excessive aliasing"):
        read("\n".join(lines) + "\n")


def test_deep_nesting_and_huge_texts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ManifestError, match="nested"):
        read("a: " + "{b: " * 250 + "1" + "}" * 250 + "\n")
    monkeypatch.setattr(manifests, "MAX_TEXT_BYTES", 100)
    with pytest.raises(ManifestError, match="larger than 100 bytes"):
        read(POD + "#" * 100)


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ManifestError, match=r"no \.yaml, \.yml or \.json files"):
        read(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="not UTF-8 text"):
        read(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 500_000, "- " * 100_000 + "\n", "{a: " * 100_000, "? " * 100_000 + "\n"]
)
def test_nesting_that_no_stack_survives_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="nested more than 200 levels deep"):
        list(manifests.read_text(text, "text"))


@pytest.mark.parametrize("value", ["5", "[1]", "[[1]]", ""])
def test_only_maps_are_merged(value: str) -> None:
    with pytest.raises(ManifestError, match="map merge requires map or sequence of maps as the value"):
        read(f"a: 1\n<<: {value}\n")
