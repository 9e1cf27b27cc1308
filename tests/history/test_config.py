"""The stores' numbers fit together, and each says why it is as it is"""

import ast
from dataclasses import fields
from pathlib import Path

import history.config
from history.config import BUCKET_MS, NOTICES_KEPT_MS, StoreSettings


def test_numbers_that_hang_on_each_other() -> None:
    settings = StoreSettings()
    assert settings.cassandra_second_try_ms < settings.cassandra_request_timeout_ms
    assert settings.late_ms >= 2 * settings.cassandra_request_timeout_ms
    assert settings.cassandra_scan_ms <= BUCKET_MS
    assert settings.comments_keep_s == 0  # nothing is lost by default


def test_the_schema_keeps_notices_as_long_as_they_can_be_read() -> None:
    schema = (Path(history.config.__file__).with_name("cassandra") / "schema.cql").read_text()
    assert f"default_time_to_live = {NOTICES_KEPT_MS // 1000} " in schema


def test_each_says_why() -> None:
    tree = ast.parse(Path(history.config.__file__).read_text())
    (settings,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "StoreSettings")
    names = [node for node in settings.body if isinstance(node, ast.AnnAssign)]
    said = [
        after
        for before, after in zip(settings.body, settings.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr)
    ]
    assert len(names) == len(said) == len(fields(StoreSettings))
