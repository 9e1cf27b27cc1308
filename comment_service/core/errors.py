"""Every error that a caller can get, and the one table from error to HTTP status.

    ServiceError
    ├── Fault of the request
    │   ├── in its form: InvalidUtf8, MalformedJson, LoneSurrogate, TooDeep, DuplicateField, NotAnObject
    │   ├── in its fields: UnknownField, WrongType, MissingField, VideoIdsDiffer, InvalidVideo,
    │   │   MessageEmpty, MessageTooLong, AuthorEmpty, AuthorTooLong, AuthorUnprintable, InvalidVideoFields
    │   ├── in its query or headers: UnknownParameter, RepeatedParameter, MissingParameter, InvalidCursor,
    │   │   InvalidPagesize, InvalidOffset, InvalidCommentId, InvalidIdempotencyKey, IdempotencyKeyReused,
    │   │   UnsupportedMediaType
    │   ├── in the state of its video: VideoUnknown, VideoEnded, VideoExists, VideoNotStarted
    │   ├── in the state of its comment: CommentUnknown, CommentErased
    │   ├── in its authorization: ErasingOff, NotAuthorized
    │   └── in its path, method or size: UnknownPath, WrongMethod, BodyTooLarge, BodyTooSlow
    └── Fault of the service: NoPlace, NoDispatcher, StoreAway

Each error is built from facts and writes its own sentence, which says what is wrong and what would be right. Its code
on the wire is its class's name in snake_case. The HTTP response is made in comment_service/http.
"""

import re
from collections.abc import Sequence

SHOWN_CHARACTERS_MAX = 40
"""Characters of a wrong value that a response repeats: enough to recognise it, too few to misuse it as an echo"""


def shown(value: str) -> str:
    """The value quoted, escaped and shortened, to be used in a sentence"""
    return repr(value) if len(value) <= SHOWN_CHARACTERS_MAX else f"{value[:SHOWN_CHARACTERS_MAX]!r}…"


class ServiceError(Exception):
    """An error for the caller. `str()` is its sentence."""

    @property
    def code(self) -> str:
        """MessageTooLong -> 'message_too_long'"""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class InvalidUtf8(ServiceError):
    def __init__(self, position: int) -> None:
        super().__init__(f"the body is not UTF-8: byte {position} begins no character; JSON is always UTF-8")


class MalformedJson(ServiceError):
    def __init__(self, reason: str) -> None:
        super().__init__(f'{reason}; the body is one JSON object: {{"liveVideoId": "...", "message": "..."}}')


class LoneSurrogate(ServiceError):
    def __init__(self, escape: str) -> None:
        super().__init__(f"{escape} is half of a surrogate pair and stands for no character alone; send both halves")


class TooDeep(ServiceError):
    def __init__(self) -> None:
        super().__init__("the body is nested too deeply; a comment has an object (author) within an object, no more")


class DuplicateField(ServiceError):
    def __init__(self, field: str) -> None:
        super().__init__(f"{shown(field)} is given twice; give each field once")


class NotAnObject(ServiceError):
    def __init__(self, kind: str) -> None:
        super().__init__(f'the body is {kind}; it must be an object: {{"liveVideoId": "...", "message": "..."}}')


class UnknownField(ServiceError):
    def __init__(self, field: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no field {shown(field)}; the fields are {', '.join(known)}")


class WrongType(ServiceError):
    def __init__(self, field: str, expected: str, seen: str) -> None:
        super().__init__(f"{field} must be {expected}; it was {seen}")


class MissingField(ServiceError):
    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is missing; a comment needs liveVideoId (or videoId) and message")


class VideoIdsDiffer(ServiceError):
    def __init__(self, live_video_id: str, video_id: str) -> None:
        super().__init__(
            f"liveVideoId is {shown(live_video_id)} but videoId is {shown(video_id)}; give one of them, or the same"
        )


class InvalidVideo(ServiceError):
    code = "invalid_video_id"


class MessageEmpty(ServiceError):
    def __init__(self) -> None:
        super().__init__("message has no visible character; write something")


class MessageTooLong(ServiceError):
    def __init__(self, seen: int, most: int, unit: str) -> None:
        super().__init__(f"message has {seen} {unit}; at most {most} are allowed")


class AuthorEmpty(ServiceError):
    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has no visible character; leave the field out or give a name")


class AuthorTooLong(ServiceError):
    def __init__(self, field: str, seen: int, most: int, unit: str) -> None:
        super().__init__(f"{field} has {seen} {unit}; at most {most} are allowed")


class AuthorUnprintable(ServiceError):
    def __init__(self, field: str, character: str) -> None:
        super().__init__(f"{field} contains the control character U+{ord(character):04X}; names are one line of text")


class UnknownParameter(ServiceError):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no query parameter {shown(name)}; the parameters are {', '.join(known)}")


class RepeatedParameter(ServiceError):
    def __init__(self, name: str) -> None:
        super().__init__(f"the query parameter {shown(name)} is given twice; give it once")


class InvalidCursor(ServiceError):
    def __init__(self, value: str) -> None:
        super().__init__(
            f"{shown(value)} is no cursor; a cursor is the nextCursor of a page or the id of a comment: "
            "16 lower-case hex digits"
        )


class InvalidPagesize(ServiceError):
    def __init__(self, value: str, most: int) -> None:
        super().__init__(f"pagesize was {shown(value)}; it is a whole number from 1 to {most}")


class MissingParameter(ServiceError):
    def __init__(self, name: str, right: str) -> None:
        super().__init__(f"the query parameter {name} is missing; {right}")


class InvalidOffset(ServiceError):
    def __init__(self, value: str) -> None:
        super().__init__(
            f"from_offset_ms was {shown(value)}; it is a whole number of ms from the video's start, from 0"
        )


class InvalidCommentId(ServiceError):
    def __init__(self, value: str) -> None:
        super().__init__(f"{shown(value)} is no comment's id; an id is 16 lower-case hex digits")


class InvalidVideoFields(ServiceError):
    code = "invalid_video"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f'{reason}; a video is one JSON object: {{"title": "...", "id": "...", "owner": {{"id", "name"}}, '
            '"state": "planned" or "live", "plannedAt": ms since 1970, "playbackUrl": "https://..."}, of which only '
            "title is needed"
        )


