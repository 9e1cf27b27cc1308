"""The tables of the SQLite file, as steps from each version to the next.

`PRAGMA user_version` says which steps a file has seen. Forwards only: a release that doesn't know a file's version
leaves it alone. A step is never changed once it was released; what must change is a new step at the end. All steps
that are due run in one transaction that holds the write lock: processes that start together make them once.
"""

import sqlite3

STEPS = (
    # 1. The comments. A video's lie beside each other in the table's own tree: a page is one descent and a short walk.
    (
        """
        CREATE TABLE comments (
            video_id TEXT NOT NULL,
            id INTEGER NOT NULL,
            author_id TEXT NOT NULL,
            author_name TEXT NOT NULL,
            message TEXT NOT NULL,
            created_at_ms INTEGER NOT NULL,
            PRIMARY KEY (video_id, id)
        ) WITHOUT ROWID
        """,
    ),
    # 2. Erasing, videos, retries, node numbers.
    (
        # Finds an author's comments. An index is written in the comment's own transaction, and ends with the key.
        "CREATE INDEX comments_by_author ON comments (author_id, video_id)",
        # What may never be stored (again). Kept for ever: 40 bytes each, no text and no name.
        """
        CREATE TABLE erased (
            video_id TEXT NOT NULL,
            id INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (video_id, id)
        ) WITHOUT ROWID
        """,
        # Other processes ask what was erased a moment ago, and drop their copies.
        "CREATE INDEX erased_by_time ON erased (at_ms)",
        # video_id '' means all videos; it is no video's id.
        """
        CREATE TABLE barred_authors (
            author_id TEXT NOT NULL,
            video_id TEXT NOT NULL,
            up_to_id INTEGER NOT NULL,
            PRIMARY KEY (author_id, video_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE videos (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            owner_id TEXT,
            owner_name TEXT,
            created_at_ms INTEGER NOT NULL,
            started_at_ms INTEGER,
            ended_at_ms INTEGER
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE idempotency_keys (
            author_id TEXT NOT NULL,
            video_id TEXT NOT NULL,
            key TEXT NOT NULL,
            comment_id INTEGER NOT NULL,
            created_at_ms INTEGER NOT NULL,
            digest BLOB NOT NULL,
            expires_at_ms INTEGER NOT NULL,
            PRIMARY KEY (author_id, video_id, key)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at_ms)",
        """
        CREATE TABLE nodes (
            node INTEGER PRIMARY KEY,
            holder TEXT NOT NULL,
            words TEXT NOT NULL,
            expires_at_ms INTEGER NOT NULL
        )
        """,
    ),
    # 3. Where comments came so late that readers may have taken the stretch for closed. Swept after an hour.
    (
        """
        CREATE TABLE late (
            at_ms INTEGER NOT NULL,
            video_id TEXT NOT NULL,
            low_id INTEGER NOT NULL,
            high_id INTEGER NOT NULL,
            PRIMARY KEY (at_ms, video_id, low_id, high_id)
        ) WITHOUT ROWID
        """,
    ),
)
VERSION = len(STEPS)


def version_of(file: sqlite3.Connection) -> int:
    """0: no tables yet. Raises sqlite3.DatabaseError when a newer release has made the file."""
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise sqlite3.DatabaseError(f"its schema has version {version}; this release knows {VERSION}")
    return int(version)


def migrate(file: sqlite3.Connection) -> int:
    """Makes the steps that are due, and returns how many these were. Raises sqlite3.Error; then nothing was changed
    once the connection is closed."""
    file.execute("BEGIN IMMEDIATE")
    due = STEPS[version_of(file) :]
    for step in due:
        for statement in step:
            file.execute(statement)
    if due:
        file.execute(f"PRAGMA user_version = {VERSION}")
    file.execute("COMMIT")
    return len(due)
