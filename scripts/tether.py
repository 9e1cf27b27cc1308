"""Runs a command that can't outlive the process that started it: `python tether.py PARENT_PID COMMAND...`.

Linux sends SIGTERM to the tethered process when its parent ends, even if the parent was killed with -9. The kernel
keeps this setting (PR_SET_PDEATHSIG, prctl(2)) across exec, so this file replaces itself by the command at once. That
costs 20 ms. subprocess's preexec_fn is no alternative: Python code between fork and exec can deadlock in a parent with
threads, such as gRPC's. On other systems than Linux, it only runs the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # it died before prctl took effect
            sys.exit("the parent is gone")
    os.execvp(command[0], command)  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main()
