/** Loads older comments from the service, one page at a time. */
import { pageOf } from "../core/events.js";
import { t } from "../core/words.js";
import { PAGE_TIMEOUT_MS } from "../limits.js";
import { ServiceError, requestJson } from "./request.js";

export class History {
  #path;
  #signal;

  /** signal: aborts every request under way. */
  constructor(video, signal) {
    this.#path = `/comments/${encodeURIComponent(video)}`;
    this.#signal = signal;
  }

  /**
   * Up to `size` comments below the cursor (undefined: the newest), newest first, as {comments, nextCursor}.
   * nextCursor is null at the beginning of the conversation; else a page may be short or empty. Rejects with a ServiceError or an AbortError.
   */
  page(cursor, size) {
    const query = new URLSearchParams({ pagesize: size });
    if (cursor !== undefined) query.set("cursor", cursor);
    return this.#ask(query);
  }

  /**
   * Up to `size` comments from that offset on, ms from the video's start, oldest first. cursor: the nextCursor of the
   * page before, or null. Rejects as `page`.
   */
  replay(fromMs, cursor, size) {
    const query = new URLSearchParams({ from_offset_ms: fromMs, pagesize: size });
    if (cursor !== null) query.set("cursor", cursor);
    return this.#ask(query);
  }

  async #ask(query) {
    const headers = { accept: "application/json" };
    const options = { headers, signal: this.#signal, timeoutMs: PAGE_TIMEOUT_MS };
    const page = pageOf(await requestJson(`${this.#path}?${query}`, options));
    if (page === null) throw new ServiceError(t("answer_incomplete"));
    return page;
  }

  /**
   * Loads the pages from `toId` (null: the newest) down to `fromId`, at most `pagesMax` of them, and passes each page's
   * comments to `take`. Resolves with {cursor} where it stopped, or with null if all pages were loaded.
   */
  async between(fromId, toId, size, pagesMax, take) {
    let cursor = toId ?? undefined;
    for (let pages = 0; pages < pagesMax; pages += 1) {
      let page;
      try {
        page = await this.page(cursor, size);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        return { cursor };
      }
      take(page.comments.filter((comment) => comment.id > fromId));
      if (page.nextCursor === null || page.nextCursor <= fromId) return null;
      cursor = page.nextCursor;
    }
    return { cursor };
  }
}
