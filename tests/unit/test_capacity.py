"""The API's process makes room for a fleet."""

import subprocess
import sys

CHILD = """
import gc, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
from metrist import capacity
capacity.make_room()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), gc.get_freeze_count() > 1_000, gc.get_threshold()[0] > 700)
"""


def test_every_agent_may_have_its_connection_and_garbage_is_rarely_looked_for() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "512 512 True True\n"
