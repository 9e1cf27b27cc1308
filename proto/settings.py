"""Reads the configuration of every service: flags first, then environment variables, then defaults.

A service's `config.py` subclasses `Settings`; each field is a `Field(default, description=...)` whose description
gives the unit and the reason for the number. Nothing else in a service holds a tunable number.
"""

import sys
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PORTS_END = 65_535


def check_ports(addresses: str) -> str:
    """Returns addresses in one of the forms below, with commas between. Raises ValueError."""
    for address in addresses.split(","):
        if address and (port := split_address(address)[1]) > PORTS_END:
            raise ValueError(f"there is no port {port}; ports end at {PORTS_END}")
    return addresses


Address = Annotated[
    str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}$"), AfterValidator(check_ports)
]
"""host:port; [host]:port for IPv6"""

Addresses = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}(,(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5})*$"
    ),
    AfterValidator(check_ports),
]
"""host:port, or several separated by commas: the same form in a flag and in the environment"""


def split_address(address: str) -> tuple[str, int]:
    """'[::1]:80' -> ('::1', 80)"""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """('::1', 80) -> '[::1]:80'"""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_wildcard(address: str) -> bool:
    """Whether it stands for all addresses of a machine: good to listen on, and none that others can call"""
    try:
        return ip_address(split_address(address)[0]).is_unspecified
    except ValueError:
        return False  # a name


class Settings(BaseSettings):
    """The settings that all services share. Frozen: they never change while a service runs."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe level that is written to the log"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="console: readable lines; json: one object a line; auto: console on a terminal, else json"
    )
    log_lines_per_s_max: int = Field(
        50,
        ge=1,
        description="log lines of one warning or error in a second; those beyond are counted: strangers may cause some",
    )
    gc_objects: int = Field(
        20_000,
        ge=700,
        description="new objects until Python's garbage collector runs: 5 MB, and a run takes 2 ms; with Python's "
        "default of 700 it takes a tenth to a sixth of the CPU",
    )

    @classmethod
    def parse(cls, argv: Sequence[str] | None = None) -> Self:
        """Reads flags and environment. If they are invalid, prints what is wrong and exits with 2."""
        prefix = cls.model_config.get("env_prefix", "")
        source: CliSettingsSource[object] = CliSettingsSource(
            cls,
            cli_prog_name=f"python -m {cls.__module__.partition('.')[0]}",
        )
        source.root_parser.epilog = (  # type: ignore[attr-defined]
            f"Every flag can also be given by the environment: --log-level is {prefix}LOG_LEVEL. "
            "Durations end in their unit (_ms, _s), sizes in bytes. docs/limits.md lists all of them."
        )
        try:
            return CliApp.run(cls, cli_args=list(sys.argv[1:] if argv is None else argv), cli_settings_source=source)
        except ValidationError as invalid:
            for error in invalid.errors():
                print(cls._sentence(error), file=sys.stderr)
            sys.exit(2)

    @classmethod
    def _sentence(cls, error: "ErrorDetails") -> str:
        """Shows what was given, unless it is a secret (repr=False), or about several settings, of which one may be."""
        if not error["loc"]:
            return error["msg"]
        name = str(error["loc"][0])
        flag = "--" + "-".join(map(str, error["loc"])).replace("_", "-")
        field = cls.model_fields.get(name)
        is_secret = field is not None and not field.repr
        return f"{flag}: {error['msg']}" + ("" if is_secret else f"; it was {error['input']!r}")
