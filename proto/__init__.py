"""What the services share: messages and calls, settings, logs, signals, tasks. Every service imports it first.

gRPC's core writes to stderr by itself, in a form of its own, also a line for each TLS handshake that fails: so anybody
who reaches a port could fill the log. What it says of a call or a port reaches us as an error. It reads its environment
once, when `grpc` is imported, so this line must come before any such import.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
