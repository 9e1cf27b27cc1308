/**
 * Shows a window of the timeline in the document, and keeps the scroll position.
 *
 * The window is given by one value: `#topId`, the id of its first entry. It ends ROWS_MAX entries later. While the page
 * follows the newest comments, the window is the last ones that fill the screen, and a little more; a reader who holds
 * the talk (hold.js) keeps that window as it is. Scrolling near an end moves it. Changes above the reader never move what
 * is being read. This file keeps the position itself: not every browser anchors it, and none does at the very top. All
 * changes of one frame reach the document at once, and while it follows, those of a few frames.
 */
import { follows } from "../core/following.js";
import { t } from "../core/words.js";
import { NEAR_PX, RENDER_EVERY_MS, RENDER_ROWS_MAX, ROWS_FOLLOWING, ROWS_MAX, ROWS_STEP, ROW_PX } from "../limits.js";
import { Announcer } from "./announcer.js";
import { copyRows } from "./copying.js";
import { Hold } from "./hold.js";
import { Posts } from "./posts.js";
import { CommentRow, noticeRow } from "./row.js";

export class View {
  /** True while the newest entry is kept in sight */
  following = true;

  #timeline;
  #handlers;
  #scroller = document.getElementById("scroller");
  #list = document.getElementById("comments");
  #above = document.getElementById("above");
  #below = document.getElementById("below");
  #aboveText = "";
  #button = document.getElementById("newest");
  #pace = document.getElementById("pace");
  #rows = new Map(); // entry -> its CommentRow, or {element} of a notice
  #spare = []; // CommentRows for other comments
  #topId = "";
  #shownId = ""; // of the last row
  #held = null; // {topId, lastId} of the window that a reader holds
  #place = { top: 0, height: 0, seen: 0 }; // of the scroller, as this file has left it
  #rowsFollowing = ROWS_FOLLOWING;
  #unread = 0;
  #announcer = new Announcer();
  #posts;
  #hold;
  #frame = 0;
  #wait = 0;
  #renderedMs = 0;
  #edges;
  #resizes;
  #ended = new AbortController();

