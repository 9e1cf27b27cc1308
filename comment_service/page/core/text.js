/** Makes text by strangers fit to be shown: names, and messages in parts. What is returned is still only text. */
import { MESSAGE_LINES_SHOWN, MESSAGE_SHOWN } from "../limits.js";

// Embeddings, overrides, isolates and marks of direction: with them a name reads as another one. And what is invisible.
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const INVISIBLE = /[\p{Cc}\p{Zl}\p{Zp}\u00ad\u200b\u2060-\u2064\ufeff]/gu;

/** The name on one line, without what reorders or hides its letters */
export function cleanName(name) {
  return name.replace(INVISIBLE, " ").replace(BIDI, "").replace(/\s+/g, " ").trim() || "?";
}

const PART = new RegExp(
  "(?<link>https?://[^\\s<>\"\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]+)" +
    "|(?<mention>@[\\p{L}\\p{N}_][\\p{L}\\p{N}\\p{M}_-]*)",
  "giu",
);
const WORD_END = /[\p{L}\p{N}_]$/u; // of ann@example: no mention
const BEHIND_A_LINK = /[.,:;!?'")\]}…。，、！？）」』]+$/u;

/** The message in parts: {text}, {text, href} for a link, {text, mention: name without the @} */
export function partsOf(message) {
  if (!message.includes("@") && !message.includes("://")) return [{ text: message }]; // most have neither
  const parts = [];
  let end = 0;
  const add = (text) => text && parts.push({ text });
  for (const match of message.matchAll(PART)) {
    const { link, mention } = match.groups;
    const text = link ? link.replace(BEHIND_A_LINK, "") : mention;
    const href = link && hrefOf(text);
    if (link ? href === null : WORD_END.test(message.slice(Math.max(0, match.index - 2), match.index))) continue;
    add(message.slice(end, match.index));
    parts.push(link ? { text, href } : { text, mention: mention.slice(1) });
    end = match.index + text.length;
  }
  add(message.slice(end));
  return parts;
}

function hrefOf(text) {
  try {
    const url = new URL(text);
    return url.hostname && !url.username ? url.href : null; // https://bank.com@evil.org is no link to a bank
  } catch {
    return null;
  }
}

const SYMBOL = "(?:\\p{RI}\\p{RI}|\\p{Extended_Pictographic}[\\ufe0f\\u{1f3fb}-\\u{1f3ff}]?(?:\\u200d\\p{Extended_Pictographic}[\\ufe0f\\u{1f3fb}-\\u{1f3ff}]?)*[\\u{e0020}-\\u{e007f}]*)";
const FEW_SYMBOLS = new RegExp(`^${SYMBOL}(?:\\s?${SYMBOL}){0,2}$`, "u");

const HEAPS = /(\p{M}{6})\p{M}+/gu;

/** The message without heaps of marks, which would cover the rows around it. No language puts so many on a letter. */
export function calm(message) {
  return message.replace(HEAPS, "$1");
}

/** Whether the message is nothing but one to three emoji */
export function isBig(message) {
  return FEW_SYMBOLS.test(message) && !/^[©®™‼⁉\s]+$/u.test(message);
}

const graphemes = "Segmenter" in Intl ? new Intl.Segmenter(undefined, { granularity: "grapheme" }) : null;

/** The beginning of the text, at most so many UTF-16 units, cut between characters as people see them */
export function cut(text, units) {
  if (text.length <= units) return text;
  if (graphemes) return text.slice(0, graphemes.segment(text).containing(units).index);
  const halves = /[\ud800-\udbff]$/.test(text.slice(0, units)); // an older browser: at least no half of a pair
  return text.slice(0, units - (halves ? 1 : 0));
}

/** What of a long message is shown at first; null: all of it */
export function beginningOf(message) {
  let end = -1;
  for (let lines = 0; lines < MESSAGE_LINES_SHOWN; lines += 1) {
    end = message.indexOf("\n", end + 1);
    if (end < 0) break;
  }
  const byLines = end < 0 ? message : message.slice(0, end);
  if (byLines.length <= MESSAGE_SHOWN + MESSAGE_SHOWN / 4 && byLines === message) return null;
  return cut(byLines, MESSAGE_SHOWN).trimEnd();
}