class VideoUnknown(ServiceError):
    def __init__(self, video_id: str) -> None:
        super().__init__(f"there is no video {shown(video_id)}; POST /videos makes one")


class VideoEnded(ServiceError):
    def __init__(self, video_id: str) -> None:
        super().__init__(f"the video {shown(video_id)} has ended, so it can't be started and takes no comments")


class VideoExists(ServiceError):
    def __init__(self, video_id: str) -> None:
        super().__init__(f"there is another video {shown(video_id)} already; give this one another id, or none")


class VideoNotStarted(ServiceError):
    def __init__(self, video_id: str) -> None:
        super().__init__(f"the video {shown(video_id)} was never started, so nothing has an offset from its start")


class CommentUnknown(ServiceError):
    def __init__(self, video_id: str) -> None:
        super().__init__(
            f"there is no such comment of the video {shown(video_id)}, or it waits in a spool; then try again later"
        )


class CommentErased(ServiceError):
    def __init__(self) -> None:
        super().__init__("the comment was erased, and its text with it, so it can't be hidden or restored")


class ErasingOff(ServiceError):
    def __init__(self) -> None:
        super().__init__("erasing is off here: the service was started without --admin-token")


class NotAuthorized(ServiceError):
    def __init__(self) -> None:
        super().__init__("this needs the operator's token; send the header Authorization: Bearer TOKEN")


class InvalidIdempotencyKey(ServiceError):
    def __init__(self, most: int) -> None:
        super().__init__(f"the Idempotency-Key header must be 1 to {most} printable ASCII characters")


class IdempotencyKeyReused(ServiceError):
    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another comment before; a new comment needs a new key")


class UnsupportedMediaType(ServiceError):
    def __init__(self, header: str, seen: str | None, right: str) -> None:
        was = "is missing" if seen is None else f"was {shown(seen)}"
        super().__init__(f"the {header} header {was}; {right}")


class UnknownPath(ServiceError):
    def __init__(self) -> None:
        super().__init__("nothing is here; try POST /comment/create, GET /comments/{liveVideoId}, or / in a browser")


class WrongMethod(ServiceError):
    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{shown(method)} can't be used here; use {' or '.join(allowed)}")
        self.allowed = tuple(allowed)


class BodyTooLarge(ServiceError):
    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the body is larger than {most_bytes} bytes, the most that a comment can need")


class BodyTooSlow(ServiceError):
    def __init__(self, most_ms: int) -> None:
        super().__init__(f"the body was not complete after {most_ms} ms; send the request again")


class NoDispatcher(ServiceError):
    def __init__(self) -> None:
        super().__init__("no dispatcher answers, so there is no live stream now; try again a little later")


class NoPlace(ServiceError):
    def __init__(self) -> None:
        super().__init__("no server has room for another viewer of this video now; try again a little later")


class StoreAway(ServiceError):
    code = "store_unavailable"

    def __init__(self) -> None:
        super().__init__("comments can't be stored or read now; try again a little later")


HTTP_STATUS: dict[type[ServiceError], int] = {
    # The server can't make sense of the request.
    InvalidUtf8: 400,
    MalformedJson: 400,
    LoneSurrogate: 400,
    TooDeep: 400,
    InvalidVideo: 400,
    UnknownParameter: 400,
    RepeatedParameter: 400,
    InvalidCursor: 400,
    InvalidPagesize: 400,
    MissingParameter: 400,
    InvalidOffset: 400,
    InvalidCommentId: 400,
    InvalidIdempotencyKey: 400,
    NotAuthorized: 401,
    ErasingOff: 403,
    VideoUnknown: 404,
    CommentUnknown: 404,
    UnknownPath: 404,
    WrongMethod: 405,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    VideoEnded: 409,
    VideoExists: 409,
    VideoNotStarted: 409,
    CommentErased: 409,
    UnsupportedMediaType: 415,
    # The request is understood, but it contains no valid comment or video.
    DuplicateField: 422,
    NotAnObject: 422,
    UnknownField: 422,
    WrongType: 422,
    MissingField: 422,
    VideoIdsDiffer: 422,
    MessageEmpty: 422,
    MessageTooLong: 422,
    AuthorEmpty: 422,
    AuthorTooLong: 422,
    AuthorUnprintable: 422,
    IdempotencyKeyReused: 422,
    InvalidVideoFields: 422,
    # The request was right; the response carries Retry-After.
    NoDispatcher: 503,
    NoPlace: 503,
    StoreAway: 503,
}