  /**
   * handlers: onOlder() when the reader nears the oldest entry, onNewest() when the reader asks for the newest, onRetry
   * and onGiveUp as Posts calls them, isMine(comment), reader(): the reader's name.
   */
  constructor(timeline, handlers) {
    this.#timeline = timeline;
    this.#handlers = handlers;
    this.#posts = new Posts(handlers);
    const options = { signal: this.#ended.signal };
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { ...options, passive: true });
    this.#scroller.addEventListener("keydown", (event) => event.key === "End" && this.follow(), options);
    this.#scroller.addEventListener("copy", copyRows, options);
    this.#button.addEventListener("click", () => this.follow(), options);
    this.#hold = new Hold(this.#scroller, () => this.#holdChanged(), this.#ended.signal);
    this.#edges = new IntersectionObserver((edges) => this.#nearEdges(edges), {
      root: this.#scroller,
      rootMargin: `${NEAR_PX}px 0px`,
    });
    this.#resizes = new ResizeObserver(() => this.#resized());
    this.#resizes.observe(this.#scroller); // an on-screen keyboard resizes it
    this.#render();
    this.watchEdges();
  }

  stop() {
    this.#ended.abort();
    this.#edges.disconnect();
    this.#resizes.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#wait);
    this.#announcer.stop();
    this.#posts.clear();
    this.#list.replaceChildren();
    this.#above.textContent = this.#below.textContent = "";
    this.#button.hidden = this.#pace.hidden = true;
  }

  /** The timeline's index at which the window begins */
  get start() {
    const { entries } = this.#timeline;
    if (this.following && this.#held === null) return Math.max(0, entries.length - this.#rowsFollowing);
    const topId = this.#held?.topId ?? this.#topId;
    return Math.min(this.#timeline.indexFrom(topId), Math.max(0, entries.length - 1));
  }

  /** Call it when a comment has arrived. isNew: it is to be read aloud. */
  arrived(comment, isNew) {
    if (!this.following || this.#held !== null) this.#unread += 1;
    if (isNew && this.following) this.#announcer.arrived(comment, (one) => this.#timeline.holds(one));
    this.changed();
  }

  /** Call it when the reader is known to have written that comment, whose row may be there already. */
  isMine(id) {
    for (const [entry, row] of this.#rows) if (entry.id === id) this.#show(row, entry);
    this.#renderSoon();
  }

  /** posts: as Pending.shown gives them */
  showPosts(posts) {
    this.#posts.show(posts);
    this.#renderSoon();
  }

  /** Comments a second: how many are shown, and how many the service leaves out */
  showPace({ shown, skipped }) {
    const text = skipped > 0 ? t("pace", { n: skipped }) : "";
    if (this.#pace.textContent === text) return;
    this.#pace.textContent = text;
    this.#pace.title = text && t("pace_why", { n: shown, all: shown + skipped });
    this.#pace.hidden = text === "";
  }

  /** Call it when the timeline has changed. The next frame shows it. */
  changed() {
    const waitMs = this.following ? this.#renderedMs + RENDER_EVERY_MS - performance.now() : 0;
    if (waitMs <= 0) this.#renderSoon();
    else this.#wait ||= setTimeout(() => this.#renderSoon(), waitMs);
  }

  #renderSoon() {
    clearTimeout(this.#wait);
    this.#wait = 0;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  /** Call it when an older page has been added. A part of it enters the document. */
  extendUp() {
    if (!this.following) this.#topId = this.#timeline.entries[Math.max(0, this.start - ROWS_STEP)]?.id ?? "";
    this.changed();
    this.watchEdges();
  }

  /** Scrolls to the newest entry and stays there. */
  follow() {
    this.following = true;
    this.#hold.release();
    this.#held = null;
    this.#unread = 0;
    this.#handlers.onNewest();
    this.#renderSoon();
  }

  /** Sets the line above the oldest entry in memory. */
  showAbove(text) {
    this.#aboveText = text;
    this.changed();
  }

  /** An observer reports changes only. When it observes an edge anew, it also reports one that has stayed near. */
  watchEdges() {
    for (const edge of [this.#above, this.#below]) {
      this.#edges.unobserve(edge);
      this.#edges.observe(edge);
    }
  }

  #nearEdges(edges) {
    for (const { target, isIntersecting } of edges) {
      if (!isIntersecting) continue;
      if (target === this.#above) this.#nearTop();
      else if (!this.following) this.#nearBottom();
    }
  }

  #nearTop() {
    if (this.start === 0) this.#handlers.onOlder();
    else if (!this.following) this.extendUp();
  }

  #nearBottom() {
    const { start } = this;
    if (start + ROWS_MAX >= this.#timeline.entries.length) return;
    this.#topId = this.#timeline.entries[start + ROWS_STEP].id;
    this.changed();
    this.watchEdges();
  }

  #scrolled() {
    const place = this.#placeNow();
    const following = follows(this.following, this.#place, place) && this.#showsNewest();
    this.#place = place;
    if (following === this.following) return;
    this.#topId = this.#timeline.entries[this.start]?.id ?? "";
    this.following = following;
    this.#held = null;
    if (following) {
      this.#unread = 0;
      this.#holdChanged();
    }
    this.#renderSoon();
    this.watchEdges();
  }

  #placeNow() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return { top: scrollTop, height: scrollHeight, seen: clientHeight };
  }

  #resized() {
    this.#rowsFollowing = Math.max(ROWS_FOLLOWING, Math.ceil((2 * this.#scroller.clientHeight) / ROW_PX));
    if (this.following && this.#held === null) this.#toBottom();
  }

  /** What is held is held from now on; what was held goes on. */
  #holdChanged() {
    if (!this.following) return;
    const { entries } = this.#timeline;
    const holds = this.#hold.isHeld && entries.length > 0;
    if (!holds) this.#unread = 0;
    this.#held = holds ? { topId: entries[this.start].id, lastId: entries.at(-1).id } : null;
    this.#renderSoon();
  }

  #showsNewest() {
    const { entries, detached } = this.#timeline;
    return !detached && (this.following || this.start + ROWS_MAX >= entries.length);
  }

  #render() {
    this.#renderedMs = performance.now();
    const anchors = this.following ? [] : this.#visibleRows();
    const { entries } = this.#timeline;
    const { start, end } = this.#window();
    this.#reconcile(entries.slice(start, end), entries[start - 1]);
    setText(this.#above, start === 0 ? this.#aboveText : "");
    setText(this.#below, this.#timeline.detached ? t("newer_dropped") : "");
    this.#showButton();
    this.#announcer.forget((comment) => this.#timeline.holds(comment));
    if (!this.following) {
      // Not the first one, if there is another: it is cut, and may lose its name to a row that comes above it.
      const stayed = anchors.filter(({ row }) => row.isConnected);
      const anchor = stayed[1] ?? stayed[0];
      if (anchor) this.#scroller.scrollTop += anchor.row.getBoundingClientRect().top - anchor.top;
      this.#place = this.#placeNow();
    } else if (this.#held === null) {
      this.#toBottom();
      if (end < entries.length) this.#renderSoon();
    } else {
      this.#place = this.#placeNow(); // rows that were to come have come: the next scroll is the reader's
    }
  }

  /** The indexes of the rows to be shown now. Of many that come together, each frame brings some: none takes long. */
  #window() {
    const { entries } = this.#timeline;
    const { start } = this;
    if (this.#held !== null) return { start, end: this.#timeline.indexFrom(`${this.#held.lastId}~`) };
    if (!this.following || this.#rows.size === 0) return { start, end: Math.min(entries.length, start + ROWS_MAX) };
    const known = this.#timeline.indexFrom(`${this.#shownId}~`);
    const isFew = entries.length - known <= this.#rowsFollowing;
    const end = isFew ? Math.min(entries.length, known + RENDER_ROWS_MAX) : entries.length;
    return { start: Math.max(0, end - this.#rowsFollowing), end };
  }

  #showButton() {
    const isPaused = this.#held !== null && this.#unread > 0;
    const isHidden = this.following && !isPaused;
    if (isHidden && document.activeElement === this.#button) this.#scroller.focus({ preventScroll: true });
    if (this.#button.hidden !== isHidden) this.#button.hidden = isHidden;
    if (!isHidden) setText(this.#button, newestLabel(this.#unread, isPaused));
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#place = this.#placeNow();
  }

  /** Makes the list's children exactly `shown`, with as few changes as possible. before: the entry above them */
  #reconcile(shown, before) {
    this.#shownId = shown.at(-1)?.id ?? "";
    const wanted = new Set(shown);
    for (const [entry, row] of this.#rows) {
      if (wanted.has(entry)) continue;
      row.element.remove();
      this.#rows.delete(entry);
      if (row instanceof CommentRow && this.#spare.length < ROWS_STEP) this.#spare.push(row);
    }
    let next = this.#list.firstElementChild;
    for (const entry of shown) {
      let row = this.#rows.get(entry);
      if (row === undefined) {
        row = entry.text === undefined ? this.#commentRow(entry) : { element: noticeRow(entry) };
        this.#rows.set(entry, row);
        this.#list.insertBefore(row.element, next);
      } else {
        next = row.element.nextElementSibling; // rows never change their order
      }
      row.stand?.(before);
      before = entry;
    }
  }

  #commentRow(comment) {
    const row = this.#spare.pop() ?? new CommentRow();
    this.#show(row, comment);
    return row;
  }

  #show(row, comment) {
    row.show(comment, this.#handlers.isMine(comment), this.#handlers.reader());
  }

  /** The rows in sight, from the top, and their positions. After a change some of them may be gone. */
  #visibleRows() {
    const rows = this.#list.children;
    const seen = this.#scroller.getBoundingClientRect();
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom <= seen.top) low = middle + 1;
      else high = middle;
    }
    const visible = [];
    for (let row = rows[low]; row; row = row.nextElementSibling) {
      const { top } = row.getBoundingClientRect(); // unlike offsetTop it isn't rounded, so positions don't drift
      if (top >= seen.bottom) break;
      visible.push({ row, top });
    }
    return visible;
  }
}

function newestLabel(unread, isPaused) {
  if (isPaused) return t("paused_new", { n: unread });
  return unread === 0 ? t("newest") : t("new_comments", { n: unread });
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
