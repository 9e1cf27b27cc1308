"""Defines and checks the options and arguments that the commands of scripts/topology share."""

import re
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from dispatcher.cli.survey import Survey, survey
from dispatcher.config import TOPOLOGY
from proto.dispatch_pb2 import TopologyRequest
from proto.settings import Addresses
from proto.tls import Tls


def check_addresses(value: str | None) -> str | None:
    try:
        return value and TypeAdapter(Addresses).validate_python(value)
    except ValidationError:
        raise typer.BadParameter(f"{value!r} is not host:port, or several with commas between") from None


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:~-]{1,128}", value):
        raise typer.BadParameter(f"{value!r} is no id: 1 to 128 of A-Z a-z 0-9 _ . : ~ -")
    return value


_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}


def milliseconds(text: str) -> int:
    """'60s' -> 60000. Raises typer.BadParameter."""
    match = re.fullmatch(r"([0-9]{1,9})(ms|s|min|h)", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration: 500ms, 60s, 5min or 1h")
    return int(match[1]) * _MS[match[2]]


def check_duration(value: str) -> str:
    milliseconds(value)
    return value


@dataclass(frozen=True, slots=True)
class Options:
    """May stand before the command or after it; those after it win."""

    dispatchers: str
    as_json: bool
    timeout_ms: int
    tls: Tls | None

    def ask(self, request: TopologyRequest) -> Survey:
        return survey(self.dispatchers.split(","), request, self.timeout_ms, self.tls)


Dispatchers = Annotated[
    str | None,
    typer.Option(
        help=f"the replicas: host:port, several with commas between; LIVECOMMENTS_DISPATCHERS if not given, "
        f"else {TOPOLOGY.dispatchers}",
        callback=check_addresses,
    ),
]
TlsFiles = Annotated[
    str | None,
    typer.Option(
        metavar="CERT,KEY,CA",
        help="PEM files for replicas that speak TLS, with commas between; LIVECOMMENTS_TLS if not given",
    ),
]
Video = Annotated[str, typer.Argument(help="the live video's id", callback=_check_name)]
NodeName = Annotated[str, typer.Argument(help="the node's id, as `nodes` shows it", callback=_check_name)]
Json = Annotated[bool, typer.Option("--json", help="one JSON object instead of a table; durations in milliseconds")]
TimeoutMs = Annotated[
    int | None,
    typer.Option(min=1, help=f"how many milliseconds each replica may take; {TOPOLOGY.timeout_ms} if not given"),
]


def read_tls(value: str | None) -> Tls | None:
    """Raises typer.BadParameter."""
    if not value:
        return None
    names = value.split(",")
    if len(names) != 3:
        raise typer.BadParameter(f"{value!r} are not three files: CERT,KEY,CA")
    try:
        return Tls(*names)
    except OSError as error:
        raise typer.BadParameter(str(error)) from None


def options_of(context: typer.Context, dispatchers: str | None, as_json: bool, timeout_ms: int | None) -> Options:
    before: Options = context.obj
    return Options(
        dispatchers=dispatchers or before.dispatchers,
        as_json=as_json or before.as_json,
        timeout_ms=timeout_ms or before.timeout_ms,
        tls=before.tls,
    )
