/** Holds every number of the page that can be tuned, with its unit and the reason. */

/** The service's own defaults, which it enforces: code points, and bytes of UTF-8. */
export const MESSAGE_CHARACTERS_MAX = 500;
export const MESSAGE_BYTES_MAX = 2000;

/** The counter is shown from here on; before that it would only distract. */
export const COUNTER_FROM_CHARACTERS = 400;

/** A screen reader says once that this few are left. */
export const COUNTER_SAID_FROM = 20;

/** A post without an answer after this time has failed. The Idempotency-Key makes a retry safe. */
export const POST_TIMEOUT_MS = 15_000;

/** Comments in a page when scrolling up: two screens of a phone, one request each. */
export const PAGE_SIZE = 50;
export const PAGE_TIMEOUT_MS = 10_000;

/** Waits before a page that could not be loaded is requested again: short at first, then long enough for any server. */
export const PAGE_RETRY_FIRST_MS = 1_000;
export const PAGE_RETRY_MAX_MS = 10_000;

/** To fill a gap: the API's largest page, and no more pages than a screen reader or a phone can use at once. */
export const GAP_PAGE_SIZE = 100;
export const GAP_PAGES_MAX = 10;

/**
 * Rows in the document: at most; while it follows the newest, if two screens of them aren't more; added or removed at
 * once by scrolling. The height of the smallest row, in CSS pixels, tells how many a screen has.
 */
export const ROWS_MAX = 1_000;
export const ROWS_FOLLOWING = 60;
export const ROWS_STEP = 100;
export const ROW_PX = 24;

/** Rows are added when the reader is this near to the end of those in the document. */
export const NEAR_PX = 800;

/** Comments in memory, some 10 MB at most; how many are dropped at once when there are more. */
export const HELD_MAX = 20_000;
export const HELD_DROP = 2_000;

/** Removed comments, and authors, that are remembered: more than are removed while a page of history is on its way. */
export const WITHDRAWN_MAX = 1_000;

/** When scrolling down, the reader counts as being at the bottom up to this distance: a finger is not exact. */
export const BOTTOM_PX = 24;

/** A screen reader says so many new comments at once, and so many UTF-16 units, 15 s of speech; of more, how many. */
export const SAY_COMMENTS_MAX = 3;
export const SAY_CHARACTERS_MAX = 240;

/** How often it says something at most: a sentence takes a few seconds, and the person wants to hear the video, too. */
export const SAY_EVERY_MS = 5_000;

/** Waits before the stream reconnects: short at first (one RMS of many has died), longer if that does not help. */
export const BACKOFF_FIRST_MS = 200;
export const BACKOFF_MAX_MS = 5_000;

/** Failed tries without an error message while there is a place: a dispatcher notices a dead RMS after about 2 s. */
export const PLACE_TRIES_MAX = 4;

/** After a stream that lasted this long the back-off starts anew. */
export const GOOD_STREAM_MS = 5_000;

/** The longest Retry-After that is obeyed */
export const RETRY_AFTER_MAX_MS = 300_000;

/** A stream that has not opened by then has a dead host; the browser would wait for minutes. */
export const OPEN_TIMEOUT_MS = 10_000;

/** The time-out of the request that asks why there is no stream */
export const ASK_TIMEOUT_MS = 5_000;

/** A stream that is silent for so many heartbeats is dead: one can be late, and a host's death closes no connection. */
export const SILENT_HEARTBEATS_MAX = 2;

/** A stream opens with an event. One that has sent none by then is held back by a proxy. */
export const FIRST_EVENT_MS = 5_000;

/** How long an answer to a long poll may take: less than the 30 s after which the most impatient proxies end it. */
export const POLL_WAIT_S = 25;

/** Between two long polls: a busy video costs two requests a second then, not one for each comment. */
export const POLL_PAUSE_MS = 500;

/** For how long it polls before it tries a stream again: at first, in case only a server was slow, and at most. */
export const POLLING_FIRST_MS = 60_000;
export const POLLING_MAX_MS = 600_000;

/** How often a stream's silence is looked at. A page that is hidden looks once a minute: browsers slow its timers. */
export const LOOK_MS = 1_000;

/** Streams of one browser at the same time. It opens six connections to a host, and posts and pages need some, too. */
export const SLOTS = 4;

/** Between two questions to other tabs for a slot: longer than a hidden one takes to answer */
export const SLOT_ASK_MS = 300;

/** The backfill arrives within this time after the stream has opened. History is asked only for what is older. */
export const BACKFILL_MS = 400;

/** The number of comments in a backfill: the RMS's default */
export const BACKFILL_COMMENTS = 50;

/** How late a comment can be: how long after a newer one it can arrive (the window of the stream's positions). */
export const ARRIVAL_WINDOW_MS = 5_000;

/** Of a long message so much is shown before "more": UTF-16 units, six lines of a phone; and lines. */
export const MESSAGE_SHOWN = 280;
export const MESSAGE_LINES_SHOWN = 6;

/** A post without an answer is sent again by itself so often, then the reader is asked; the pauses between. */
export const POST_TRIES_MAX = 3;
export const POST_PAUSE_FIRST_MS = 1_000;
export const POST_PAUSE_MAX_MS = 30_000;

/**
 * Comments a second. A person reads 5, and skims 10. Over FAST the page asks for an edition with RATE of them (a rate
 * that the RMS has an edition for), below CALM for all again; between them it leaves things as they are.
 */
export const PACE_FAST_PER_S = 15;
export const PACE_RATE_PER_S = 10;
export const PACE_CALM_PER_S = 8;

/** Over how long comments are counted: long enough that a burst of laughter is none. */
export const PACE_WINDOW_MS = 4_000;

/** How long a rate stays at least. Each viewer adds up to as much, so that they don't all ask in the same second. */
export const PACE_HOLD_MS = 10_000;

/** Comments of one author are one run if no more time passes between them; after such a pause a row has its time. */
export const RUN_GAP_MS = 120_000;
export const TIME_GAP_MS = 300_000;

/** A mouse that rests so long on the talk is only forgotten there, and doesn't hold it any more. */
export const HOVER_HOLD_MS = 5_000;

/** While it follows, the page shows what has come so often at most: what moves more often than that can't be read. */
export const RENDER_EVERY_MS = 40;

/** So many new rows in one frame: with more, a phone that is six times slower would be busy for over 50 ms. */
export const RENDER_ROWS_MAX = 4;

/** Videos in the menu that were opened before: as many as a phone shows without scrolling */
export const RECENT_VIDEOS_MAX = 8;

/** Beside a recording: how much of what comes next lies ready, as it was said: a slow network's answer takes less. */
export const REPLAY_AHEAD_MS = 15_000;

/** Comments of one answer beside a recording: the API's largest page */
export const REPLAY_PAGE_SIZE = 100;

/** Random bytes of an Idempotency-Key, beside its time */
export const KEY_BYTES = 10;

/** The reader's own comments that are known again after a reload, and drafts: 4 KB, and 40 KB at most */
export const MINE_MAX = 200;
export const DRAFTS_MAX = 20;
