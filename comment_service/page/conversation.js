/** Joins one video's live stream, older pages and view into one list of comments. */
import { firstIdAt, timeOf } from "./core/ids.js";
import { Pace } from "./core/pace.js";
import { State } from "./core/states.js";
import { Timeline, noticeId } from "./core/timeline.js";
import { t } from "./core/words.js";
import {
  ARRIVAL_WINDOW_MS, BACKFILL_MS, GAP_PAGES_MAX, GAP_PAGE_SIZE, HELD_DROP, HELD_MAX, LOOK_MS, PAGE_RETRY_FIRST_MS,
  PAGE_RETRY_MAX_MS, PAGE_SIZE,
} from "./limits.js";
import { History } from "./net/history.js";
import { Stream } from "./net/stream.js";
import { Posting } from "./posting.js";
import { View } from "./view/follow.js";

export class Conversation {
  #ended = new AbortController();
  #timeline = new Timeline(HELD_MAX, HELD_DROP);
  #history;
  #stream;
  #view;
  #posting;
  #pace = new Pace(Math.random(), performance.now());
  #handlers;
  #cursor = undefined; // of the next older page; undefined: no page has been loaded yet
  #complete = false; // the first comment has been loaded
  #loading = false;
  #starts = 0; // how often loading older pages has begun anew
  #backfilled = false; // the stream has sent its backfill, or there is no stream

