"""The tables of the SQLite file, as steps from each version to the next.

`PRAGMA user_version` counts the steps that a file has seen. Steps go forwards only: a release that doesn't know a
file's version doesn't touch it. A step that was released is never changed; changes are new steps at the end. All steps
that are due run in one transaction that holds the write lock, so processes that start together make them once.
"""

import sqlite3

STEPS = (
    # 1. Comments. A video's are neighbours in the table's own tree: a page is one descent and a short walk.
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
    # 2. Erasing, videos, Idempotency-Keys, node numbers.
    (
        # Finds an author's comments. SQLite adds the table's key to an index: so the comment's id is in it.
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
        # Other processes read what was erased a moment ago, and evict their copies.
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
    # 3. Notices of late comments: readers may have taken the stretch for closed. Swept after an hour.
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
    # 4. The table of comments is a log of events: hidden and erased comments stay as rows, beside other kinds.
    (
        "ALTER TABLE comments ADD COLUMN state INTEGER NOT NULL DEFAULT 0",  # history/core/model.py
        # The change that hid or restored it last: an earlier one that is repeated changes nothing.
        "ALTER TABLE comments ADD COLUMN changed_id INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE comments ADD COLUMN kind TEXT NOT NULL DEFAULT ''",  # '': a comment
        "ALTER TABLE comments ADD COLUMN target_id INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE comments ADD COLUMN up_to_id INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE comments ADD COLUMN data BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE comments ADD COLUMN after_id INTEGER NOT NULL DEFAULT 0",  # 0: not known
        # Events that name an author, until they are swept.
        "CREATE INDEX naming_events ON comments (id) WHERE kind <> '' AND author_id <> ''",
        # In place of barred_authors, whose rows are still honoured: a hash of the author's id. Kept for ever.
        """
        CREATE TABLE barred (
            author BLOB NOT NULL,
            video_id TEXT NOT NULL,
            up_to_id INTEGER NOT NULL,
            PRIMARY KEY (author, video_id)
        ) WITHOUT ROWID
        """,
        # Whether any may concern a batch: nearly never one of live comments.
        "CREATE INDEX barred_by_id ON barred (up_to_id)",
        # Purges that are being carried out.
        """
        CREATE TABLE purges (
            id INTEGER PRIMARY KEY,
            author_id TEXT NOT NULL,
            video_id TEXT NOT NULL,
            up_to_id INTEGER NOT NULL,
            looks INTEGER NOT NULL
        )
        """,
        # Notices of changes, for processes that keep copies. Swept after an hour.
        """
        CREATE TABLE changes (
            at_ms INTEGER NOT NULL,
            id INTEGER NOT NULL,
            video_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            target_id INTEGER NOT NULL,
            author_id TEXT NOT NULL,
            up_to_id INTEGER NOT NULL,
            PRIMARY KEY (at_ms, id, video_id)
        ) WITHOUT ROWID
        """,
    ),
    # 5. Claims of keys that say when they were made. Processes that remember videos ask what has changed.
    (
        # Those of one time are neighbours: however many videos and authors they are of, a transaction writes few pages.
        """
        CREATE TABLE timed_claims (
            made_ms INTEGER NOT NULL,
            name BLOB NOT NULL,
            comment_id INTEGER NOT NULL,
            created_at_ms INTEGER NOT NULL,
            digest BLOB NOT NULL,
            expires_at_ms INTEGER NOT NULL,
            PRIMARY KEY (made_ms, name)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX timed_claims_by_expiry ON timed_claims (expires_at_ms)",
        "ALTER TABLE videos ADD COLUMN changed_at_ms INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX videos_by_change ON videos (changed_at_ms)",
    ),
    # 6. When a video is to begin, and where it can be watched.
    (
        "ALTER TABLE videos ADD COLUMN planned_at_ms INTEGER",
        "ALTER TABLE videos ADD COLUMN playback_url TEXT",
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
    """Runs the steps that are due, and returns how many these were. Raises sqlite3.Error: then the caller closes the
    connection, and nothing was changed."""
    file.execute("BEGIN IMMEDIATE")
    due = STEPS[version_of(file) :]
    for step in due:
        for statement in step:
            file.execute(statement)
    if due:
        file.execute(f"PRAGMA user_version = {VERSION}")
    file.execute("COMMIT")
    return len(due)
