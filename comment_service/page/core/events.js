/**
 * Checks what comes from outside, before anything else sees it. What isn't as agreed is null, and costs no more than
 * itself: one comment that a newer or a broken service sends must not break every later render.
 */
import { videoOf } from "./video.js";

const ID = /^[0-9a-f]{16}$/;

/** The comment, with only the fields that the page uses; null if it isn't one. */
export function commentOf(given) {
  if (!isObject(given) || !isObject(given.author)) return null;
  const { id, liveVideoId, author, message, createdAt } = given;
  if (!ID.test(id) || typeof message !== "string" || !isTime(createdAt)) return null;
  if (typeof author.id !== "string" || typeof author.name !== "string") return null;
  return { id, liveVideoId, author: { id: author.id, name: author.name }, message, createdAt };
}

/** A page of history as {comments, nextCursor}, without what isn't a comment; null if it isn't a page. */
export function pageOf(given) {
  if (!isObject(given) || !Array.isArray(given.comments)) return null;
  const { nextCursor } = given;
  if (nextCursor !== null && !ID.test(nextCursor)) return null;
  return { comments: given.comments.map(commentOf).filter((comment) => comment !== null), nextCursor };
}

const PAYLOADS = {
  message: commentOf,
  restored: commentOf,
  deleted: ({ id }) => (ID.test(id) ? { id } : null),
  author_purged: ({ authorId, upTo }) => (typeof authorId === "string" && ID.test(upTo) ? { authorId, upTo } : null),
  viewers: ({ viewers }) => (isCount(viewers) ? { viewers } : null),
  skipped: ({ skipped }) => (isCount(skipped) ? { skipped } : null),
  gap: ({ from = null, to = null }) => (isIdOrNull(from) && isIdOrNull(to) ? { from, to } : null),
  heartbeat: ({ every_ms: everyMs }) => ({ everyMs: everyMs > 0 ? Number(everyMs) : Infinity }),
  reconnect: ({ delay_ms: delayMs }) => ({ delayMs: delayMs > 0 && delayMs < Infinity ? Number(delayMs) : 0 }),
  video: videoOf,
};

/** The names of all events of a stream that the page knows. "message": a comment */
export const EVENT_NAMES = Object.keys(PAYLOADS);

/** The payload of an event of that name, from its data; null if it isn't as agreed. */
export function payloadOf(name, data) {
  let given;
  try {
    given = JSON.parse(data);
  } catch {
    return null;
  }
  return isObject(given) ? PAYLOADS[name](given) : null;
}

function isObject(given) {
  return typeof given === "object" && given !== null;
}

function isCount(given) {
  return Number.isSafeInteger(given) && given >= 0;
}

function isIdOrNull(given) {
  return given === null || given === "" || ID.test(given);
}

function isTime(given) {
  return Number.isFinite(given) && Math.abs(given) <= 8.64e15; // what a Date can hold
}
