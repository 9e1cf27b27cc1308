"""The dispatcher's replicas: who listens where. What must be said to gRPC's core before it is imported stands here.

Of its two ways of listening the older one takes a message with fewer threads: with 1,300 streams a tenth less CPU, and
what is pushed to all of them is there sooner (docs/dispatcher.md).
"""

import os

import proto  # noqa: F401  # says the rest to gRPC's core

os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
