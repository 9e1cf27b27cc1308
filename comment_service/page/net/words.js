/** Loads the words of a language. index.html lists their files, so the file names stand in one place. */
import { PAGE_RETRY_FIRST_MS, PAGE_TIMEOUT_MS } from "../limits.js";

/** The languages that there are */
export function languages() {
  return links().map((link) => link.hreflang);
}

/** Tries until it has them: without words the page could say nothing, not even why. */
export async function loadWords(language) {
  const link = links().find((one) => one.hreflang === language);
  for (;;) {
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(), PAGE_TIMEOUT_MS);
    try {
      const response = await fetch(link.href, { signal: ended.signal });
      if (response.ok) return await response.json();
    } catch {
      // There is no network, or no server. Both may come back.
    } finally {
      clearTimeout(timer);
    }
    await new Promise((resolve) => setTimeout(resolve, PAGE_RETRY_FIRST_MS));
  }
}

function links() {
  return [...document.querySelectorAll('link[rel~="words"]')];
}
