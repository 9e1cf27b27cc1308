/** Older comments, a page at a time, from the JSON face of the API. */
import { ask, refusalOf } from "./answers.js";
import { PAGE_TIMEOUT_MS } from "./limits.js";

export class History {
  #path;
  #signal;

  /** signal: ends every request under way. */
  constructor(video, signal) {
    this.#path = `/comments/${encodeURIComponent(video)}`;
    this.#signal = signal;
  }

  /**
   * Up to `size` comments below the cursor (undefined: the newest), newest first, as {comments, nextCursor}.
   * nextCursor is null at the beginning of the talk. Rejects with a Refusal or an AbortError.
   */
  async page(cursor, size) {
    const query = new URLSearchParams({ pagesize: size });
    if (cursor !== undefined) query.set("cursor", cursor);
    const headers = { accept: "application/json" };
    const response = await ask(`${this.#path}?${query}`, { headers, signal: this.#signal, timeoutMs: PAGE_TIMEOUT_MS });
    if (!response.ok) throw await refusalOf(response);
    return response.json();
  }

  /**
   * The pages from `toId` (null: the newest) down to `fromId`, at most `pagesMax` of them. Hands each page's comments
   * to `take`; resolves with where it stopped, or null if nothing is missing any more.
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
      if (page.nextCursor === null || page.comments.at(-1).id <= fromId) return null;
      cursor = page.nextCursor;
    }
    return { cursor };
  }
}
