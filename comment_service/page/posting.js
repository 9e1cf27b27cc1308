/** Sends the reader's comments of one video: one after the other, each under its key, until the service has it. */
import { commentOf } from "./core/events.js";
import { keyOf } from "./core/ids.js";
import { Pending } from "./core/pending.js";
import { t } from "./core/words.js";
import { keep, kept } from "./kept.js";
import { KEY_BYTES, MINE_MAX, POST_TIMEOUT_MS } from "./limits.js";
import { ServiceError, requestJson } from "./net/request.js";

export class Posting {
  #video;
  #handlers;
  #pending;
  #mine; // ids of the reader's comments on any video, the oldest first
  #timer = 0;
  #isStopped = false;

  /** handlers: onChange() when `shown` may have changed, onStored(comment) when the service has one. */
  constructor(video, handlers) {
    this.#video = video;
    this.#handlers = handlers;
    this.#pending = new Pending(kept("sessionStorage", `posts:${video}`));
    this.#mine = new Set(kept("localStorage", "mine"));
  }

  /** Goes on with what was on its way when the page was left. */
  start() {
    this.#changed();
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** The posts to be shown below the comments, in order; see core/pending.js */
  get shown() {
    return this.#pending.shown();
  }

  isMine(comment) {
    return this.#mine.has(comment.id);
  }

  /** key: of a post that was given up and is the same; undefined for a new one. Returns its key. */
  write(name, text, key = keyOf(Date.now(), crypto.getRandomValues(new Uint8Array(KEY_BYTES)))) {
    this.#pending.write(key, name, text);
    this.#changed();
    return key;
  }

  /** Call it for each comment that wasn't there before. */
  arrived(comment) {
    if (this.#pending.arrived(comment)) this.#changed();
  }

  retry(key) {
    this.#pending.retry(key);
    this.#changed();
  }

  /** False if it can't be held back any more */
  takeBack(key) {
    const isBack = this.#pending.takeBack(key);
    if (isBack) this.#changed();
    return isBack;
  }

  #changed() {
    const posts = this.#pending.kept();
    keep("sessionStorage", `posts:${this.#video}`, posts.length ? posts : undefined);
    this.#handlers.onChange();
    clearTimeout(this.#timer);
    const next = this.#pending.next(performance.now());
    if (next === null || this.#isStopped) return;
    if (next.send) this.#send(next.send);
    else this.#timer = setTimeout(() => this.#changed(), next.waitMs);
  }

  async #send({ key, name, text }) {
    this.#pending.sending(key);
    this.#handlers.onChange();
    const post = { liveVideoId: this.#video, message: text };
    if (name) post.author = { name };
    const headers = { "content-type": "application/json", "idempotency-key": key };
    const options = { method: "POST", headers, body: JSON.stringify(post), timeoutMs: POST_TIMEOUT_MS };
    try {
      const comment = commentOf(await requestJson("/comment/create", options));
      // Perhaps it was posted; the key makes another try safe.
      if (comment === null) throw new ServiceError(t("answer_incomplete"));
      this.#stored(key, comment);
    } catch (error) {
      const { message, isTemporary, retryAfterMs } =
        error instanceof ServiceError ? error : new ServiceError(t("page_failed"), 400);
      this.#pending.failed(key, { reason: message, temporary: isTemporary, retryAfterMs }, performance.now());
    }
    this.#changed();
  }

  #stored(key, comment) {
    this.#pending.answered(key, comment.id);
    const known = kept("localStorage", "mine") ?? [...this.#mine]; // other tabs write, too
    this.#mine = new Set([...known, comment.id].slice(-MINE_MAX));
    keep("localStorage", "mine", [...this.#mine]);
    this.#handlers.onStored(comment);
  }
}
