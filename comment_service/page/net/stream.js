/**
 * The live stream of one video. It reconnects after every cut.
 *
 * Facts about EventSource (tried in Chromium) that shaped this file:
 * - The service answers 307 to an RMS. After a cut, EventSource asks that same RMS again, for ever, even if it is dead.
 *   So we open a cut stream anew at the original URL, with `last_event_id`. Placement then chooses a living RMS.
 * - An HTTP error status ends it for good, and it shows neither the status nor the reason. So we ask for both with
 *   fetch; `redirect: "manual"` shows whether there is a place, without taking it.
 * - It hides comment lines, which heartbeats are, and a connection that is dead without being closed. So we ask for
 *   heartbeats as events, and open a stream anew that misses them. Elapsed time is taken from two clocks: in sleep
 *   `performance.now()` stands still in some systems, and `Date.now()` can be set back.
 * - Some proxies hold a response back until its end, or until there is much of it. Such a stream doesn't open, or is
 *   silent from its beginning on. Then poll.js asks for the same events from the same position, and a stream is tried
 *   again later.
 *
 * Positions are taken from comments only: when a `gap` arrives, its comments have not been read yet. Until the first
 * comment comes, the position of another event is one where nothing has been missed.
 */
import { EVENT_NAMES, payloadOf } from "../core/events.js";
import { State } from "../core/states.js";
import { t } from "../core/words.js";
import {
  ASK_TIMEOUT_MS, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, FIRST_EVENT_MS, GOOD_STREAM_MS, LOOK_MS, OPEN_TIMEOUT_MS,
  PLACE_TRIES_MAX, POLLING_FIRST_MS, POLLING_MAX_MS, SILENT_HEARTBEATS_MAX,
} from "../limits.js";
import { PollSource } from "./poll.js";
import { ServiceError, errorOf, request, urlOf } from "./request.js";
import { Slot } from "./slot.js";

/** Those that say something about the connection itself */
const OWN_EVENTS = ["heartbeat", "reconnect"];

const Phase = Object.freeze({
  NEW: "new",
  QUEUED: "queued", // for a slot
  PAUSED: "paused", // its slot is given to another tab until this one is seen
  CONNECTING: "connecting",
  LIVE: "live",
  WAITING: "waiting", // for the next try
  ASKING: "asking", // why there is no stream
  REFUSED: "refused", // for good, as far as we know
});

export class Stream {
  #path;
  #handlers;
  #ended = new AbortController();
  #phase = Phase.NEW;
  #slot = new Slot(() => document.hidden && this.#pause());
  #source = null;
  #timer = 0; // for the next step, if nothing else happens before
  #lastId = "";
  #failures = 0;
  #refusals = 0; // by nodes, one after the other
  #openedMs = 0;
  #heard = { wallMs: 0, ms: 0 };
  #silenceMsMax = Infinity;
  #rate; // comments a second at most; null: all
  #polls = false; // streams are held back on the way here
  #pollingMs = POLLING_FIRST_MS; // until a stream is tried again
  #streamAgain = 0; // the timer for that

  /**
   * handlers: onEvent(name, payload), where a comment is named "message", onState({state, reason, delayMs}), onAnew().
   * reason: a sentence if the state is DOWN, REFUSED or TOO_MANY_TABS. delayMs: until the next try, if the state is
   * RECONNECTING or DOWN. onAnew is called when a stream has opened without a position, just before the state is LIVE: it
   * brings the last comments, whatever was missed before them. rate: comments a second at most; null for all
   */
  constructor(video, handlers, rate = null) {
    this.#rate = rate;
    this.#path = `/comments/${encodeURIComponent(video)}`;
    this.#handlers = handlers;
  }

