/**
 * The talk beside a recording, in step with it. State in, state out: no document, no network, no clock. Positions and
 * offsets are milliseconds from the video's start.
 *
 * What comes next lies ready in `ahead`, AHEAD_MS of it or one page at least. A move to a place that isn't loaded, or
 * back, begins anew: then the talk is what was said shortly before that place, which is asked for apart.
 */
import { REPLAY_AHEAD_MS } from "../limits.js";

/** At that position, with nothing loaded */
export function replayAt(positionMs) {
  return { positionMs, ahead: [], cursor: null, isComplete: false };
}

/** Whether the position can be reached with what lies ready. If not, begin with `replayAt`. */
export function reaches(replay, positionMs) {
  if (positionMs < replay.positionMs) return false;
  return replay.isComplete || positionMs <= loadedUntil(replay);
}

/** The replay at a later position, and the comments that were said until then, oldest first */
export function movedTo(replay, positionMs) {
  const index = replay.ahead.findIndex((comment) => comment.offsetMs > positionMs);
  const said = index < 0 ? replay.ahead : replay.ahead.slice(0, index);
  const ahead = index < 0 ? [] : replay.ahead.slice(index);
  return { replay: { ...replay, positionMs, ahead }, said };
}

/** What is to be asked for next: {fromMs, cursor}; null: enough lies ready. speed: of the recording, 1 as it was */
export function wanted(replay, speed) {
  if (replay.isComplete) return null;
  if (replay.ahead.length > 0 && loadedUntil(replay) > replay.positionMs + REPLAY_AHEAD_MS * speed) return null;
  return { fromMs: Math.floor(replay.positionMs), cursor: replay.cursor };
}

/** With the answer to what was wanted. page: {comments, nextCursor}, oldest first, each with its offsetMs */
export function withPage(replay, page) {
  const known = new Set(replay.ahead.map((comment) => comment.id));
  const ahead = [...replay.ahead, ...page.comments.filter((comment) => !known.has(comment.id))];
  return { ...replay, ahead, cursor: page.nextCursor, isComplete: page.nextCursor === null };
}

function loadedUntil({ ahead, positionMs }) {
  return ahead.at(-1)?.offsetMs ?? positionMs;
}
