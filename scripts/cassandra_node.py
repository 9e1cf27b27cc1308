"""Runs one Cassandra node on this machine: its folder, its settings and its process.

A node is a folder: `conf/` (written anew at each start), `data/`, `log/` and `pid`. The process outlives the one that
started it. A pid is valid only while /proc says that it is a Cassandra with this folder's settings. So a stale pid file
never points at another process.
"""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_S_MAX = 30.0
"""A node that flushes a full memtable on a slow disk takes some 10 s."""

POLL_S = 0.1
PROBE_S_MAX = 2.0

LOG_BYTES_MAX = "20MB"

CQL_OPTIONS = b"\x04\x00\x00\x00\x05\x00\x00\x00\x00"
"""The smallest request of the native protocol: OPTIONS. Its response, SUPPORTED, has the opcode 6."""
CQL_SUPPORTED = 6

# Cassandra uses internals of the JDK. Since Java 17 each must be opened by name. From its conf/jvm17-server.options.
EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
)
OPENS = (
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.util",
    "java.base/java.nio",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "jdk.management/com.sun.management.internal",
)

HEAP_MB_MIN, HEAP_MB_MAX = 400, 8192

# commitlog_sync batch: a write is fsynced before it is acknowledged. With `periodic` (Cassandra's default) a single
# node that is killed loses its last acknowledged writes. docs/history.md has figures for both.
YAML = """\
cluster_name: livecomments
num_tokens: 16
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: {address}
rpc_address: {address}
native_transport_port: {native}
storage_port: {storage}
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "{seed}:{storage}"
data_file_directories: ["{folder}/data/sstables"]
commitlog_directory: {folder}/data/commitlog
saved_caches_directory: {folder}/data/saved_caches
hints_directory: {folder}/data/hints
cdc_raw_directory: {folder}/data/cdc_raw
commitlog_sync: batch
auto_snapshot: false
disk_failure_policy: stop
"""

# Both ends show certificates, and a client a password. In PEM, so that the files of scripts/certs will do.
SEALED_YAML = """authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: {keystore}
  truststore: {truststore}
"""

LOGBACK = """\
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{folder}/log/system.log</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{folder}/log/system.%i.log</fileNamePattern><minIndex>1</minIndex><maxIndex>2</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>{bytes_max}</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>%-5level %date{{ISO8601}} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """native: CQL's. Every node has its own address and the same two ports; JMX is on 127.0.0.1, one port a node."""

    native: int
    storage: int
    jmx: int


