"""Takes events off the wire, as a feed wants them. This runs for every event that comes to the node."""

from proto import event_pb2
from rms.feed.event import COMMENT, Event


def events_of(video: event_pb2.VideoEvents) -> list[Event]:
    """In their order. An event of a kind that this node doesn't know has the kind "": it is counted, and what viewers
    get of it is passed on."""
    events = []
    for event in video.events:
        kind = event.WhichOneof("body") or ""
        target_id, author_id = (0, "") if kind == COMMENT else _about(event, kind)
        events.append(
            Event(
                event.id,
                event.data,
                kind,
                event.name,
                target_id,
                author_id,
                event.after_id,
                event.hidden_from_id,
            )
        )
    return events


def _about(event: event_pb2.Event, kind: str) -> tuple[int, str]:
    """target_id and author_id"""
    match kind:
        case "erased" | "hidden" | "restored" | "pinned" | "unpinned":
            return getattr(event, kind).comment_id, ""
        case "author_purged":
            return event.author_purged.up_to_id, event.author_purged.author_id
        case _:
            return 0, ""
