"""The platform watches itself: what an operator sees of a running `metrist up` without having set up anything."""

import json
import re
import subprocess
import sys

import httpx

from tests.e2e.platforms import Platform, clean_environment


def metrics(platform: Platform) -> str:
    return httpx.get(f"{platform.url}/metrics", timeout=15, trust_env=False).text


def test_every_process_tells_its_figures(platform: Platform) -> None:
    for process in ("api", "worker", "scheduler"):
        told = rf'^process_resident_memory_bytes{{[^}}]*process="{process}"[^}}]*}} (\S+)'
        platform.wait_until(lambda: re.search(told, metrics(platform), re.MULTILINE) is not None)  # noqa: B023
        found = re.search(told, metrics(platform), re.MULTILINE)
        assert found and 20e6 < float(found[1]) < 1e9
    assert re.search(
        r'^metrist_jobs_total{[^}]*job="sweep"[^}]*result="done"[^}]*} [1-9]', metrics(platform), re.MULTILINE
    )


def test_operators_own_an_account_of_its_figures(platform: Platform) -> None:
    client = httpx.Client(base_url=platform.url, trust_env=False, timeout=15, follow_redirects=True)
    with client:
        client.get(platform.new_sign_in_url())
        client.post("/sign-in", data={"token": platform.new_sign_in_url().partition("token=")[2]})
        platform.wait_until(lambda: client.get("/settings/platform").status_code == 200)
        page = client.post("/settings/platform/dashboard", headers={"sec-fetch-site": "same-origin"})
        assert page.status_code == 200 and "<h1" in page.text and "Samples accepted" in page.text

        def nodes() -> set[str]:
            answer = client.get("/api/v1/metrics").json()
            return {series["node"].rpartition("/")[2] for series in answer["series"]}

        platform.wait_until(lambda: {"api", "worker", "scheduler", "platform"} <= nodes(), 60)


def test_the_doctor_finds_nothing_wrong(platform: Platform) -> None:
    command = [sys.executable, "-P", "-m", "metrist", "doctor", "--json", "--data", str(platform.data_dir)]
    done = subprocess.run(
        command, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60, cwd=platform.data_dir
    )
    told = json.loads(done.stdout)
    assert [one for one in told["findings"] if one["level"] == "problem"] == []
    assert (done.returncode, done.stderr) == (0, "")
    checks = {one["check"]: one["says"] for one in told["findings"]}
    assert checks["port"].startswith("Metrist listens")
