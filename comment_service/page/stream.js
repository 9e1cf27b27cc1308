/**
 * The live stream of one video, kept alive.
 *
 * Facts about EventSource (tried in Chromium) that shaped this file:
 * - The service answers 307 to an RMS. After a cut EventSource asks that RMS again, for ever, also when it is dead. So a
 *   cut stream is opened anew at the original URL, with `last_event_id`: placement then chooses a living RMS.
 * - An HTTP error status ends it for good and tells neither the status nor the reason. So these are asked for with fetch;
 *   `redirect: "manual"` answers whether there is a place without taking it.
 * - It shows neither heartbeats nor a dead connection. So a page that slept long comes back with a new stream.
 *
 * Positions are taken from comments only: what a `gap` announces has not been read yet when it is announced.
 */
import { Refusal, ask, refusalOf } from "./answers.js";
import {
  ASK_TIMEOUT_MS, ASLEEP_MS, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, GOOD_STREAM_MS, OPEN_TIMEOUT_MS,
  PLACE_TRIES_MAX,
} from "./limits.js";

const NAMED_EVENTS = ["gap", "skipped", "viewers", "deleted"];

export class Stream {
  #path;
  #handlers;
  #ended = new AbortController();
  #phase = ""; // connecting, live, waiting (for the next try), asking (why there is none)
  #source = null;
  #timer = 0; // what comes next if nothing else happens
  #lastId = "";
  #failures = 0;
  #openedMs = 0;
  #heardMs = 0;

  /**
   * handlers: onComment(comment), onEvent(name, payload), and onState({state, reason, delayMs}) with state connecting,
   * live, reconnecting (in delayMs) or down (reason says why; tries again in delayMs).
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

  /** For good */
  stop() {
    this.#ended.abort();
    this.#letGo();
  }

  #open() {
    this.#letGo();
    const query = this.#lastId ? `?${new URLSearchParams({ last_event_id: this.#lastId })}` : "";
    this.#source = new EventSource(this.#path + query);
    this.#source.onopen = () => this.#opened();
    this.#source.onerror = () => this.#failed();
    this.#listen(this.#source);
    this.#timer = setTimeout(() => this.#askWhy(), OPEN_TIMEOUT_MS);
    this.#tell("connecting", "connecting");
  }

  #listen(source) {
    const heard = (event) => {
      this.#heardMs = performance.now();
      return JSON.parse(event.data);
    };
    source.onmessage = (event) => {
      const comment = heard(event);
      if (event.lastEventId) this.#lastId = event.lastEventId;
      this.#handlers.onComment(comment);
    };
    for (const name of NAMED_EVENTS) {
      source.addEventListener(name, (event) => this.#handlers.onEvent(name, heard(event)));
    }
    source.addEventListener("reconnect", (event) => {
      const delayMs = Number(heard(event).delay_ms) || 0;
      this.#letGo();
      this.#openIn(delayMs * (0.5 + Math.random()), "reconnecting"); // all the viewers are told the same number
    });
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedMs = this.#heardMs = performance.now();
    this.#tell("live", "live");
  }

  /** Cut, refused, or answered with an error. The first cut of a good stream needs no explanation, only a new place. */
  #failed() {
    if (this.#phase === "waiting") return; // what EventSource tried by itself has failed as well; ours is due soon
    if (this.#phase === "live" && performance.now() - this.#openedMs > GOOD_STREAM_MS) this.#failures = 0;
    if (this.#phase === "live" && this.#failures === 0 && this.#source.readyState !== EventSource.CLOSED) {
      this.#openIn(this.#backoffMs(), "reconnecting"); // until then EventSource may come back by itself
    } else {
      this.#askWhy();
    }
  }

  async #askWhy() {
    this.#letGo();
    this.#phase = "asking";
    const why = (await this.#reason()) ?? this.#silence();
    if (this.#ended.signal.aborted || this.#phase !== "asking") return; // woken meanwhile
    const delayMs = Math.max(this.#backoffMs(), why?.retryAfterMs ?? 0);
    this.#openIn(delayMs, why ? "down" : "reconnecting", why?.message);
  }

  /** Why there is no stream, as a Refusal; null if there is a place to connect to. */
  async #reason() {
    const headers = { accept: "text/event-stream" };
    const options = { headers, redirect: "manual", signal: this.#ended.signal, timeoutMs: ASK_TIMEOUT_MS };
    try {
      const response = await ask(this.#path, options);
      if (response.type === "opaqueredirect") return null;
      if (!response.ok) return await refusalOf(response);
      await response.body.cancel(); // a stream after all, without a redirect
      return null;
    } catch (refusal) {
      return refusal;
    }
  }

  /** There is a place, and it can't be reached: dead and about to be noticed, or, after some tries, something worse. */
  #silence() {
    return this.#failures < PLACE_TRIES_MAX ? null : new Refusal("The live server does not answer.");
  }

  /** Doubles with each failure; jittered, so that an RMS's viewers do not all come back at once. */
  #backoffMs() {
    const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    return ms * (0.5 + Math.random() / 2);
  }

  #openIn(delayMs, state, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), delayMs);
    this.#tell("waiting", state, reason, delayMs);
  }

  /** The person or the network is back: no more waiting. `stale`: also a stream that looks alive may be dead. */
  #wake(stale) {
    if (!stale && this.#phase !== "waiting") return;
    this.#failures = 0;
    this.#open();
  }

  #letGo() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #tell(phase, state, reason = "", delayMs = 0) {
    this.#phase = phase;
    this.#handlers.onState({ state, reason, delayMs });
  }
}
