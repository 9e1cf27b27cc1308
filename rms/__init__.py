"""The RMS: holds viewers' connections, and sends each viewer the comments of its video as server-sent events."""

import proto  # noqa: F401 - before any import of grpc; proto/__init__.py says why
