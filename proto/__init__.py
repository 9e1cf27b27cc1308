"""What the services share: messages and calls, settings, logs, signals, tasks. Every service imports it first.

By default gRPC's core writes a line to stderr for each TLS handshake that fails, so anybody who reaches a port could
fill the log. It reads its environment once, when `grpc` is imported, so this line must come before any such import.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
