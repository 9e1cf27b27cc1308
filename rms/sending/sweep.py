"""The only writer to viewers' sockets: whoever stands behind the end of its video's log is sent the rest.

Some facts, and what they mean here:
- The kernel's send() is the cost; a task, a queue or an allocation for each viewer would be several times
  that. So a viewer is a file descriptor and an offset, and a sweep is a loop over a list. What arrives during a sweep
  goes with the next one: under load one send carries many comments, and a quiet video waits for nothing.
- A loop that sends for long starves gRPC and the joins. So a sweep stops after some milliseconds and lets the event
  loop run once before it goes on.
- A send can be cut short anywhere. The rest of that frame is kept with the viewer (its `head`), so that its offset
  always stands at a frame's end, and the log can be trimmed without asking anybody.
- An edge-triggered EPOLLOUT comes once after a send was cut short or refused, when there is room again. So sockets that
  are never full cost no epoll_ctl and no wake-up, and a full one costs nothing until it has room.
- An epoll set is itself a file descriptor: the event loop watches that one, and 19,000 sockets cost it nothing.
- epoll knows open file descriptions, not numbers: closing a number whose description lives on elsewhere leaves an entry
  that nobody can remove. So a viewer is always deregistered before its number is closed, and the take-over
  (rms/http/handoff.py) hands in a number that is registered nowhere else.
"""

import asyncio
import contextlib
import select
import socket
import time
from collections import Counter, deque

from rms.clocks import monotonic_ms, wall_ms
from rms.config import RmsSettings
from rms.feed.byte_log import EditionOffset
from rms.sending.audience import WAITS, Audience, Viewer
from rms.sending.sweep_counts import SweepCounts, SweepStatistics

VIEWERS_AT_ONCE = 64
"""between two looks at the clock: half a millisecond"""


