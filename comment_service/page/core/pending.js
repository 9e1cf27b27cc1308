/**
 * The reader's own comments on their way: what is shown of them, and which one is sent next. No clock and no network in
 * here: `nowMs` comes in, and `next` says what to send.
 *
 * A post's life:
 *
 *     QUEUED ──sending──► SENDING ──answered──► (gone: the timeline has its comment)
 *       ▲                    │
 *       ├──after a pause──── ┤ failed, and it may succeed later
 *       └──retried── FAILED ◄┘ failed for good, or too often
 *
 * One post is sent at a time, in the order of writing, so that they are stored in this order. Each keeps its key: whatever
 * is sent twice is stored once.
 *
 * Of answer and stream either may come first. The stream doesn't name keys, so a comment of the reader's name and text
 * is taken for the oldest post it can be, and that one is shown no longer. If the answer then names another comment, it
 * was somebody else's: both are in the timeline by then, each under its id. A post that was taken for a comment never
 * just fails: it is sent again until the service says which comment it is, or that it refuses it.
 */
import { POST_PAUSE_FIRST_MS, POST_PAUSE_MAX_MS, POST_TRIES_MAX } from "../limits.js";

/** How the service calls authors without a name */
const NAMELESS = "Anonymous";

export const Post = Object.freeze({ QUEUED: "queued", SENDING: "sending", FAILED: "failed" });

export class Pending {
  #posts = []; // {key, name, text, state, tries, dueMs, reason, seen}; in the order of writing

  /** posts: as `kept` gave them before the page was loaded anew; each is sent again under its key */
  constructor(posts = []) {
    for (const { key, name, text, failed, reason } of posts) {
      this.write(key, name, text);
      const state = failed ? Post.FAILED : Post.QUEUED;
      Object.assign(this.#posts.at(-1), { state, reason, tries: 1 }); // perhaps it was sent
    }
  }

  /** A new post. key: its Idempotency-Key. name: empty for none */
  write(key, name, text) {
    this.#posts.push({ key, name, text, state: Post.QUEUED, tries: 0, dueMs: 0, reason: "", seen: null });
  }

  /** Those to be shown below the comments, in order: {key, name, text, state, reason, dueMs} */
  shown() {
    return this.#posts.filter((post) => post.seen === null);
  }

  /** For the next load of the page */
  kept() {
    return this.#posts.map(({ key, name, text, state, reason }) => ({
      ...{ key, name, text, reason },
      failed: state === Post.FAILED,
    }));
  }

  /** What to do next: {send: post}, {waitMs} until then, or null. */
  next(nowMs) {
    if (this.#posts.some(({ state }) => state === Post.SENDING)) return null;
    const post = this.#posts.find(({ state }) => state === Post.QUEUED);
    if (post === undefined) return null;
    return post.dueMs > nowMs ? { waitMs: post.dueMs - nowMs } : { send: post };
  }

  sending(key) {
    Object.assign(this.#find(key), { state: Post.SENDING });
  }

  /** The service has stored it as the comment with that id. */
  answered(key, id) {
    const post = this.#find(key);
    const other = this.#posts.find((one) => one !== post && one.seen === id);
    if (other !== undefined) other.seen = post.seen; // the two were taken for each other's comments
    this.#remove(key);
  }

  /** The service refused it, or didn't answer. temporary: the same post may succeed later. retryAfterMs: 0 if unknown */
  failed(key, { reason, temporary, retryAfterMs = 0 }, nowMs) {
    const post = this.#find(key);
    post.tries += 1;
    post.reason = reason;
    if (temporary && (post.tries < POST_TRIES_MAX || post.seen !== null)) {
      const pauseMs = Math.min(POST_PAUSE_MAX_MS, POST_PAUSE_FIRST_MS * 2 ** (post.tries - 1));
      Object.assign(post, { state: Post.QUEUED, dueMs: nowMs + Math.max(pauseMs, retryAfterMs) });
    } else {
      const { seen } = post;
      Object.assign(post, { state: Post.FAILED, seen: null });
      if (!temporary) post.tries = 0; // the service surely doesn't have it
      if (seen !== null) this.#takeFor(seen, post.name || NAMELESS, post.text); // so that was another one's
    }
  }

  /** The stream, or history, has brought a comment that wasn't there before */
  arrived({ id, author, message }) {
    return this.#takeFor(id, author.name, message);
  }

  /** The reader asks for it once more. */
  retry(key) {
    const post = this.#find(key);
    const tries = Math.min(1, post.tries); // perhaps it was stored
    Object.assign(post, { state: Post.QUEUED, tries, dueMs: 0, reason: "" });
  }

  /** The reader gives it up. False: it is on its way, or stored, and can't be held back any more. */
  takeBack(key) {
    const post = this.#find(key);
    if (post === undefined || post.state === Post.SENDING || post.seen !== null) return false;
    this.#remove(key);
    return true;
  }

  #takeFor(id, name, text) {
    const perhaps = (post) => post.seen === null && (post.tries > 0 || post.state === Post.SENDING);
    const post = this.#posts.find((one) => perhaps(one) && one.text === text && (one.name || NAMELESS) === name);
    if (post === undefined) return false;
    post.seen = id;
    if (post.state === Post.FAILED) Object.assign(post, { state: Post.QUEUED, dueMs: 0 });
    return true;
  }

  #remove(key) {
    this.#posts = this.#posts.filter((post) => post.key !== key);
  }

  #find(key) {
    return this.#posts.find((post) => post.key === key);
  }
}
