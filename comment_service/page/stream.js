/**
 * The live stream of one video. It reconnects after every cut.
 *
 * Facts about EventSource (tried in Chromium) that shaped this file:
 * - The service answers 307 to an RMS. After a cut, EventSource asks that same RMS again, for ever, even if it is dead.
 *   So we open a cut stream anew at the original URL, with `last_event_id`. Placement then chooses a living RMS.
 * - An HTTP error status ends it for good, and it shows neither the status nor the reason. So we ask for both with
 *   fetch; `redirect: "manual"` shows whether there is a place, without taking it.
 * - It shows neither heartbeats nor a dead connection. So a page that was hidden for long opens a new stream.
 *
 * Positions are taken from comments only: when a `gap` arrives, its comments have not been read yet.
 */
import {
  ASK_TIMEOUT_MS, ASLEEP_MS, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, GOOD_STREAM_MS, OPEN_TIMEOUT_MS,
  PLACE_TRIES_MAX,
} from "./limits.js";
import { ServiceError, errorOf, request } from "./request.js";

const NAMED_EVENTS = ["gap", "skipped", "viewers", "deleted", "restored", "author_purged"];

/** What the reader sees of the connection */
export const State = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  RECONNECTING: "reconnecting",
  DOWN: "down",
});

const Phase = Object.freeze({
  NEW: "new",
  CONNECTING: "connecting",
  LIVE: "live",
  WAITING: "waiting", // for the next try
  ASKING: "asking", // why there is no stream
});

export class Stream {
  #path;
  #handlers;
  #ended = new AbortController();
  #phase = Phase.NEW;
  #source = null;
  #timer = 0; // for the next step, if nothing else happens before
  #lastId = "";
  #failures = 0;
  #openedMs = 0;
  #heardMs = 0;

  /**
   * handlers: onComment(comment), onEvent(name, payload), onState({state, reason, delayMs}). reason: a sentence if the
   * state is DOWN. delayMs: until the next try, if the state is RECONNECTING or DOWN.
   */
  constructor(video, handlers) {
    this.#path = `/comments/${encodeURIComponent(video)}`;
    this.#handlers = handlers;
  }

  start() {
    const options = { signal: this.#ended.signal };
    let hiddenMs = 0;
    const visible = () => {
      const now = performance.now();
      if (document.hidden) hiddenMs = now;
      else this.#wake(now - Math.max(hiddenMs, this.#heardMs) > ASLEEP_MS);
    };
    document.addEventListener("visibilitychange", visible, options);
    window.addEventListener("online", () => this.#wake(true), options);
    window.addEventListener("pageshow", (event) => event.persisted && this.#wake(true), options);
    this.#open();
  }

  /** Ends the stream for good. */
  stop() {
    this.#ended.abort();
    this.#close();
  }

  #open() {
    this.#close();
    const query = this.#lastId ? `?${new URLSearchParams({ last_event_id: this.#lastId })}` : "";
    this.#source = new EventSource(this.#path + query);
    this.#source.onopen = () => this.#opened();
    this.#source.onerror = () => this.#failed();
    this.#listen(this.#source);
    this.#timer = setTimeout(() => this.#askWhy(), OPEN_TIMEOUT_MS);
    this.#enter(Phase.CONNECTING, State.CONNECTING);
  }

  #listen(source) {
    const parse = (event) => {
      this.#heardMs = performance.now();
      return JSON.parse(event.data);
    };
    source.onmessage = (event) => {
      const comment = parse(event);
      if (event.lastEventId) this.#lastId = event.lastEventId;
      this.#handlers.onComment(comment);
    };
    for (const name of NAMED_EVENTS) {
      source.addEventListener(name, (event) => this.#handlers.onEvent(name, parse(event)));
    }
    source.addEventListener("reconnect", (event) => {
      const delayMs = Number(parse(event).delay_ms) || 0;
      this.#close();
      this.#openIn(delayMs * (0.5 + Math.random()), State.RECONNECTING); // every viewer gets the same number
    });
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedMs = this.#heardMs = performance.now();
    this.#enter(Phase.LIVE, State.LIVE);
  }

  /** Called when the stream is cut, refused or gets an error. After the first cut of a good stream, just reconnect. */
  #failed() {
    if (this.#phase === Phase.WAITING) return; // EventSource's own retry has failed as well; ours follows soon
    if (this.#phase === Phase.LIVE && performance.now() - this.#openedMs > GOOD_STREAM_MS) this.#failures = 0;
    if (this.#phase === Phase.LIVE && this.#failures === 0 && this.#source.readyState !== EventSource.CLOSED) {
      this.#openIn(this.#backoffMs(), State.RECONNECTING); // before that EventSource may reconnect by itself
    } else {
      this.#askWhy();
    }
  }

  async #askWhy() {
    this.#close();
    this.#phase = Phase.ASKING;
    const error = (await this.#refusal()) ?? this.#unreachable();
    if (this.#ended.signal.aborted || this.#phase !== Phase.ASKING) return; // reopened meanwhile
    const delayMs = Math.max(this.#backoffMs(), error?.retryAfterMs ?? 0);
    this.#openIn(delayMs, error ? State.DOWN : State.RECONNECTING, error?.message);
  }

  /** Why the service gives no place, as a ServiceError; null if there is a place to connect to */
  async #refusal() {
    const headers = { accept: "text/event-stream" };
    const options = { headers, redirect: "manual", signal: this.#ended.signal, timeoutMs: ASK_TIMEOUT_MS };
    try {
      const response = await request(this.#path, options);
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
    return this.#failures < PLACE_TRIES_MAX ? null : new ServiceError("The live server does not answer.");
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
    if (!stale && this.#phase !== Phase.WAITING) return;
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
