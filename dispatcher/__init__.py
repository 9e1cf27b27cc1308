import proto  # noqa: F401 - before any import of grpc; proto/__init__.py says why
