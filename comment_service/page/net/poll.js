/**
 * What a stream brings, asked for again and again (long polling): for networks whose proxies hold streams back. It has
 * as much of EventSource's interface as stream.js uses. There is one request at a time, and each names the position up
 * to which the answer before it went: nothing is lost, and nothing comes twice.
 */
import { ASK_TIMEOUT_MS, POLL_PAUSE_MS, POLL_WAIT_S } from "../limits.js";
import { requestJson } from "./request.js";

export class PollSource extends EventTarget {
  readyState = EventSource.CONNECTING; // CLOSED: it has failed with an error status, or was closed
  onopen = () => {};
  onerror = () => {};
  #path;
  #query;
  #position;
  #ended = new AbortController();

  /** query: of the stream, as an object. position: empty for a new reader */
  constructor(path, query, position) {
    super();
    this.#path = path;
    this.#query = query;
    this.#position = position;
    this.#run();
  }

  close() {
    this.readyState = EventSource.CLOSED;
    this.#ended.abort();
  }

  async #run() {
    try {
      let answer = await this.#ask(0); // at once, so that it is known whether there are answers
      if (this.#ended.signal.aborted) return;
      this.readyState = EventSource.OPEN;
      this.onopen();
      this.#dispatch({ event: "heartbeat", data: { every_ms: POLL_WAIT_S * 1000 } });
      for (;;) {
        for (const event of answer.events) this.#dispatch(event);
        this.#position = answer.position;
        if (!answer.more) await new Promise((resolve) => setTimeout(resolve, POLL_PAUSE_MS));
        if (this.#ended.signal.aborted) return;
        answer = await this.#ask(POLL_WAIT_S);
      }
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.readyState = error.status === null ? EventSource.CONNECTING : EventSource.CLOSED;
      this.onerror();
    }
  }

  #ask(waitS) {
    const query = new URLSearchParams({ wait: waitS, ...this.#query });
    if (this.#position) query.set("last_event_id", this.#position);
    const headers = { accept: "application/json" };
    const options = { headers, signal: this.#ended.signal, timeoutMs: waitS * 1000 + ASK_TIMEOUT_MS };
    return requestJson(`${this.#path}?${query}`, options);
  }

  #dispatch({ event = "message", data, id = "" }) {
    if (this.#ended.signal.aborted) return;
    this.dispatchEvent(new MessageEvent(event, { data: JSON.stringify(data), lastEventId: id }));
  }
}
