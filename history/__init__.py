"""Keeps what was said: comments with their ids, videos, and the stores that hold them. Knows no HTTP and no gRPC."""
