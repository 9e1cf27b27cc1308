"""The comment_service: accepts comments, serves pages of them, and sends viewers to their RMS node."""

import proto  # noqa: F401 - before any import of grpc; proto/__init__.py says why
