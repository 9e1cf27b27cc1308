/**
 * Shows a window of the timeline in the document, and keeps the scroll position.
 *
 * The window is given by one value: `#topId`, the id of its first entry. It ends ROWS_MAX entries later. While the page
 * follows the newest comments, the window is the last ROWS_FOLLOWING entries. Scrolling near an end moves it. Changes
 * above the reader never move what is being read. This file keeps the position itself: not every browser anchors it,
 * and none does at the very top. All changes of one frame reach the document at once.
 */
import { t } from "../core/words.js";
import { BOTTOM_PX, NEAR_PX, ROWS_FOLLOWING, ROWS_MAX, ROWS_STEP } from "../limits.js";
import { Announcer } from "./announcer.js";
import { commentRow, noticeRow } from "./row.js";

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
  #rows = new Map(); // entry -> its element
  #topId = "";
  #lastTop = 0;
  #unread = 0;
  #announcer = new Announcer();
  #frame = 0;
  #edges;
  #resizes;
  #ended = new AbortController();

  /** handlers: onOlder() when the reader nears the oldest entry, onNewest() when the reader asks for the newest. */
  constructor(timeline, handlers) {
    this.#timeline = timeline;
    this.#handlers = handlers;
    const options = { signal: this.#ended.signal };
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { ...options, passive: true });
    this.#scroller.addEventListener("keydown", (event) => event.key === "End" && this.follow(), options);
    this.#button.addEventListener("click", () => this.follow(), options);
    this.#edges = new IntersectionObserver((edges) => this.#nearEdges(edges), {
      root: this.#scroller,
      rootMargin: `${NEAR_PX}px 0px`,
    });
    this.#resizes = new ResizeObserver(() => this.following && this.#toBottom());
    this.#resizes.observe(this.#scroller); // an on-screen keyboard resizes it
    this.#render();
    this.watchEdges();
  }

  stop() {
    this.#ended.abort();
    this.#edges.disconnect();
    this.#resizes.disconnect();
    cancelAnimationFrame(this.#frame);
    this.#announcer.stop();
    this.#list.replaceChildren();
    this.#above.textContent = this.#below.textContent = "";
    this.#button.hidden = true;
  }

  /** The timeline's index at which the window begins */
  get start() {
    const { entries } = this.#timeline;
    if (this.following) return Math.max(0, entries.length - ROWS_FOLLOWING);
    return Math.min(this.#timeline.indexFrom(this.#topId), Math.max(0, entries.length - 1));
  }

  /** Call it when a comment has arrived. isNew: it is to be read aloud. */
  arrived(comment, isNew) {
    if (!this.following) this.#unread += 1;
    if (isNew) this.#announcer.arrived(comment);
    this.changed();
  }

  /** Call it when the timeline has changed. The next frame shows it. */
  changed() {
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
    this.#unread = 0;
    this.#handlers.onNewest();
    this.changed();
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
    else this.extendUp();
  }

  #nearBottom() {
    const { start } = this;
    if (start + ROWS_MAX >= this.#timeline.entries.length) return;
    this.#topId = this.#timeline.entries[start + ROWS_STEP].id;
    this.changed();
    this.watchEdges();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const left = scrollHeight - clientHeight - scrollTop;
    const up = scrollTop < this.#lastTop;
    this.#lastTop = scrollTop;
    // Upwards the slightest move counts: otherwise nobody could leave the bottom while comments arrive fast.
    const follows = left <= (up ? 2 : BOTTOM_PX) && this.#showsNewest();
    if (follows === this.following) return;
    this.#topId = this.#timeline.entries[this.start]?.id ?? "";
    this.following = follows;
    if (follows) this.#unread = 0;
    this.changed();
  }

  #showsNewest() {
    const { entries, detached } = this.#timeline;
    return !detached && (this.following || this.start + ROWS_MAX >= entries.length);
  }

  #render() {
    const anchors = this.following ? [] : this.#visibleRows();
    const { start } = this;
    const shown = this.#timeline.entries.slice(start, start + ROWS_MAX);
    this.#reconcile(shown);
    this.#announcer.say(this.following, (comment) => this.#timeline.holds(comment));
    this.#above.textContent = start === 0 ? this.#aboveText : "";
    this.#below.textContent = this.#timeline.detached ? t("newer_dropped") : "";
    this.#button.hidden = this.following;
    this.#button.textContent = newestLabel(this.#unread);
    if (this.following) {
      this.#toBottom();
    } else {
      const anchor = anchors.find(({ row }) => row.isConnected);
      if (anchor) this.#scroller.scrollTop += anchor.row.getBoundingClientRect().top - anchor.top;
      this.#lastTop = this.#scroller.scrollTop;
    }
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#lastTop = this.#scroller.scrollTop;
  }

  /** Makes the list's children exactly `shown`, with as few changes as possible. */
  #reconcile(shown) {
    const wanted = new Set(shown);
    for (const [entry, row] of this.#rows) {
      if (wanted.has(entry)) continue;
      row.remove();
      this.#rows.delete(entry);
    }
    let next = this.#list.firstElementChild;
    for (const entry of shown) {
      let row = this.#rows.get(entry);
      if (row !== undefined) {
        next = row.nextElementSibling; // rows never change their order
        continue;
      }
      row = entry.text === undefined ? commentRow(entry) : noticeRow(entry);
      this.#rows.set(entry, row);
      this.#list.insertBefore(row, next);
    }
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

function newestLabel(unread) {
  return unread === 0 ? t("newest") : t("new_comments", { n: unread });
}
