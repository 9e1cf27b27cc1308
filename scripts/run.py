"""Runs the whole system on this machine, each service in its own process, until Ctrl-C: scripts/run."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from history.opening import STORE_HELP
from proto.settings import is_wildcard, join_address, split_address
from scripts.config import RUN
from scripts.plan import LOCAL, ROLES, Plan, free_or_other, is_free, make_plan, tls_files
from scripts.processes import ROOT, NotReady, Process, ProcessSupervisor
from scripts.terminal import Terminal

CASSANDRA_PORT = 9042
CASSANDRA_URL = f"cassandra://127.0.0.1:{CASSANDRA_PORT}/livecomments"
DISPATCHER_PORT = 7001  # the first one's; the default of scripts/topology
RMS_PORT = 8101  # the first one's; an inner port that is taken is replaced by another
DOOR_PORT = 8100
OPERATORS_ABOVE = 1_000  # the operators' port of a process, above its own
COLORS = {"dispatcher": "magenta", "rms": "cyan", "door": "yellow", "comment-service": "green"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command()
def main(
    dispatchers: Annotated[int, typer.Option(min=0, help="dispatcher replicas")] = 2,
    rms: Annotated[int, typer.Option(min=0, help="RMS nodes, which hold the viewers")] = 2,
    comment_services: Annotated[
        int, typer.Option(min=1, help="comment_services, on --port and the ports after it")
    ] = 1,
    door: Annotated[bool, typer.Option(help="put all RMS nodes behind one port, without a load balancer")] = False,
    tls: Annotated[bool, typer.Option(help="mutual TLS between the services, with new certificates")] = False,
    store: Annotated[str, typer.Option(help=f"sqlite, cassandra, or {STORE_HELP}")] = "sqlite",
    host: Annotated[
        str, typer.Option(help="address of this machine on which page, API and viewers' ports listen")
    ] = LOCAL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="port of the page and the API")] = 8000,
    data: Annotated[Path, typer.Option(file_okay=False, help="folder for comments and state")] = ROOT / ".data",
    restart: Annotated[bool, typer.Option(help="restart a process that has died")] = True,
) -> None:
    """Starts the whole system on this machine and prints its addresses. Ctrl-C ends it; a second one kills it.

    Everything listens on 127.0.0.1, unless --host gives the address that other machines call, such as 192.168.1.20. A
    process that dies is restarted on its own port: kill -9 one, and watch. What was written stays in --data for the
    next run.
    """
    data = data.resolve()
    _check_host(host)
    outer = range(port, port + comment_services)
    _check_free(outer, host)
    inner = [*range(DISPATCHER_PORT, DISPATCHER_PORT + dispatchers), *range(RMS_PORT, RMS_PORT + rms)]
    inner += [DOOR_PORT] if door else []
    operators = [number + OPERATORS_ABOVE for number in (*inner[dispatchers:], *outer)]
    data.mkdir(parents=True, exist_ok=True)
    if store == "cassandra":
        _need_cassandra()
    certificates = _make_certificates(data / "certificates") if tls else None
    urls = {"sqlite": f"sqlite:{data / 'comments.db'}", "cassandra": CASSANDRA_URL}
    plan_with = partial(
        make_plan,
        dispatchers=dispatchers,
        rms=rms,
        comment_services=comment_services,
        door=door,
        host=host,
        tls=certificates,
        store=urls.get(store, store),
        data=data,
        log_format="console",
    )
    for start in range(1, RUN.starts_max + 1):
        others = free_or_other([*inner, *operators], promised=outer, host=host)
        plan = plan_with(ports=[*others[: len(inner)], *outer, *others[len(inner) :]])
        try:
            code = asyncio.run(_run(plan, restart, data, urls.get(store, store)))
            break
        except PortsTaken as taken:
            print(f"run: {taken}", file=sys.stderr, flush=True)
            _check_free(outer, host)
            code = 1
            if start < RUN.starts_max:
                print("run: starting again on other ports", file=sys.stderr, flush=True)
    if store == "cassandra":
        print("Cassandra keeps running for the next run; scripts/cassandra stop ends it.", flush=True)
    raise typer.Exit(code)


class PortsTaken(Exception):
    """Others listen on ports that were free when they were chosen."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(f"{', '.join(addresses)} taken by another process meanwhile")


def _check_host(host: str) -> None:
    why = ""
    if is_wildcard(join_address(host, 0)):
        why = "nobody can call it; name the address that others call"
    elif not is_free(0, host):
        why = "it is no address of this machine"
    if why:
        print(f"run: --host {host}: {why}", file=sys.stderr)
        raise typer.Exit(1)


