"""Runs a command that can't outlive the process which started it: `python tether.py PARENT_PID COMMAND...`.

Linux ends the tethered process by SIGTERM when its parent is gone, also when the parent was killed with -9 and could
do nothing. The kernel keeps this wish (PR_SET_PDEATHSIG, prctl(2)) across exec, so this file replaces itself by the
command at once and costs 20 ms. It is done here, not in subprocess's preexec_fn, because Python code between fork and
exec can deadlock in a parent that has threads, as one with gRPC does. Elsewhere than on Linux it only runs the command.
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
        if os.getppid() != parent:  # it died before we could ask
            sys.exit("the parent is gone")
    os.execvp(command[0], command)  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main()
