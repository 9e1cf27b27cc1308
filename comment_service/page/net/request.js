/** Calls the service with a time-out. Every failure becomes a ServiceError: a reason in words, and when to retry. */
import { t } from "../core/words.js";
import { RETRY_AFTER_MAX_MS } from "../limits.js";

/** The service refused the request or could not be reached. The message is a sentence for the reader. */
export class ServiceError extends Error {
  /** status: of the response; null if there was none. retryAfterMs: 0 if the service named no time. */
  constructor(message, status = null, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request may succeed later. */
  get isTemporary() {
    return this.status === null || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The page's files lie in /page. What stands before that is the prefix, which a proxy may add to all paths. */
const PREFIX = import.meta.url.slice(0, import.meta.url.lastIndexOf("/page/"));

/** The URL of one of the service's paths */
export function urlOf(path) {
  return PREFIX + path;
}

/**
 * Fetches one of the service's paths. The time-out is for the body, too. Rejects with a ServiceError if no response
 * comes, with an AbortError if `signal` aborts.
 */
export async function request(path, { signal, timeoutMs, ...options }) {
  // AbortSignal.timeout and .any would do it, but Safari before 16 and 17.4 doesn't have them.
  const own = new AbortController();
  setTimeout(() => own.abort(), timeoutMs);
  signal?.addEventListener("abort", () => own.abort(), { signal: own.signal });
  if (signal?.aborted) own.abort();
  try {
    return await fetch(urlOf(path), { ...options, signal: own.signal });
  } catch {
    if (signal?.aborted) throw aborted();
    throw new ServiceError(t(navigator.onLine ? "no_server" : "offline"));
  }
}

/** As `request`, for the JSON of a good response. Rejects with a ServiceError for any other. */
export async function requestJson(path, options) {
  const response = await request(path, options);
  if (!response.ok) throw await errorOf(response);
  try {
    return await response.json();
  } catch {
    if (options.signal?.aborted) throw aborted();
    throw new ServiceError(t("answer_incomplete"));
  }
}

function aborted() {
  return new DOMException("The caller has aborted the request.", "AbortError");
}

/** The ServiceError for a response with an error status */
export async function errorOf(response) {
  let message = t("answer_status", { status: String(response.status) });
  try {
    message = sentence((await response.json()).error.message);
  } catch {
    // A proxy's own page, or an empty body: only the status is known.
  }
  const seconds = Number(response.headers.get("retry-after"));
  const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : 0;
  return new ServiceError(message, response.status, retryAfterMs);
}

function sentence(text) {
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
