"""What a user installs: a wheel that holds both packages, their data and the examples, and works without the source."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("fakecluster-*.whl")
    return found


def test_the_wheel_holds_code_data_examples_and_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
        text = archive.read(entry_points).decode()
    assert "fakecluster/py.typed" in names
    assert "pytest_fakecluster/plugin.py" in names
    assert "fakecluster/examples/nginx.yaml" in names
    assert any(name.startswith("fakecluster/api/data/") for name in names)
    assert not any(name.startswith("tests/") for name in names)
    assert "[pytest11]\nfakecluster = pytest_fakecluster.plugin" in text
    assert "[console_scripts]\nfakecluster = fakecluster.cli:main" in text


def test_a_ten_line_test_in_an_empty_folder_runs_against_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (folder / "test_mine.py").write_text(
        "import fakecluster\n"
        f"assert fakecluster.__file__.startswith({str(site)!r}), fakecluster.__file__\n"
        "def test_connect(cluster):\n"
        "    from fakecluster.cli.demo import example_path\n"
        "    cluster.apply(example_path('nginx.yaml'))\n"
        "    connection = cluster.pod('client').connect('svc/nginx-service:8081')\n"
        "    assert connection.request(b'hi').server == 'nginx'\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
