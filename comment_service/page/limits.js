/** Every number of the page that could be another one, with its unit and the reason. */

/** The service's own defaults (it has the last word): code points, and bytes of UTF-8. */
export const MESSAGE_CHARACTERS_MAX = 500;
export const MESSAGE_BYTES_MAX = 2000;

/** From here on the counter is shown: before, it would only be noise. */
export const COUNTER_FROM_CHARACTERS = 400;

/** A post without an answer for so long has failed; the same Idempotency-Key makes the retry safe. */
export const POST_TIMEOUT_MS = 15_000;

/** Comments in a page when scrolling up: two screens of a phone, one request each. */
export const PAGE_SIZE = 50;
export const PAGE_TIMEOUT_MS = 10_000;

/** A page that could not be loaded is asked for again: first soon, then at a pace that no server minds. */
export const PAGE_RETRY_FIRST_MS = 1_000;
export const PAGE_RETRY_MAX_MS = 10_000;

/** Filling a gap: the API's largest page, and no more than a screen reader or a phone can use at once. */
export const GAP_PAGE_SIZE = 100;
export const GAP_PAGES_MAX = 10;

/** Rows in the document: at most; while it follows the talk; and how many come and go at once when it scrolls. */
export const ROWS_MAX = 1_000;
export const ROWS_FOLLOWING = 200;
export const ROWS_STEP = 100;

/** Rows are made ready while they are still so far outside of what is seen. */
export const NEAR_PX = 800;

/** Comments in memory, some 10 MB at most; how many go at once when there are more. */
export const HELD_MAX = 20_000;
export const HELD_DROP = 2_000;

/** The reader counts as being at the bottom up to here when scrolling down: a finger is not exact. */
export const BOTTOM_PX = 24;

/** Above so many new comments in a second a screen reader could not keep up: it is not told each of them. */
export const ANNOUNCE_PER_S_MAX = 2;

/** Coming back to the stream: first soon, since one RMS of many has died; then slower, since more is wrong. */
export const BACKOFF_FIRST_MS = 200;
export const BACKOFF_MAX_MS = 5_000;

/** So many tries fail quietly although there is a place: a dispatcher needs about 2 s to notice that an RMS is dead. */
export const PLACE_TRIES_MAX = 4;

/** A stream that lived so long was a good one: the back-off starts anew. */
export const GOOD_STREAM_MS = 5_000;

/** The longest Retry-After that is believed. */
export const RETRY_AFTER_MAX_MS = 300_000;

/** A stream that has not opened by then stands before a host that is gone; the browser would wait for minutes. */
export const OPEN_TIMEOUT_MS = 10_000;

/** How long to ask why there is no stream. */
export const ASK_TIMEOUT_MS = 5_000;

/** Hidden and without any event for so long: the connection may have died in the phone's sleep, unnoticed. */
export const ASLEEP_MS = 60_000;

/** The backfill comes within this time after the stream has opened; history is asked only for what lies before it. */
export const BACKFILL_MS = 400;

/** How many comments it brings: the RMS's default. */
export const BACKFILL_COMMENTS = 50;

/** How much later than a younger comment an older one can arrive (the window of the stream's positions). */
export const ARRIVAL_WINDOW_MS = 5_000;
