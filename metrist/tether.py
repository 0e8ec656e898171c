"""Run a command that dies with its parent: `python -I -S tether.py PARENT_PID LISTEN_FD COMMAND…`.

`metrist up` starts every child through this file, so that a `kill -9` of it leaves no engine behind that holds the
data directory. It is a file of its own, run before the child's own Python, because it must work for any binary and
because a fork hook in a process with threads may deadlock. Linux kills when the parent's *thread* ends: `up` starts
children from its main thread only. Where there is no prctl, `metrist.orphans` cleans up at the next start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
FIRST_LISTEN_FD = 3
"""Where systemd's protocol puts the first passed socket; LISTEN_FDS and LISTEN_PID announce it."""


def main(parent_pid: int, listen_fd: int, command: list[str]) -> None:
    """Tie this process to its parent, hand over the socket (-1 is none), and become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before we were tied to it
        sys.exit(1)
    if listen_fd >= 0:
        os.dup2(listen_fd, FIRST_LISTEN_FD, inheritable=True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
