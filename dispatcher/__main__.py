"""python -m dispatcher: runs one replica until SIGTERM or SIGINT. Exit code 0: after a signal; 1: it couldn't start."""

from dispatcher.clocks import steady_clock_ms
from dispatcher.config import Config
from dispatcher.server import Server
from proto.process import run_process
from proto.tasks import Supervisor


async def build(config: Config) -> Server:
    """Raises OSError if a port is taken or a certificate can't be read."""
    return Server(config, steady_clock_ms(), Supervisor())


if __name__ == "__main__":
    run_process("dispatcher", Config.parse(), build)
