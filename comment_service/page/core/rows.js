/** Decides what a comment's row has beside its text, from the comment before it. */
import { RUN_GAP_MS, TIME_GAP_MS } from "../limits.js";

/** 0 to 359, the same for an author on every page. The golden angle, 137.5°, puts neighbouring numbers far apart. */
export function hueOf(authorId) {
  let sum = 0;
  for (let index = 0; index < authorId.length; index += 1) sum = (sum * 31 + authorId.charCodeAt(index)) | 0;
  return Math.round(Math.abs(sum) * 137.508) % 360;
}

/**
 * continued: it goes on with what its author has just said, so the name isn't repeated. dated: its time stands above it,
 * for time has passed. before: the entry above, undefined if there is none.
 */
export function placeOf(comment, before) {
  if (before === undefined || before.createdAt === undefined) return { continued: false, dated: false };
  const passedMs = comment.createdAt - before.createdAt;
  const dated = passedMs > TIME_GAP_MS;
  return { continued: before.author.id === comment.author.id && passedMs < RUN_GAP_MS, dated };
}
