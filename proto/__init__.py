"""What the services say to each other. Each service's package imports this one first.

gRPC's core, unless it is told otherwise, writes a line to stderr for each TLS handshake that fails: whoever reaches a
port could fill the log. It reads its environment once, when `grpc` is imported; so this stands before any such import.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