  /** handlers: onState as Stream calls it, onViewers(count), onVideo(record), onGivenUp(post), reader(): the reader's name. */
  constructor(video, handlers) {
    this.#handlers = handlers;
    this.#history = new History(video, this.#ended.signal);
    this.#posting = new Posting(video, {
      onChange: () => this.#view.showPosts(this.#posting.shown),
      onStored: (comment) => {
        this.#arrived(comment, { isOwn: true });
        this.#view.isMine(comment.id); // the stream may have brought it before
      },
    });
    this.#view = new View(this.#timeline, {
      onOlder: () => this.#loadOlder(),
      onNewest: () => this.#reattach(),
      onRetry: (key) => this.#posting.retry(key),
      onGiveUp: (post) => this.#posting.takeBack(post.key) && handlers.onGivenUp(post),
      isMine: (comment) => this.#posting.isMine(comment),
      reader: handlers.reader,
    });
    this.#stream = new Stream(video, {
      onEvent: (name, payload) => this.#received(name, payload),
      onState: (state) => this.#stateChanged(state),
      onAnew: () => this.#openedAnew(),
    });
    this.#stream.start();
    this.#posting.start();
    const looks = setInterval(() => this.#look(), LOOK_MS);
    this.#ended.signal.addEventListener("abort", () => clearInterval(looks));
  }

  stop() {
    this.#ended.abort();
    this.#stream.stop();
    this.#posting.stop();
    this.#view.stop();
  }

  /** Shows the reader's comment at once, and sends it. key: of a post that was given up and is the same. Returns its key. */
  write(name, text, key) {
    this.#view.follow();
    return this.#posting.write(name, text, key);
  }

  /** Holds a post back. False if it is too late for that. */
  takeBack(key) {
    return this.#posting.takeBack(key);
  }

  /** Shows the newest comments from now on. */
  follow() {
    this.#view.follow();
  }

  #look() {
    const nowMs = performance.now();
    if (this.#pace.changes(nowMs)) this.#stream.setRate(this.#pace.rate);
    this.#view.showPace(this.#pace.perSecond(nowMs));
  }

  #stateChanged(state) {
    this.#handlers.onState(state);
    if (this.#backfilled || state.state === State.CONNECTING) return;
    // The stream brings the backfill. History is asked only for what is missing after that, or if there is no stream.
    setTimeout(() => {
      if (this.#ended.signal.aborted) return;
      this.#backfilled = true;
      this.#view.watchEdges();
    }, state.state === State.LIVE ? BACKFILL_MS : 0);
  }

  /** The stream brings the last comments only. Those between what is shown and them come from history. */
  #openedAnew() {
    if (!this.#backfilled || this.#timeline.detached) return; // nothing is shown yet; or nothing newer can be
    const newestId = this.#timeline.newestId();
    if (newestId === undefined) {
      this.#loadFrom(undefined);
      setTimeout(() => this.#view.watchEdges(), BACKFILL_MS);
    } else {
      this.#fillGap(newestId, null);
    }
  }

  #arrived(comment, { isOwn = false } = {}) {
    const { detached } = this.#timeline;
    if (!this.#timeline.add(comment) && !detached) return;
    if (!isOwn) this.#posting.arrived(comment);
    if (this.#backfilled) this.#pace.arrived(performance.now());
    this.#bound();
    this.#view.arrived(comment, this.#backfilled && !isOwn);
    this.#changed();
  }

  /** To be called when the timeline has changed. */
  #changed() {
    if (this.#complete) this.#view.showAbove(this.#beginning());
    this.#view.changed();
  }

  /** The next older page is the one below that cursor; undefined: below the oldest comment that is shown then. */
  #loadFrom(cursor) {
    this.#cursor = cursor;
    this.#complete = false;
    this.#starts += 1;
    this.#view.showAbove("");
  }

  #bound() {
    if (!this.#timeline.bound(this.#view.start)) return;
    this.#loadFrom(this.#timeline.oldestId()); // what was dropped is loaded again from history
  }

  #received(name, payload) {
    if (name === "message") this.#arrived(payload);
    else if (name === "viewers") this.#handlers.onViewers(payload.viewers);
    else if (name === "video") this.#handlers.onVideo(payload);
    else if (name === "deleted") this.#timeline.remove(payload.id);
    else if (name === "restored") this.#restored(payload);
    else if (name === "author_purged") this.#timeline.removeAuthor(payload.authorId, payload.upTo);
    else if (name === "gap") this.#fillGap(payload.from ?? "", payload.to);
    else if (name === "skipped") this.#pace.skipped(payload.skipped, performance.now());
    if (name !== "message") this.#changed();
  }

  /** It comes back to its place, unless that lies before what has been loaded: then its page brings it. */
  #restored(comment) {
    this.#timeline.restore(comment.id);
    const oldestId = this.#timeline.oldestId();
    if (this.#complete || (oldestId !== undefined && comment.id > oldestId)) this.#timeline.add(comment);
  }

  async #loadOlder() {
    if (this.#loading || this.#complete || !this.#backfilled) return;
    this.#loading = true;
    this.#view.showAbove(t("older_loading"));
    const start = this.#starts;
    try {
      const page = await this.#pageWithRetries(this.#cursor ?? this.#timeline.cursorBelowBackfill());
      if (this.#starts === start) this.#addOlder(page); // else something between it and what is shown may be missing
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      return; // the page shows another video now
    }
    this.#loading = false;
    this.#view.extendUp();
  }

  #addOlder(page) {
    for (const comment of page.comments) this.#timeline.add(comment);
    this.#cursor = page.nextCursor;
    this.#complete = page.nextCursor === null;
    this.#view.showAbove(this.#beginning());
    this.#bound();
  }

  #beginning() {
    if (!this.#complete) return "";
    const empty = this.#timeline.oldestId() === undefined;
    return t(empty ? "empty" : "beginning");
  }

  /** Tries until it gets a page, and shows why there is none yet. */
  async #pageWithRetries(cursor) {
    for (let delayMs = PAGE_RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, PAGE_RETRY_MAX_MS)) {
      try {
        return await this.#history.page(cursor, PAGE_SIZE);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        this.#view.showAbove(t("older_failed", { reason: error.message }));
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

  /** Loads what the stream could not send. If not all of it can be loaded, a notice takes its place. */
  async #fillGap(fromId, toId) {
    // The gap begins behind a position. Late comments from shortly before that position may be missing, too.
    const lowestId = fromId && firstIdAt(timeOf(fromId) - ARRIVAL_WINDOW_MS);
    const take = (comments) => {
      for (const comment of comments) this.#timeline.add(comment);
      this.#bound();
      this.#changed();
    };
    let rest;
    try {
      rest = await this.#history.between(lowestId, toId, GAP_PAGE_SIZE, GAP_PAGES_MAX, take);
    } catch {
      return; // the page shows another video now
    }
    if (rest !== null) this.#showGap(fromId, rest.cursor);
  }

  #showGap(fromId, toId) {
    const id = noticeId(fromId, "gap");
    const fill = () => {
      this.#timeline.remove(id);
      this.#fillGap(fromId, toId);
      this.#view.changed();
    };
    this.#timeline.add({ id, text: t("gap"), action: { label: t("gap_load"), run: fill } });
    this.#view.changed();
  }

  /** Begins anew at the newest comments if they were dropped. */
  #reattach() {
    if (!this.#timeline.detached) return;
    this.#timeline.clear();
    this.#loadFrom(undefined);
    this.#view.watchEdges();
  }
}
