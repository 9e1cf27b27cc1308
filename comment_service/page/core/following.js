/**
 * Decides whether the page follows the newest comments, from where the reader's window stands before and after a scroll.
 * Only a reader's own way up ends it: not what a resized window, a growing box or a shortened list does to the position.
 */
import { BOTTOM_PX } from "../limits.js";

/** place: {top, height, seen} in pixels, as scrollTop, scrollHeight and clientHeight. Returns whether to follow. */
export function follows(wasFollowing, before, place) {
  const left = place.height - place.seen - place.top;
  const up = place.top < before.top;
  const moved = place.seen === before.seen && place.height === before.height;
  if (wasFollowing && !moved) return true; // the layout has moved it, not the reader
  // Upwards the slightest move counts: otherwise nobody could leave the bottom while comments arrive fast.
  return left <= (up ? 2 : BOTTOM_PX);
}
