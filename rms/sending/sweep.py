"""The only writer to viewers' sockets: it sends each viewer what its video's log has behind the viewer's offset.

Some facts, and what they mean here:
- The kernel's send() is the cost; a task, a queue or an allocation for each viewer would cost several times as much.
  So a viewer is a socket and an offset, and a sweep is a loop over a list. What arrives during a sweep goes with the
  next one: under load one send carries many comments, and in a quiet video no comment waits.
- A loop that sends for long starves gRPC and the viewers on their way in. So a sweep stops after some milliseconds and
  lets the event loop run once before it goes on.
- A round over a large audience takes as long as thousands of small ones. So the audiences that have something to send
  take turns, of at most VIEWERS_AT_ONCE viewers: a small one waits for one turn of each other one, not for its round.
- A send can be cut short anywhere. The rest of that frame is kept with the viewer (its `head`), so that its offset
  always stands at a frame's end, and the log can be trimmed without asking any viewer.
- An edge-triggered EPOLLOUT comes once after a send was cut short or refused, when there is room again. So sockets
  that are never full cost no epoll_ctl and no wake-up, and a full one costs nothing until it has room.
- An epoll set is itself a file descriptor: the event loop watches that one, and 19,000 sockets cost it nothing.
- epoll knows open file descriptions, not numbers: closing a number whose description lives on elsewhere leaves an entry
  that can't be removed any more. So a viewer is always deregistered before its number is closed, and the take-over
  (proto/http/exchange.py) hands in a number that is registered nowhere else.
- All of this runs in callbacks of the event loop, one after the other for all videos. So an unexpected error must not
  leave a callback: it is logged, and what it came from is closed, be it a viewer or an audience. Its clients come back
  with their positions. The other viewers and audiences go on.
"""

import asyncio
import contextlib
import select
import socket
from collections import deque

import structlog

from rms.clocks import monotonic_ms, monotonic_us, wall_ms
from rms.config import RmsSettings
from rms.feed.byte_log import EditionOffset
from rms.sending.audience import Audience, Pause, Viewer
from rms.sending.sweep_counts import SweepCounts, SweepStatistics

log = structlog.stdlib.get_logger()

VIEWERS_AT_ONCE = 64
"""between two readings of the clock, and in one turn of an audience: half a millisecond"""


