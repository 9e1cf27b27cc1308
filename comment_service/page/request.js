/** Calls the service with a time-out. Every failure becomes a ServiceError: a reason in words, and when to retry. */
import { RETRY_AFTER_MAX_MS } from "./limits.js";

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

/** fetch with a time-out. Rejects with a ServiceError if no response comes, with an AbortError if `signal` aborts. */
export async function request(url, { signal, timeoutMs, ...options }) {
  const signals = [AbortSignal.timeout(timeoutMs)];
  if (signal) signals.push(signal);
  try {
    return await fetch(url, { ...options, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServiceError(navigator.onLine ? "No server answers." : "You are offline.");
  }
}

/** The ServiceError for a response with an error status */
export async function errorOf(response) {
  let message = `The server answered ${response.status}.`;
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