class Node:
    """number: from 1; the node's address is 127.0.0.number. data: the cluster's folder.

    alone_at: another address, of the only node. within: a command that runs the node's command as the same process.
    """

    def __init__(
        self, number: int, data: Path, ports: Ports, *, alone_at: str = "", within: Sequence[str] = ()
    ) -> None:
        self.number = number
        self.address = alone_at or f"127.0.0.{number}"
        self._seed = alone_at or "127.0.0.1"
        self._within = within
        self.folder = data.absolute() / f"node{number}"
        self.ports = ports
        self._pid_file = self.folder / "pid"
        # There only if the node wants TLS and a password.
        self._keystore = self.folder / "conf" / "keystore.pem"
        self._truststore = self.folder / "conf" / "truststore.pem"
        self._process: subprocess.Popen[bytes] | None = None  # if this object has launched it

    def pid(self) -> int | None:
        """The node's process; None: it isn't running."""
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            if self._config_argument().encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    def speaks_cql(self) -> bool:
        """Does any server speak CQL at the node's address?"""
        with suppress(OSError), socket.create_connection((self.address, self.ports.native), PROBE_S_MAX) as plain:
            probe = self._sealed(plain) if self._keystore.exists() else plain
            with probe:
                probe.sendall(CQL_OPTIONS)
                head = probe.recv(9)
            return len(head) >= 5 and head[4] == CQL_SUPPORTED
        return False

    def launch(self, jars: Path, heap_mb: int, tls: Path | None = None) -> None:
        """Starts the process; it answers some seconds later. tls: a folder filled by scripts/certs; then it wants TLS
        in both directions, and a password: at first cassandra's, which is cassandra."""
        self.reap()
        self._write_config(tls)
        with (self.folder / "log" / "output.log").open("wb") as output:
            process = subprocess.Popen(
                self._command(jars, heap_mb),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C on the terminal that started it must not end it
            )
        self._process = process
        self._pid_file.write_text(str(process.pid))
        # /proc shows its command line only after exec.
        wait_until(lambda: self.pid() is not None or process.poll() is not None, PROBE_S_MAX)

    def seal(self, tls: Path) -> None:
        """Copies the certificates. A running node takes them after `nodetool reloadssl`, or within 10 minutes."""
        key, certificate, authority = (
            (tls / name).read_text() for name in ("cassandra.key", "cassandra.pem", "ca.pem")
        )
        _replace(self._keystore, key + certificate)
        _replace(self._truststore, authority)

    def stop(self) -> bool:
        """Ends the process: it flushes and exits, or is killed after STOP_S_MAX. Returns False if there was none."""
        if (pid := self.pid()) is None:
            return False
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: self.pid() is None, STOP_S_MAX):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.pid() is None, STOP_S_MAX)
        self._pid_file.unlink(missing_ok=True)
        return True

    def reap(self) -> None:
        """Collects the exit code of a process that this object has launched and that was ended."""
        if self._process is not None:
            self._process.wait(STOP_S_MAX)
            self._process = None

    def nodetool(self, jars: Path, arguments: Sequence[str]) -> list[str]:
        """The command line of nodetool for this node: flush, snapshot, status and others."""
        return [
            *("java", *_openings(), "-cp", f"{self.folder}/conf:{jars}/*", "org.apache.cassandra.tools.NodeTool"),
            *("-h", "127.0.0.1", "-p", str(self._jmx_port), *arguments),
        ]

    def log_tail(self, lines: int) -> str:
        """The ends of both logs: what the JVM printed, and what Cassandra logged."""
        tails = []
        for name in ("output.log", "system.log"):
            with suppress(OSError):
                text = (self.folder / "log" / name).read_text(errors="replace")
                tails.append(f"--- {self.folder}/log/{name}\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(tails)

    @property
    def _jmx_port(self) -> int:
        return self.ports.jmx + self.number - 1

    def _write_config(self, tls: Path | None) -> None:
        for part in ("conf", "data", "log"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        yaml = YAML.format(
            address=self.address,
            seed=self._seed,
            native=self.ports.native,
            storage=self.ports.storage,
            folder=self.folder,
        )
        if tls is None:
            self._keystore.unlink(missing_ok=True)
        else:
            self.seal(tls)
            yaml += SEALED_YAML.format(keystore=self._keystore, truststore=self._truststore)
        (self.folder / "conf" / "cassandra.yaml").write_text(yaml)
        (self.folder / "conf" / "logback.xml").write_text(LOGBACK.format(folder=self.folder, bytes_max=LOG_BYTES_MAX))

    def _sealed(self, plain: socket.socket) -> socket.socket:
        """Shows the node its own certificate, which any peer of its authority may show, and doesn't look at what it
        shows: the question is only whether it answers. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self._keystore)
        return context.wrap_socket(plain)

    def _config_argument(self) -> str:
        return f"-Dcassandra.config=file://{self.folder}/conf/cassandra.yaml"

    def _command(self, jars: Path, heap_mb: int) -> list[str]:
        """The heap begins small: at its start Cassandra locks the whole heap in memory, and 6 GB take 15 s to fill."""
        return [
            *self._within,
            *("java", f"-Xms{HEAP_MB_MIN}m", f"-Xmx{heap_mb}m", "-XX:+UseG1GC", "-Xss512k"),
            *("-XX:+ExitOnOutOfMemoryError", "-Djdk.attach.allowAttachSelf=true"),
            *_openings(),
            f"-javaagent:{next(jars.glob('jamm-*.jar'))}",
            self._config_argument(),
            f"-Dcassandra.storagedir={self.folder}/data",
            f"-Dcassandra.jmx.local.port={self._jmx_port}",
            "-Dcassandra-foreground=yes",
            # In a real cluster long waits (30 s) make joining safe. Here no other node joins or leaves meanwhile. A
            # node that joins must still hear from the first one within its delay, even on a busy machine.
            f"-Dcassandra.ring_delay_ms={1000 if self.number == 1 else 5000}",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            "-Dcassandra.shutdown_announce_in_ms=0",
            "-Dcassandra.superuser_setup_delay_ms=0",  # of the first user; 10 s otherwise
            *("-cp", f"{self.folder}/conf:{jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
        ]


def heap_mb(nodes: int) -> int:
    """The heap of each node: together a quarter of the machine's memory, 8 GB at most, as in conf/cassandra-env.sh.

    With 512 MB, a node under 10,000 comments/s spent half of its CPU on garbage collection, and then ended.
    """
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(HEAP_MB_MIN, min(memory_mb // 4, HEAP_MB_MAX) // nodes)


def _replace(path: Path, text: str) -> None:
    """The file appears whole."""
    whole = path.with_suffix(".new")
    whole.write_text(text)
    whole.rename(path)


def _openings() -> list[str]:
    exports = (f"--add-exports={place}=ALL-UNNAMED" for place in EXPORTS)
    return [*exports, *(f"--add-opens={place}=ALL-UNNAMED" for place in OPENS)]


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Returns True as soon as the condition holds, False after the time-out."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
