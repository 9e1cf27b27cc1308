/**
 * Decides what a screen reader reads aloud of live comments: each of a few, and of many one sentence every few seconds.
 * No clock in here: `nowMs` comes in.
 */
import { SAY_CHARACTERS_MAX, SAY_COMMENTS_MAX, SAY_EVERY_MS } from "../limits.js";

export class Summary {
  #waiting = [];
  #nextMs = 0;

  /** Call it for each live comment. */
  arrived(comment) {
    this.#waiting.push(comment);
  }

  /** How long to wait until `take` may say something; null: there is nothing to say */
  waitMs(nowMs) {
    return this.#waiting.length === 0 ? null : Math.max(0, this.#nextMs - nowMs);
  }

  /** Drops what was to be said. */
  drop() {
    this.#waiting = [];
  }

  /**
   * What to say now: {comments} to be read out, or {count, people, last} of too many. isThere(comment): false once it
   * was taken away. Null: nothing.
   */
  take(nowMs, isThere) {
    if (nowMs < this.#nextMs) return null;
    const comments = this.#waiting.filter(isThere);
    this.#waiting = [];
    if (comments.length === 0) return null;
    this.#nextMs = nowMs + SAY_EVERY_MS;
    const characters = comments.reduce((sum, { message }) => sum + message.length, 0);
    if (comments.length <= SAY_COMMENTS_MAX && characters <= SAY_CHARACTERS_MAX) return { comments };
    const people = new Set(comments.map(({ author }) => author.id)).size;
    return { count: comments.length, people, last: comments.at(-1) };
  }
}
