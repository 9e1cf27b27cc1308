/**
 * Holds a part of the conversation in memory: comments and notices, each once, in the order of their ids. Touches no
 * document and no network. Bounded: over the limit, the end that is farther from the reader is dropped.
 */
import { ARRIVAL_WINDOW_MS, BACKFILL_COMMENTS, WITHDRAWN_MAX } from "../limits.js";
import { firstIdAt, timeOf } from "./ids.js";

/** Sorts a notice right behind the comment with that id, because "~" comes after every hex digit. */
export function noticeId(afterId, kind) {
  return `${afterId}~${kind}`;
}

function isComment(entry) {
  return !entry.id.includes("~");
}

/** Forgets the oldest of a Set or a Map that has grown too large. */
function remember(known) {
  if (known.size > WITHDRAWN_MAX) known.delete(known.keys().next().value);
}

export class Timeline {
  /** Sorted by id. Read it, but change it only through the methods. */
  entries = [];

  /** True after the newest end was dropped: then nothing newer than the last entry is added until `clear`. */
  detached = false;

  #heldMax;
  #dropCount;

  // A page of history may have been made before the order that removes its comment, and arrive after it.
  #removed = new Set(); // ids
  #purged = new Map(); // author -> the highest id

  constructor(heldMax, dropCount) {
    this.#heldMax = heldMax;
    this.#dropCount = dropCount;
  }

  /** Returns false if the entry was there already, was removed, or is newer than the last one of a detached timeline. */
  add(entry) {
    if (this.#removed.has(entry.id) || entry.id <= this.#purged.get(entry.author?.id)) return false;
    const last = this.entries.at(-1);
    if (last === undefined || entry.id > last.id) {
      if (this.detached) return false;
      this.entries.push(entry);
      return true;
    }
    const index = this.indexFrom(entry.id);
    if (this.entries[index].id === entry.id) return false;
    this.entries.splice(index, 0, entry);
    return true;
  }

  /** It isn't added any more, until `restore`. */
  remove(id) {
    remember(this.#removed.add(id));
    const index = this.indexFrom(id);
    if (this.entries[index]?.id === id) this.entries.splice(index, 1);
  }

  /** The entry with that id may be added again. */
  restore(id) {
    this.#removed.delete(id);
  }

  /** Removes all comments of that author up to that id, for ever. */
  removeAuthor(authorId, upToId) {
    remember(this.#purged.set(authorId, upToId));
    this.entries = this.entries.filter((entry) => entry.author?.id !== authorId || entry.id > upToId);
  }

  clear() {
    this.entries = [];
    this.detached = false;
  }

  /** The index of the first entry with this id or a larger one; the length if there is none */
  indexFrom(id) {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entries[middle].id < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether this very entry is there */
  holds(entry) {
    return this.entries[this.indexFrom(entry.id)] === entry;
  }

  /** Drops what is over the limit. `readerIndex`: where the reader is. Returns true if the oldest were dropped. */
  bound(readerIndex) {
    if (this.entries.length <= this.#heldMax) return false;
    if (readerIndex > this.entries.length / 2) {
      this.entries.splice(0, this.#dropCount);
      return true;
    }
    this.entries.length -= this.#dropCount;
    this.detached = true;
    return false;
  }

  /** The oldest comment's id, or undefined */
  oldestId() {
    return this.entries.find(isComment)?.id;
  }

  /** The newest comment's id, or undefined */
  newestId() {
    return this.entries.findLast(isComment)?.id;
  }

  /**
   * The cursor for the first page below a backfill. A backfill has the comments that arrived last. Comments with ids
   * between theirs may have arrived before and be missing, so the page overlaps it by as much as a comment can be late.
   */
  cursorBelowBackfill() {
    const backfill = this.entries.filter(isComment).slice(0, BACKFILL_COMMENTS);
    if (backfill.length === 0) return undefined;
    const settled = firstIdAt(timeOf(backfill[0].id) + ARRIVAL_WINDOW_MS);
    return backfill.findLast((comment) => comment.id <= settled).id;
  }
}
