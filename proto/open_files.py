"""How many files this process may open: each connection is one."""

import resource


def raise_open_files() -> int:
    """Raises this process's limit as far as it may, and returns it. Most systems begin with 1,024, for the sake of old
    programs that use select(2), and allow far more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
