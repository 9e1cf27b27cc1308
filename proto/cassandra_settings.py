"""How a service shows Cassandra who it is: the settings that comment_service and RMS share."""

from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from proto.settings import Settings


class CassandraSettings(Settings):
    """A `history.config.CassandraAccess`. None of it is part of --store: everybody on a machine can see flags, and a
    store's URL is shown in logs."""

    cassandra_user: str = Field("", description="user to log in as at Cassandra; empty: none")
    cassandra_password: str = Field(
        "",
        repr=False,
        description="that user's password. Set it in the environment, not as a flag: all users of a machine can see "
        "its flags",
    )
    cassandra_password_file: str = Field(
        "",
        description="instead: file with the password in its first line; read again for each new connection, so a "
        "changed password needs no restart",
    )
    cassandra_tls_ca: str = Field(
        "",
        description="PEM file with the authority that has signed Cassandra's certificates; empty: Cassandra in clear",
    )
    cassandra_tls_cert: str = Field(
        "", description="PEM file with this service's certificate, where Cassandra wants one (require_client_auth)"
    )
    cassandra_tls_key: str = Field("", description="PEM file with that certificate's private key")
    cassandra_tls_check_host: bool = Field(
        True,
        description="a node's certificate must be for the address by which it is reached (rpc_address); false: any "
        "certificate of the authority will do, so whoever has one can pose as Cassandra",
    )

    @field_validator("cassandra_user", "cassandra_password", "cassandra_password_file")
    @classmethod
    def _one_line(cls, value: str, info: ValidationInfo) -> str:
        if "\n" in value or "\0" in value:
            raise ValueError("it must be one line")
        return value

    @model_validator(mode="after")
    def _cassandra_fits_together(self) -> Self:
        has_password = bool(self.cassandra_password or self.cassandra_password_file)
        if self.cassandra_password and self.cassandra_password_file:
            raise ValueError("--cassandra-password and --cassandra-password-file are two passwords: give one of them")
        if has_password and not self.cassandra_user:
            raise ValueError("there is a password for Cassandra and no user: give --cassandra-user")
        if self.cassandra_user and not has_password:
            raise ValueError(
                "--cassandra-user has no password: give --cassandra-password-file, or CASSANDRA_PASSWORD (after this "
                "service's prefix) in the environment"
            )
        if bool(self.cassandra_tls_cert) != bool(self.cassandra_tls_key):
            raise ValueError("--cassandra-tls-cert and --cassandra-tls-key belong together: give both, or none")
        if self.cassandra_tls_cert and not self.cassandra_tls_ca:
            raise ValueError("--cassandra-tls-cert is for TLS only: give --cassandra-tls-ca, too")
        return self
