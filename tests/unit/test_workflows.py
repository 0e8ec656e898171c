"""The workflows are valid, run only what is pinned, and may no more than they must."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))


def _jobs(path: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in _jobs(path).values():
        yield from job.get("steps", ())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_a_workflow(path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [program, "--builtin-schema", "vendor.github-workflows", path]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_it_uses_is_pinned(path: Path) -> None:
    for step in _steps(path):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), "nobody else's, and by its commit"
            assert re.search(rf"{re.escape(step['uses'])} # v\d+\.\d+\.\d+", path.read_text()), (
                "with its version beside it"
            )
        if str(step.get("uses")).startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    for job in _jobs(path).values():
        image = job.get("container", "")
        assert not image or re.search(r":.*\d|:\$\{\{ matrix", image), image
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_may_no_more_than_it_must(path: Path) -> None:
    whole = yaml.safe_load(path.read_text())
    assert whole["permissions"] in ({}, {"contents": "read"})
    for name, job in whole["jobs"].items():
        rights = {right for right, how in job.get("permissions", {}).items() if how == "write"}
        allowed = {"image": {"packages"}, "publish": {"attestations", "contents", "id-token"}}
        assert rights <= allowed.get(name, set()), name
        assert "uses" in job or job["timeout-minutes"] <= 60
        if "secrets." in str(job):
            assert job["environment"] == "release", "the key is there for reviewed runs alone"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_script_is_written_by_whoever_names_a_branch(path: Path) -> None:
    for step in _steps(path):
        assert "${{" not in step.get("run", ""), step
        for program in re.findall(r"(?<![\w/])\.ci/\w+", step.get("run", "")):
            assert (ROOT / program).is_file()


def test_a_release_waits_for_the_tests_and_is_of_the_tag() -> None:
    jobs = _jobs(ROOT / ".github/workflows/release.yml")
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert {"test", "wheel"} <= set(jobs["image"]["needs"]) and {"test", "wheel", "image"} <= set(
        jobs["publish"]["needs"]
    )
    (check,) = [step["run"] for step in jobs["wheel"]["steps"] if str(step.get("name")) == "The tag is the version"]
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for tag, expected in ((f"v{version[1]}", 0), ("v9.9.9", 1)):
        env = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        assert subprocess.run(["bash", "-c", check], cwd=ROOT, env=env, check=False).returncode == expected


@pytest.mark.parametrize("name", ["run", "release"])
def test_shellcheck_finds_nothing_in_what_they_run(name: str) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    found = subprocess.run([program, ROOT / ".ci" / name], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