def _check_free(ports: Iterable[int], host: str) -> None:
    for number in ports:
        if not is_free(number, host):
            print(f"run: port {number} is taken; choose another: scripts/run --port {number + 100}", file=sys.stderr)
            raise typer.Exit(1)


def _is_free(address: str) -> bool:
    host, port = split_address(address)
    return is_free(port, host)


async def _run(plan: Plan, restart: bool, data: Path, store: str) -> int:
    console = Terminal()
    say = _line_printer(console)
    groups = [
        [
            Process(part.name, part.command, is_ready=part.is_ready, trouble=part.trouble, on_output=say)
            for part in parts
        ]
        for parts in plan.parts
    ]
    supervisor = ProcessSupervisor(groups, restart=restart, say=say)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    code = 0
    try:
        if await _started(supervisor, stop):
            console.print(banner(plan, supervisor, data, store))
            await stop.wait()
        console.print("ending; Ctrl-C again kills")
    except NotReady as error:
        console.print(f"run: {error}", style="bold red")
        code = 1
    clean = await supervisor.stop()
    if code and (taken := [part.address for parts in plan.parts for part in parts if not _is_free(part.address)]):
        raise PortsTaken(taken)
    return code if clean else 1


async def _started(supervisor: ProcessSupervisor, stop: asyncio.Event) -> bool:
    """Returns True when all are ready, False if a signal came first."""
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        stopping.cancel()
        starting.result()
        return True
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return False


def _line_printer(console: Console) -> Callable[[str, str], None]:
    """Returns a function that prints a line behind the name of its process, in the role's colour."""
    width = max(len(role) for role in ROLES) + 3

    def say(name: str, line: str) -> None:
        prefix = Text(f"{name:<{width}} ", style=COLORS[name.rpartition("-")[0]])
        console.print(prefix + Text.from_ansi(line))

    return say


def banner(plan: Plan, supervisor: ProcessSupervisor, data: Path, store: str) -> Text:
    """Lines that can be copied: without a box, and not cut or wrapped."""
    base = plan.base_url.replace("127.0.0.1", "localhost")
    pids = {process.name: process.pid for process in supervisor.processes}
    banner = Text("\nlivecomments is ready\n\n", style="bold green")

    def show(word: str, line: str) -> None:
        banner.append(f"  {word:<17}", style="bold not green").append(f"{line}\n", style="default not bold")

    show("page", f"{base}/?video=demo")
    show("watch", f"curl -NL -H 'Accept: text/event-stream' {base}/comments/demo")
    body = '{"liveVideoId": "demo", "message": "hello"}'
    show("post", f"curl {base}/comment/create -H 'Content-Type: application/json' -d '{body}'")
    for role in (role for role in ROLES if role != "door" or plan[role]):
        show(role, "  ".join(f"{part.address} pid {pids[part.name]}" for part in plan[role]) or "none")
    show(
        "operators",
        "  ".join(
            f"http://{part.operators}/health" for part in (*plan["rms"], *plan["door"], *plan["comment-service"])
        ),
    )
    show("limits", f"none for this machine's own addresses ({plan.unlimited}); docs/limits.md has those of others")
    show("store", store)
    show("state", str(data))
    if plan["dispatcher"]:
        addresses = ",".join(part.address for part in plan["dispatcher"])
        folder = plan["dispatcher"][0].tls
        shown = f" --tls {','.join(tls_files(folder, 'operator'))}" if folder else ""
        show("topology", f"scripts/topology --dispatchers {addresses}{shown} nodes")
    return banner.append("\n  kill -9 any pid: it is started again. Ctrl-C ends all.\n", style="default not bold")


def _make_certificates(folder: Path) -> Path:
    """Makes new certificates at each start, so that none expires. Needs openssl."""
    made = subprocess.run((ROOT / "scripts" / "certs", folder), capture_output=True, text=True, check=False)
    if made.returncode:
        print(f"run: certificates can't be made:\n{made.stderr.strip()}", file=sys.stderr)
        raise typer.Exit(1)
    return folder


def _need_cassandra() -> None:
    """Starts one node if nothing listens on its port."""
    if not is_free(CASSANDRA_PORT):
        return
    print("starting Cassandra; the first time it must be downloaded", flush=True)
    code = subprocess.run((sys.executable, "-P", "-m", "scripts.cassandra", "start"), check=False).returncode
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    app(prog_name="scripts/run")
