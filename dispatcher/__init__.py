"""Knows which RMS node has viewers of which video, and sends each comment there. `python -m dispatcher` is one replica.

gRPC's core reads its environment once, when it is imported, so its settings stand here. The older of its two listeners
takes a message with fewer threads: with 1,300 streams it needs a tenth less CPU, and a push reaches all of them sooner
(docs/dispatcher.md).
"""

import os

import proto  # noqa: F401  # sets the rest of gRPC's environment

os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