class Sweeper:
    """Call `add` with a taken-over socket and `publish` when a log has grown; the rest goes by itself."""

    def __init__(self, settings: RmsSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._loop = loop
        self._epoll = select.epoll()
        self._by_fd: dict[int, Viewer] = {}
        self._dirty: deque[Audience] = deque()
        self._queued: set[int] = set()  # ids of the audiences in _dirty
        self._scheduled = False
        self._stalled: set[Viewer] = set()
        self._counts = SweepCounts()
        loop.add_reader(self._epoll.fileno(), self._on_events)

    def __len__(self) -> int:
        return len(self._by_fd)

    def add(self, viewer: Viewer) -> None:
        """The viewer's socket is open and known to nobody else. Its first bytes go out now.

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
        if audience.viewers and id(audience) not in self._queued:
            self._queued.add(id(audience))
            self._dirty.append(audience)
            self._schedule()

    def tell(self, audience: Audience, data: bytes) -> None:
        """Gives `data`, whole lines, to every viewer whose socket has room, beside what is still due: it is for now,
        and stands in no log. What nobody may miss belongs there."""
        if audience.viewers:
            audience.due += data
        self.publish(audience)

    def _schedule(self) -> None:
        if not self._scheduled and self._dirty:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        self._scheduled = False
        began_s = now_s = time.perf_counter()
        end_s, visits = began_s + self._settings.slice_ms / 1_000, 0
        while self._dirty and now_s < end_s:
            audience = self._dirty[0]
            visits += self._sweep(audience)
            if audience.cursor < 0:
                self._dirty.popleft()
                self._queued.discard(id(audience))
                if audience.viewers and (audience.swept_to != audience.log.end or audience.due):
                    self.publish(audience)
            now_s = time.perf_counter()
        self._counts.slice((now_s - began_s) * 1_000, visits)
        self._schedule()

    def _sweep(self, audience: Audience) -> int:
        """Goes on with the audience's sweep, or begins one. Returns how many viewers it has come by."""
        viewers, log = audience.viewers, audience.log
        # What has come since the last time is taken along: nobody waits for more than one round.
        audience.edition.update(wall_ms())
        target = log.end
        if audience.cursor < 0:
            audience.cursor = len(viewers) - 1
            audience.swept_to = target
            audience.aside, audience.due = audience.due, b""
        aside = audience.edition.aside(audience.aside) if audience.aside else b""
        chunks: dict[EditionOffset, bytes] = {}  # made once for each distinct offset, not for each viewer
        whole: Counter[EditionOffset] = Counter()  # how many viewers took all that there was for them, by their offset
        chunk_bytes, base, end = self._settings.chunk_bytes, log.base, target + len(aside)
        # Nearly all viewers stand at the same offset: what holds for them is looked up when the offset changes.
        common, chunk, rest = target, aside, len(aside)
        takers = bytes_sent = sends = 0
        # Viewers can leave while we go: the last of the list takes the place of the one that leaves.
        cursor = first = min(audience.cursor, len(viewers) - 1)
        stop = max(cursor - VIEWERS_AT_ONCE, -1)
        while cursor > stop:
            viewer = viewers[cursor]
            cursor -= 1
            offset = viewer.offset
            if viewer.stalled_ms or (offset == target and not aside):
                continue
            if offset != common:
                if offset < base:
                    viewer.stood_at = (
                        None  # nobody can say it any more: what it was when the socket was full is long ago
                    )
                    self._behind(viewer)
                    continue
                whole[common] += takers
                common, takers, rest = offset, 0, end - offset
                if offset not in chunks:
                    chunk = log.read(offset, chunk_bytes)
                    if offset + len(chunk) == target:
                        chunk += aside
                    chunks[offset] = chunk
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
        audience.cursor = cursor
        whole[common] += takers
        self._counts.sends += sends
        self._counts.bytes += bytes_sent
        self._counts.deliveries += sum(count * log.frames(at, target) for at, count in whole.items() if count)
        if cursor < 0:
            audience.sent_ms = monotonic_ms()
        return first - cursor

    def _write(self, viewer: Viewer, data: bytes) -> bool:
        """Writes bytes that don't stand in the log; what can't be sent now becomes the head. True if all went out."""
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
        """The viewer's socket may have room: its head first, then the next sweep takes it along."""
        if viewer.head and not self._write(viewer, viewer.head):
            return
        if viewer.offset < viewer.audience.log.base:
            self._behind(viewer)
        elif viewer.offset < viewer.audience.log.end:
            self._catch_up(viewer)

    def _catch_up(self, viewer: Viewer) -> None:
        """One chunk at once; if it takes that and wants more, it comes again after others had their turn."""
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
        """A write has ended anywhere: keep the rest of the frame that it cut, so that the offset stands at its end."""
        log = viewer.audience.log
        viewer.offset, viewer.head = log.rest_of_frame(viewer.offset, sent)
        if full:
            self._stall(viewer)
        elif viewer.head or viewer.offset < log.end:
            # Until then no sweep may come by: it would send what stands behind the head, before it.
            viewer.stalled_ms = WAITS
            viewer.stood_at = viewer.audience.edition.position_at(viewer.offset)
            self._loop.call_soon(self._end_wait, viewer)

    def _end_wait(self, viewer: Viewer) -> None:
        if viewer.stalled_ms == WAITS and self._by_fd.get(viewer.fileno()) is viewer:
            viewer.stalled_ms = 0
            self._continue(viewer)

    def _stall(self, viewer: Viewer) -> None:
        viewer.stalled_ms = monotonic_ms()
        viewer.stood_at = viewer.audience.edition.position_at(viewer.offset)
        self._stalled.add(viewer)

    def _unstall(self, viewer: Viewer) -> None:
        viewer.stalled_ms = 0
        self._stalled.discard(viewer)

    def _behind(self, viewer: Viewer) -> None:
        audience = viewer.audience
        self.detach(viewer)
        audience.on_behind(viewer)

    def _on_events(self) -> None:
        for fd, events in self._epoll.poll(0, VIEWERS_AT_ONCE):
            viewer = self._by_fd.get(fd)
            if viewer is None:
                continue
            if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self._close(viewer, "left")
            elif viewer.stalled_ms:
                self._unstall(viewer)
                self._continue(viewer)

    def close_stalled(self, now_ms: int) -> None:
        """Lets go of viewers whose sockets have been full for too long."""
        for viewer in list(self._stalled):
            if now_ms - viewer.stalled_ms > self._settings.stall_ms_max:
                self._close(viewer, "stalled")

    def detach(self, viewer: Viewer) -> None:
        """Forgets the viewer and leaves its socket open, registered nowhere."""
        self._unstall(viewer)
        del self._by_fd[viewer.fileno()]
        self._epoll.unregister(viewer)
        viewers = viewer.audience.viewers
        last = viewers.pop()
        if last is not viewer:
            viewers[viewer.index] = last
            last.index = viewer.index
        viewer.index = -1

    def let_go(self, viewer: Viewer, why: str, last_words: bytes) -> None:
        """Closes a viewer that is detached, with some last words as far as its socket takes them."""
        with contextlib.suppress(OSError):
            viewer.send(viewer.head + last_words)
        viewer.close()
        self._counts.closes[why] += 1

    def _close(self, viewer: Viewer, why: str) -> None:
        self.detach(viewer)
        viewer.close()
        self._counts.closes[why] += 1

    def close_some(self, audience: Audience, count: int, why: str, last_words: bytes) -> int:
        """Closes up to `count` viewers; those that have read everything get some last words. Returns how many."""
        leaving = audience.viewers[: -count - 1 : -1]
        words = audience.edition.aside(last_words)
        for viewer in leaving:
            if not viewer.stalled_ms and viewer.offset == audience.log.end:
                with contextlib.suppress(OSError):
                    viewer.send(words)
            self._close(viewer, why)
        return len(leaving)

    def close(self) -> None:
        """Closes every viewer and the epoll set."""
        for viewer in list(self._by_fd.values()):
            self._close(viewer, "shutdown")
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def statistics(self) -> SweepStatistics:
        lags = (viewer.audience.log.end - viewer.offset for viewer in self._stalled)
        return self._counts.frozen(len(self._by_fd), len(self._stalled), max(lags, default=0))