class Sweeper:
    """Call `add` with a taken-over socket and `publish` when a log has grown; the rest runs in the event loop."""

    def __init__(self, settings: RmsSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._epoll = select.epoll()
        self._by_fd: dict[int, Viewer] = {}
        self.changed: set[str] = set()
        """videos whose audiences have got or lost a viewer since somebody cleared this"""
        self._dirty: deque[Audience] = deque()  # in the order of their turns; a new one comes last
        self._scheduled = False
        self._stalled: dict[Viewer, int] = {}  # those with full sockets, and since when (monotonic ms)
        self._counts = SweepCounts()
        loop.add_reader(self._epoll.fileno(), self._on_events)

    def __len__(self) -> int:
        """viewers that aren't detached"""
        return len(self._by_fd)

    def add(self, viewer: Viewer) -> None:
        """The viewer's socket is open and known to no other code. Its first bytes go out now.

        Raises OSError if the kernel watches no more sockets; the viewer is closed then.
        """
        try:
            self._epoll.register(viewer, select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        except OSError:
            viewer.close()
            raise
        audience = viewer.audience
        viewer.index = len(audience.viewers)
        audience.viewers.append(viewer)
        self.changed.add(audience.video_id)
        self._by_fd[viewer.fileno()] = viewer
        self._set_options(viewer)
        self._continue(viewer)

    def _set_options(self, viewer: Viewer) -> None:
        with contextlib.suppress(OSError):  # gone already; epoll will say so
            viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._settings.user_timeout_ms)
            if self._settings.send_buffer_bytes:
                viewer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._settings.send_buffer_bytes)

    def publish(self, audience: Audience) -> None:
        """The audience's log has grown."""
        for waiter in audience.waiters:
            waiter.set()
        if audience.viewers and not audience.queued:
            audience.queued = True
            self._dirty.append(audience)
            self._schedule()

    def send_aside(self, audience: Audience, data: bytes) -> None:
        """Sends `data`, whole lines, once to every viewer whose socket has room, beside what is still due. It stands in
        no log, and who has no room misses it: what no viewer may miss belongs in the log."""
        if audience.viewers:
            audience.due += data
        self.publish(audience)

    def _schedule(self) -> None:
        if not self._scheduled and self._dirty:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        self._scheduled = False
        began_us = now_us = monotonic_us()
        end_us, visits, now_ms = began_us + self._settings.slice_ms * 1_000, 0, wall_ms()
        while self._dirty and now_us < end_us:
            audience = self._dirty.popleft()
            try:
                visits += self._close_failed(audience) if audience.failed else self._sweep(audience, now_ms)
            except Exception as error:
                self._fail(audience, error)
            if audience.cursor is not None:
                self._dirty.append(audience)  # its next turn comes after those of all others
            else:
                audience.sent_ms = now_us // 1_000
                audience.queued = False
                if audience.viewers and (audience.swept_to != audience.log.end or audience.due):
                    self.publish(audience)
            now_us = monotonic_us()
        self._counts.slice((now_us - began_us) / 1_000, visits)
        self._schedule()

    def _sweep(self, audience: Audience, now_ms: int) -> int:
        """Goes on with the audience's sweep for one turn, or begins one. Returns how many viewers it has passed.
        now_ms: of the wall clock."""
        # What has come since the last visit is taken along: no viewer waits for more than one round.
        audience.edition.update(now_ms)
        target, last = audience.log.end, len(audience.viewers) - 1
        if audience.cursor is None:
            audience.cursor = last
            audience.swept_to = target
            audience.failure_logged = False
            audience.aside, audience.due = audience.due, b""
        aside = audience.edition.aside(audience.aside) if audience.aside else b""
        first = min(audience.cursor, last)  # viewers may have left since the last visit
        stop = max(first - VIEWERS_AT_ONCE, -1)
        self._send(audience, first, stop, target, aside)
        audience.cursor = None if stop < 0 else stop
        return first - stop

    def _send(self, audience: Audience, first: int, stop: int, target: EditionOffset, aside: bytes) -> None:
        """Sends the log up to `target`, and `aside`, to the viewers from index `first` down to the one above `stop`.

        Downwards, because viewers leave meanwhile: the list's last one takes the place of the one that leaves."""
        viewers, log = audience.viewers, audience.log
        chunks: dict[EditionOffset, bytes] = {}  # made once for each distinct offset, not for each viewer
        whole: list[tuple[EditionOffset, int]] = []  # offsets, and how many viewers took all that there was from there
        chunk_bytes, base, end = self._settings.chunk_bytes, log.base, target + len(aside)
        # Nearly all viewers stand at the same offset: what holds for them is looked up when the offset changes.
        common, chunk, rest = target, aside, len(aside)
        takers = bytes_sent = sends = 0
        for cursor in range(first, stop, -1):
            viewer = viewers[cursor]
            offset = viewer.offset
            if viewer.paused or (offset == target and not aside):
                continue
            try:
                if offset != common:
                    if offset < base:
                        moved = audience.edition.moved(offset)
                        if moved is None:
                            viewer.stood_at = audience.edition.text_at(offset)
                            self._behind(viewer)
                            continue
                        viewer.offset = offset = moved
                        if offset == target and not aside:
                            continue
                    whole.append((common, takers))
                    common, takers, rest = offset, 0, end - offset
                    if offset not in chunks:
                        chunk = log.read(offset, chunk_bytes)
                        chunks[offset] = chunk + aside if offset + len(chunk) == target else chunk
                    chunk = chunks[offset]
                try:
                    sent = viewer.send(chunk)
                except BlockingIOError:
                    self._stall(viewer)
                    continue
                except OSError:
                    self._close(viewer, "reset")
                    continue
                sends += 1
                bytes_sent += sent
                if sent == rest:
                    viewer.offset = target
                    takers += 1
                elif offset + sent >= target:
                    viewer.offset = target
                    viewer.head = chunk[sent:]  # the rest of what is given aside
                    self._stall(viewer)
                else:
                    self._advance(viewer, sent, full=sent < len(chunk))
            except Exception as error:
                self._fail_viewer(viewer, error)
        whole.append((common, takers))
        self._counts.sends += sends
        self._counts.bytes += bytes_sent
        self._counts.deliveries += sum(count * log.frames(at, target) for at, count in whole if count)

    def _fail(self, audience: Audience, error: Exception) -> None:
        """The audience's log or edition can't be relied on: its viewers are closed, some at a time. They come back with
        their positions, and the edition is made anew once it has no viewers."""
        log.error(
            "sweep failed, its viewers are closed",
            video=audience.video_id,
            encoding=audience.edition.encoding,
            viewers=len(audience.viewers),
            reason=repr(error),
            exc_info=error,
        )
        audience.failed = True
        audience.cursor = 0

    def _close_failed(self, audience: Audience) -> int:
        """Closes some viewers of an audience that has failed. Returns how many."""
        leaving = audience.viewers[: -VIEWERS_AT_ONCE - 1 : -1]
        for viewer in leaving:
            self._close(viewer, "failed")
        if not audience.viewers:
            audience.failed = False
            audience.cursor = None
            audience.due = audience.aside = b""
        return len(leaving)

    def _fail_viewer(self, viewer: Viewer, error: Exception) -> None:
        """Nobody knows what this viewer has got: it is closed, and comes back with its position."""
        audience = viewer.audience
        if not audience.failure_logged:
            audience.failure_logged = True
            log.error("viewer failed and is closed", video=audience.video_id, reason=repr(error), exc_info=error)
        if viewer.index is not None:
            self._close(viewer, "failed")
        else:
            viewer.close()
            self._counts.closes["failed"] += 1

    def _write(self, viewer: Viewer, data: bytes) -> bool:
        """Sends what doesn't stand in the log; what the socket doesn't take becomes the head. True if it took all."""
        try:
            sent = viewer.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(viewer, "reset")
            return False
        self._counts.sent(sent)
        viewer.head = data[sent:]
        if viewer.head:
            self._stall(viewer)
            return False
        return True

    def _continue(self, viewer: Viewer) -> None:
        """The viewer's socket may have room: sends its head, then a chunk of the log. Raises nothing."""
        try:
            if viewer.head and not self._write(viewer, viewer.head):
                return
            if viewer.offset < viewer.audience.log.base:
                moved = viewer.audience.edition.moved(viewer.offset)
                if moved is None:
                    self._behind(viewer)
                    return
                viewer.offset = moved
            if viewer.offset < viewer.audience.log.end:
                self._catch_up(viewer)
        except Exception as error:
            self._fail_viewer(viewer, error)

    def _catch_up(self, viewer: Viewer) -> None:
        """Sends one chunk; if the socket takes it whole and there is more, the next one follows after other work."""
        chunk = viewer.audience.log.read(viewer.offset, self._settings.chunk_bytes)
        try:
            sent = viewer.send(chunk)
        except BlockingIOError:
            self._stall(viewer)
        except OSError:
            self._close(viewer, "reset")
        else:
            self._counts.sent(sent)
            self._advance(viewer, sent, full=sent < len(chunk))

    def _advance(self, viewer: Viewer, sent: int, full: bool) -> None:
        """A write has ended anywhere: keeps the rest of the frame that it cut, so that the offset stands at its end."""
        log = viewer.audience.log
        viewer.offset, viewer.head = log.rest_of_frame(viewer.offset, sent)
        if full:
            self._stall(viewer)
        elif viewer.head or viewer.offset < log.end:
            # A sweep in between would send what stands behind the head before it.
            viewer.paused = Pause.TURN
            viewer.stood_at = viewer.audience.edition.text_at(viewer.offset)
            self._loop.call_soon(self._end_turn, viewer)

    def _end_turn(self, viewer: Viewer) -> None:
        if viewer.paused is Pause.TURN:
            viewer.paused = None
            self._continue(viewer)

    def _stall(self, viewer: Viewer) -> None:
        viewer.paused = Pause.FULL
        if viewer.offset >= viewer.audience.log.base:  # else its head still goes out: it stands where it stood
            viewer.stood_at = viewer.audience.edition.text_at(viewer.offset)
        self._stalled[viewer] = monotonic_ms()

    def _unpause(self, viewer: Viewer) -> None:
        viewer.paused = None
        self._stalled.pop(viewer, None)

    def _behind(self, viewer: Viewer) -> None:
        audience = viewer.audience
        self.detach(viewer)
        audience.on_behind(viewer)

    def _on_events(self) -> None:
        # epoll reports each edge once: if anything here raised, the viewers behind would miss theirs. Nothing does.
        for fd, events in self._epoll.poll(0, VIEWERS_AT_ONCE):
            viewer = self._by_fd.get(fd)
            if viewer is None:
                continue
            if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self._close(viewer, "left")
            elif viewer.paused:
                self._unpause(viewer)
                self._continue(viewer)

    def close_stalled(self, now_ms: int) -> None:
        """Closes the viewers whose sockets have been full for too long. now_ms: of the monotonic clock."""
        since_ms = now_ms - self._settings.stall_ms_max
        for viewer in [viewer for viewer, full_ms in self._stalled.items() if full_ms < since_ms]:
            self._close(viewer, "stalled")

    def detach(self, viewer: Viewer) -> None:
        """Takes the viewer out and leaves its socket open, registered nowhere."""
        self._unpause(viewer)
        index, viewers = viewer.index, viewer.audience.viewers
        assert index is not None
        self.changed.add(viewer.audience.video_id)
        last = viewers.pop()
        if last is not viewer:
            viewers[index] = last
            last.index = index
        viewer.index = None
        del self._by_fd[viewer.fileno()]
        self._epoll.unregister(viewer)

    def close_detached(self, viewer: Viewer, why: str, last_words: bytes) -> None:
        """Closes a viewer that is detached, with some last words as far as its socket takes them."""
        try:
            with contextlib.suppress(OSError):
                viewer.send(viewer.head + last_words)
        finally:
            viewer.close()
            self._counts.closes[why] += 1

    def _close(self, viewer: Viewer, why: str) -> None:
        """Raises nothing."""
        try:
            self.detach(viewer)
        except Exception as error:
            log.error("closing a viewer failed", video=viewer.audience.video_id, reason=repr(error), exc_info=error)
        viewer.close()
        self._counts.closes[why] += 1

    def send_away(self, audience: Audience, leaving: list[Viewer], why: str, last_words: bytes) -> None:
        """Closes these viewers. Those whose sockets take what is due, or who have it already, get some last words."""
        try:
            words = audience.edition.aside(last_words) + audience.edition.last
        except Exception as error:
            log.error("last words failed", video=audience.video_id, reason=repr(error), exc_info=error)
            words = b""
        for viewer in leaving:
            try:
                if viewer.paused is None and viewer.offset != audience.log.end:
                    self._continue(viewer)
                if words and viewer.paused is None and viewer.offset == audience.log.end:
                    with contextlib.suppress(OSError):
                        viewer.send(words)
                if viewer.index is not None:  # else it has gone, or fallen off
                    self._close(viewer, why)
            except Exception as error:
                self._fail_viewer(viewer, error)

    def close(self) -> None:
        """Closes every viewer and the epoll set."""
        for viewer in list(self._by_fd.values()):
            self._close(viewer, "shutdown")
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def statistics(self) -> SweepStatistics:
        lags = (viewer.audience.log.end - viewer.offset for viewer in self._stalled)
        return self._counts.frozen(len(self._by_fd), len(self._stalled), max(lags, default=0))
