"""Starts and stops a real Apache Cassandra of one or three nodes on this machine, without a container.

Needs Java 17 and Maven. Maven fetches the jars once into .cassandra/lib (67 MB). A node answers some 6 s after its
start. It begins with 0.9 GB of memory and takes more as it needs it: by Cassandra's own rule its heap may be a quarter
of the machine's memory. It listens on loopback only. Without --tls anybody on this machine can read and write it.
"""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from scripts.cassandra_node import Node, Ports, heap_mb, wait_until

ROOT = Path(__file__).resolve().parent.parent
POM = ROOT / "scripts" / "cassandra_pom.xml"
JARS = ROOT / ".cassandra" / "lib"

START_S_MAX = 120.0
"""A single node needs 6 s. On a cold disk and a busy machine we have seen 40."""

NODES = (1, 3)
"""A single node, or a quorum that survives the loss of one"""

EXIT_NOT_UP = 3
LOG_LINES = 25

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console(highlight=False)

Data = Annotated[Path, typer.Option(help="the cluster's folder, relative to the project")]
Native = Annotated[int, typer.Option("--port", help="CQL port on each node's address, 127.0.0.1 to 127.0.0.3")]
Storage = Annotated[int, typer.Option(help="port for the traffic between nodes")]
Jmx = Annotated[int, typer.Option(help="first node's JMX port on 127.0.0.1; the others have the next ones")]

DATA = Path(".cassandra")
NATIVE, STORAGE, JMX = 9042, 7000, 7199


@app.command()
def start(
    nodes: Annotated[int, typer.Option(help="1, or 3 for replication")] = 1,
    data: Data = DATA,
    port: Native = NATIVE,
    storage_port: Storage = STORAGE,
    jmx_port: Jmx = JMX,
    tls: Annotated[
        Path | None,
        typer.Option(help="folder filled by scripts/certs: want certificates, user cassandra and password cassandra"),
    ] = None,
) -> None:
    """Starts the nodes, and returns when each answers CQL. Running nodes stay as they are."""
    if nodes not in NODES:
        fail("--nodes must be 1 or 3")
    for tool, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(tool) is None:
            fail(f"{tool} is not on the PATH; on Debian and Ubuntu: apt-get install {package}")
    with one_at_a_time():
        fetch_jars()
    for number in range(1, nodes + 1):
        # One after another: a node can join only when the nodes before it answer.
        start_node(Node(number, data, Ports(port, storage_port, jmx_port)), heap_mb(nodes), tls)


@app.command()
def stop(data: Data = DATA) -> None:
    """Stops all nodes of the folder. Their data stays."""
    for node in reversed(known_nodes(data, NATIVE)):
        if node.stop():
            console.print(f"node {node.number} has stopped")


@app.command()
def status(data: Data = DATA, port: Native = NATIVE) -> None:
    """Shows the folder's nodes. Exit code 0: there are nodes and all answer; 3: otherwise."""
    nodes = known_nodes(data, port)
    table = Table("node", "address", "process", "CQL")
    up = [node.pid() is not None and node.speaks_cql() for node in nodes]
    for node, is_up in zip(nodes, up, strict=True):
        address = f"{node.address}:{node.ports.native}"
        table.add_row(str(node.number), address, str(node.pid() or "-"), "answers" if is_up else "silent")
    console.print(table if nodes else f"no nodes in {data}")
    if not nodes or not all(up):
        raise typer.Exit(EXIT_NOT_UP)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def nodetool(
    words: Annotated[
        list[str], typer.Argument(help="nodetool's arguments, such as: status; flush; snapshot -t NAME KEYSPACE")
    ],
    data: Data = DATA,
    number: Annotated[int, typer.Option("--number", help="which node, from 1")] = 1,
    jmx_port: Jmx = JMX,
) -> None:
    """Runs Cassandra's own nodetool for a running node of the folder."""
    node = Node(number, data, Ports(NATIVE, STORAGE, jmx_port))
    if node.pid() is None:
        fail(f"node {number} isn't running")
    raise typer.Exit(subprocess.run(node.nodetool(JARS, words), check=False).returncode)


def start_node(node: Node, heap: int, tls: Path | None) -> None:
    if node.pid() is None:
        if node.speaks_cql():
            fail(f"something else answers CQL on {node.address}:{node.ports.native}; --port chooses another")
        node.launch(JARS, heap, tls)
    with console.status(f"node {node.number} is starting"):
        wait_until(lambda: node.speaks_cql() or node.pid() is None, START_S_MAX)
    if not node.speaks_cql():
        console.print(node.log_tail(LOG_LINES), markup=False)
        node.stop()
        fail(f"node {node.number} did not start; the ends of its logs are above")
    console.print(f"node {node.number} answers CQL on {node.address}:{node.ports.native}")


def fetch_jars() -> None:
    """Fetches the jars if they are missing. They appear all at once, so an interrupted fetch leaves nothing behind."""
    if JARS.is_dir():
        return
    partial = JARS.with_name("lib.partial")
    with console.status("fetching Cassandra"):
        fetched = subprocess.run(
            [
                *("mvn", "--quiet", "--batch-mode", "--file", str(POM), "dependency:copy-dependencies"),
                *(f"-DoutputDirectory={partial}", "-DincludeScope=runtime"),
            ],
            capture_output=True,
            text=True,
        )
    if fetched.returncode:
        console.print(fetched.stdout[-4000:], markup=False)
        fail("Maven could not fetch Cassandra; its output is above")
    partial.rename(JARS)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Holds a lock, because two starts at the same time (a developer's and a test's) share the jars."""
    JARS.parent.mkdir(exist_ok=True)
    with (JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def known_nodes(data: Path, port: int) -> list[Node]:
    numbers = sorted(int(folder.name.removeprefix("node")) for folder in data.glob("node[1-9]"))
    return [Node(number, data, Ports(port, STORAGE, JMX)) for number in numbers]


def fail(why: str) -> NoReturn:
    console.print(f"[red]{why}[/red]")
    raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="scripts/cassandra")
