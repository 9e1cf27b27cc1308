/** Puts the reader's words into the parts of index.html that stand still. */
import { locale, t } from "../core/words.js";

const PLACES = [
  ["data-words", (element, text) => (element.textContent = text)],
  ["data-words-placeholder", (element, text) => element.setAttribute("placeholder", text)],
  ["data-words-label", (element, text) => element.setAttribute("aria-label", text)],
  ["data-words-title", (element, text) => element.setAttribute("title", text)],
];

/** Call it once, when the words are there. */
export function translateDocument() {
  document.documentElement.lang = locale();
  document.documentElement.dir = t("direction");
  for (const [attribute, put] of PLACES) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) put(element, t(element.getAttribute(attribute)));
  }
}