  start() {
    const options = { signal: this.#ended.signal };
    const awake = () => document.hidden || this.#wake(this.#isSilent());
    document.addEventListener("visibilitychange", awake, options);
    document.addEventListener("resume", awake, options); // a frozen tab
    window.addEventListener("pagehide", () => this.#pause(), options); // it may come back, see pageshow
    window.addEventListener("online", () => this.#anotherNetwork(), options);
    window.addEventListener("pageshow", (event) => event.persisted && this.#wake(true), options);
    const looks = setInterval(() => this.#phase === Phase.LIVE && this.#isSilent() && this.#lost(), LOOK_MS);
    this.#ended.signal.addEventListener("abort", () => clearInterval(looks));
    this.#open();
  }

  /** Asks for that many comments a second from now on, from where the stream is. */
  setRate(rate) {
    this.#rate = rate;
    if (this.#phase === Phase.LIVE) this.#open({ quietly: true });
  }

  /** Ends the stream for good. */
  stop() {
    this.#ended.abort();
    clearTimeout(this.#streamAgain);
    this.#close();
    this.#slot.stop();
  }

  /** quietly: the state that the reader sees stays until there is news */
  #open({ quietly = false } = {}) {
    this.#close();
    if (!this.#slot.isHeld) {
      this.#queue();
      return;
    }
    this.#source = this.#polls
      ? new PollSource(this.#path, this.#query(), this.#lastId)
      : new EventSource(urlOf(this.#pathWithQuery()));
    // A server's event that is named "open" or "error" is a MessageEvent, and says nothing about the connection.
    this.#source.onopen = (event) => event instanceof MessageEvent || this.#opened();
    this.#source.onerror = (event) => event instanceof MessageEvent || this.#failed();
    this.#listen(this.#source);
    this.#timer = setTimeout(() => this.#notOpened(), OPEN_TIMEOUT_MS);
    if (quietly) this.#phase = Phase.CONNECTING;
    else this.#enter(Phase.CONNECTING, State.CONNECTING);
  }

  #queue() {
    this.#enter(Phase.QUEUED, State.CONNECTING);
    const none = () => this.#enter(Phase.QUEUED, State.TOO_MANY_TABS, t("too_many_tabs"));
    this.#slot.take(() => this.#open(), none);
  }

  #pause() {
    this.#close();
    this.#slot.release();
    this.#enter(Phase.PAUSED, State.CONNECTING);
  }

  #pathWithQuery() {
    const query = new URLSearchParams({ heartbeat: "event", ...this.#query() });
    if (this.#lastId) query.set("last_event_id", this.#lastId);
    return `${this.#path}?${query}`;
  }

  #query() {
    return this.#rate === null ? {} : { max_rate: this.#rate };
  }

  #listen(source) {
    for (const name of EVENT_NAMES) {
      source.addEventListener(name, (event) => {
        this.#hear();
        this.#keepPosition(name, event.lastEventId);
        const payload = payloadOf(name, event.data);
        if (payload === null) return; // not as agreed: it is lost, and nothing else
        if (OWN_EVENTS.includes(name)) this.#received(name, payload);
        else this.#handlers.onEvent(name, payload);
      });
    }
  }

  #keepPosition(name, position) {
    if (name === "message" && position) this.#lastId = position;
    else if (name !== "gap") this.#lastId ||= position;
  }

  #received(name, { everyMs, delayMs }) {
    if (name === "heartbeat") {
      this.#silenceMsMax = SILENT_HEARTBEATS_MAX * everyMs;
      return;
    }
    this.#close();
    this.#openIn(delayMs * (0.5 + Math.random()), State.RECONNECTING); // every viewer gets the same number
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#hear();
    this.#openedMs = performance.now();
    this.#refusals = 0;
    this.#silenceMsMax = FIRST_EVENT_MS; // a heartbeat comes first, and says how often they come
    if (!this.#lastId) this.#handlers.onAnew();
    this.#enter(Phase.LIVE, State.LIVE);
  }

  #hear() {
    this.#heard = { wallMs: Date.now(), ms: performance.now() };
  }

  #isSilent() {
    const { wallMs, ms } = this.#heard;
    return Math.max(Date.now() - wallMs, performance.now() - ms) > this.#silenceMsMax;
  }

  /** The stream is dead, though nobody has closed it; or it has been held back from its beginning on. */
  #lost() {
    const isAwake = performance.now() - this.#heard.ms > this.#silenceMsMax;
    if (isAwake && !this.#polls && this.#heard.ms - this.#openedMs < GOOD_STREAM_MS) {
      this.#poll();
      return;
    }
    this.#close();
    this.#failures = 0;
    this.#openIn(this.#backoffMs(), State.RECONNECTING);
  }

  #poll() {
    this.#polls = true;
    clearTimeout(this.#streamAgain);
    this.#streamAgain = setTimeout(() => {
      this.#polls = false;
      if (this.#phase === Phase.LIVE) this.#open();
    }, this.#pollingMs);
    this.#pollingMs = Math.min(POLLING_MAX_MS, 2 * this.#pollingMs);
    this.#open();
  }

  #anotherNetwork() {
    this.#polls = false;
    this.#pollingMs = POLLING_FIRST_MS;
    this.#wake(true);
  }

  /** Called when the stream is cut, refused or gets an error. After the first cut of a good stream, just reconnect. */
  #failed() {
    if (this.#phase === Phase.WAITING) return; // EventSource's own retry has failed as well; ours follows soon
    if (this.#source.readyState === EventSource.CLOSED) this.#refusals += 1;
    if (this.#phase !== Phase.LIVE) this.#polls = false; // polling doesn't help either
    if (this.#phase === Phase.LIVE && performance.now() - this.#openedMs > GOOD_STREAM_MS) this.#failures = 0;
    if (this.#phase === Phase.LIVE && this.#failures === 0 && this.#source.readyState !== EventSource.CLOSED) {
      this.#openIn(this.#backoffMs(), State.RECONNECTING); // before that EventSource may reconnect by itself
    } else {
      this.#askWhy();
    }
  }

  #notOpened() {
    this.#slot.ask(); // perhaps the browser has no connection left
    if (!this.#polls) {
      this.#poll();
      return;
    }
    this.#polls = false;
    this.#askWhy();
  }

  async #askWhy() {
    this.#close();
    this.#phase = Phase.ASKING;
    const error = (await this.#refusal()) ?? this.#unreachable();
    if (this.#ended.signal.aborted || this.#phase !== Phase.ASKING) return; // reopened meanwhile
    if (error?.isTemporary === false && !this.#lastId) {
      if (error.status === 404) this.#enter(Phase.REFUSED, State.NO_VIDEO, t("video_unknown"));
      else this.#enter(Phase.REFUSED, State.REFUSED, error.message);
      return;
    }
    if (error?.isTemporary === false) this.#lastId = ""; // perhaps it is the position that they don't like
    const delayMs = Math.max(this.#backoffMs(), error?.retryAfterMs ?? 0);
    this.#openIn(delayMs, error ? State.DOWN : State.RECONNECTING, error?.message);
  }

  /**
   * Why the service gives no place, as a ServiceError; null if there is a place to connect to. If more than one node has
   * refused us: what a node says.
   */
  async #refusal() {
    const headers = { accept: "text/event-stream" };
    const redirect = this.#refusals > 1 ? "follow" : "manual";
    const options = { headers, redirect, signal: this.#ended.signal, timeoutMs: ASK_TIMEOUT_MS };
    try {
      const response = await request(this.#pathWithQuery(), options);
      if (response.type === "opaqueredirect") return null;
      if (!response.ok) return await errorOf(response);
      await response.body.cancel(); // it was a stream, without a redirect
      return null;
    } catch (error) {
      return error;
    }
  }

  /** There is a place that can't be reached. Null at first: the dispatcher may soon notice that it is dead. */
  #unreachable() {
    return this.#failures < PLACE_TRIES_MAX ? null : new ServiceError(t("live_server_silent"));
  }

  /** Doubles with each failure. Jittered, so that an RMS's viewers do not all reconnect at the same time. */
  #backoffMs() {
    const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return ms * (0.5 + Math.random() / 2);
  }

  #openIn(delayMs, state, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), delayMs);
    this.#enter(Phase.WAITING, state, reason, delayMs);
  }

  /** Reconnects at once: the person or the network is back. `stale`: also replace a stream that looks alive. */
  #wake(stale) {
    if (!stale && ![Phase.WAITING, Phase.REFUSED, Phase.PAUSED].includes(this.#phase)) return;
    this.#failures = 0;
    this.#open();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #enter(phase, state, reason = "", delayMs = 0) {
    this.#phase = phase;
    this.#handlers.onState({ state, reason, delayMs });
  }
}
