/** One video's talk as the page shows it: joins the live stream, the older pages and the view. */
import { firstIdAt, timeOf } from "./ids.js";
import { History } from "./history.js";
import {
  ARRIVAL_WINDOW_MS, BACKFILL_MS, GAP_PAGES_MAX, GAP_PAGE_SIZE, HELD_DROP, HELD_MAX, PAGE_RETRY_FIRST_MS,
  PAGE_RETRY_MAX_MS, PAGE_SIZE,
} from "./limits.js";
import { Stream } from "./stream.js";
import { Timeline, noticeId } from "./timeline.js";
import { View } from "./view.js";

export class Room {
  #ended = new AbortController();
  #timeline = new Timeline(HELD_MAX, HELD_DROP);
  #history;
  #stream;
  #view;
  #onViewers;
  #onState;
  #cursor = undefined; // of the next older page; undefined: none has been loaded yet; null: the beginning is here
  #loading = false;
  #backfilled = false;

  /** handlers: onState as of Stream, onViewers(count). */
  constructor(video, { onState, onViewers }) {
    this.#onState = onState;
    this.#onViewers = onViewers;
    this.#history = new History(video, this.#ended.signal);
    this.#view = new View(this.#timeline, { onOlder: () => this.#loadOlder(), onNewest: () => this.#reattach() });
    this.#stream = new Stream(video, {
      onComment: (comment) => this.#arrived(comment),
      onEvent: (name, payload) => this.#happened(name, payload),
      onState: (state) => this.#streamIs(state),
    });
    this.#stream.start();
  }

  stop() {
    this.#ended.abort();
    this.#stream.stop();
    this.#view.stop();
  }

  /** The reader's own comment has been accepted: show it, whether the stream brings it soon or late. */
  posted(comment) {
    this.#view.follow();
    this.#arrived(comment);
  }

  #streamIs(state) {
    this.#onState(state);
    if (this.#backfilled || state.state === "connecting") return;
    // The backfill comes with the stream; only what is still missing then, or without a stream, is asked of history.
    setTimeout(() => {
      if (this.#ended.signal.aborted) return;
      this.#backfilled = true;
      this.#view.watchEdges();
    }, state.state === "live" ? BACKFILL_MS : 0);
  }

  #arrived(comment) {
    const { detached } = this.#timeline;
    if (!this.#timeline.add(comment) && !detached) return;
    this.#bound();
    this.#view.arrived();
  }

  #bound() {
    if (!this.#timeline.bound(this.#view.start)) return;
    this.#cursor = this.#timeline.oldestId(); // what was dropped comes again from history
    this.#view.sayAbove("");
  }

  #happened(name, payload) {
    if (name === "viewers") this.#onViewers(payload.viewers);
    else if (name === "deleted") this.#timeline.remove(payload.id);
    else if (name === "gap") this.#fillGap(payload.from ?? "", payload.to);
    else if (name === "skipped") this.#saySkipped(payload.skipped);
    this.#view.changed();
  }

  #saySkipped(count) {
    const id = noticeId(this.#timeline.newestId() ?? "", `skipped ${count}`);
    this.#timeline.add({ id, text: `${count} comments were skipped to keep the talk readable.` });
  }

  async #loadOlder() {
    if (this.#loading || this.#cursor === null || !this.#backfilled) return;
    this.#loading = true;
    this.#view.sayAbove("Loading older comments…");
    const before = this.#cursor;
    try {
      const page = await this.#pageWithRetries(before ?? this.#timeline.cursorBelowBackfill());
      if (this.#cursor === before) this.#takeOlder(page); // else its place has been dropped meanwhile
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      return; // the reader has left the room
    }
    this.#loading = false;
    this.#view.extendUp();
  }

  #takeOlder(page) {
    for (const comment of page.comments) this.#timeline.add(comment);
    this.#cursor = page.nextCursor;
    this.#view.sayAbove(this.#beginning());
    this.#bound();
  }

  #beginning() {
    if (this.#cursor !== null) return "";
    return this.#timeline.entries.length ? "This is the beginning of the talk." : "No comments yet. Say the first word.";
  }

  /** Tries until there is a page; says why there is none yet. */
  async #pageWithRetries(cursor) {
    for (let delayMs = PAGE_RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, PAGE_RETRY_MAX_MS)) {
      try {
        return await this.#history.page(cursor, PAGE_SIZE);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        this.#view.sayAbove(`Older comments can't be loaded: ${error.message} Trying again…`);
        await this.#pause(Math.max(delayMs, error.retryAfterMs ?? 0));
      }
    }
  }

  #pause(delayMs) {
    const { signal } = this.#ended;
    return new Promise((resolve, reject) => {
      setTimeout(() => (signal.aborted ? reject(signal.reason) : resolve()), delayMs);
    });
  }

  /** Loads what the stream could not bring; where even that does not suffice, a notice stands in its place. */
  async #fillGap(fromId, toId) {
    // The gap begins behind a position, and near that one, too, late comments may be missing.
    const floor = fromId && firstIdAt(timeOf(fromId) - ARRIVAL_WINDOW_MS);
    const take = (comments) => {
      for (const comment of comments) this.#timeline.add(comment);
      this.#bound();
      this.#view.changed();
    };
    let rest;
    try {
      rest = await this.#history.between(floor, toId, GAP_PAGE_SIZE, GAP_PAGES_MAX, take);
    } catch {
      return; // the reader has left the room
    }
    if (rest !== null) this.#sayGap(fromId, rest.cursor);
  }

  #sayGap(fromId, toId) {
    const id = noticeId(fromId, "gap");
    const fill = () => {
      this.#timeline.remove(id);
      this.#fillGap(fromId, toId);
      this.#view.changed();
    };
    this.#timeline.add({ id, text: "Some comments could not be shown.", action: { label: "Load them", run: fill } });
    this.#view.changed();
  }

  /** The newest end had been dropped: begin anew there. */
  #reattach() {
    if (!this.#timeline.detached) return;
    this.#timeline.clear();
    this.#cursor = undefined;
    this.#view.watchEdges();
  }
}
