/** What the service's answers say when they are no 200: the reason in words, and when to come back. */
import { RETRY_AFTER_MAX_MS } from "./limits.js";

/** The service refused, or is not there. The message is a sentence for the reader. */
export class Refusal extends Error {
  /** status: 0 if there was no answer. retryAfterMs: 0 if the service did not say. */
  constructor(message, status = 0, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same request may be right later. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** fetch with a time-out. Rejects with a Refusal when nobody answers, and with an AbortError when `signal` says so. */
export async function ask(url, { signal, timeoutMs, ...options }) {
  const signals = [AbortSignal.timeout(timeoutMs)];
  if (signal) signals.push(signal);
  try {
    return await fetch(url, { ...options, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(navigator.onLine ? "No server answers." : "You are offline.");
  }
}

/** The Refusal that an answer with an error status means */
export async function refusalOf(response) {
  let message = `The server answered ${response.status}.`;
  try {
    message = sentence((await response.json()).error.message);
  } catch {
    // A proxy's own page, or nothing: the status is all that is known.
  }
  const seconds = Number(response.headers.get("retry-after"));
  const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : 0;
  return new Refusal(message, response.status, retryAfterMs);
}

function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
