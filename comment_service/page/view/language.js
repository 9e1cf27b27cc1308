/** The reader's language: the one chosen here, or else the browser's. */
import { languageOf, locale } from "../core/words.js";
import { languages } from "../net/words.js";

const KEY = "language";

/** Tags, the best first, as navigator.languages has them */
export function wantedLanguages() {
  const chosen = kept();
  if (!chosen) return navigator.languages;
  const regional = navigator.languages.filter((tag) => languageOf(tag) === chosen); // how they write numbers and dates
  return [...regional, chosen, ...navigator.languages];
}

/** Lists the languages, each in its own words. A choice is kept, and shows the page anew. */
export class LanguageMenu {
  #select = document.getElementById("language");

  constructor() {
    for (const language of languages()) {
      const option = new Option(nameOf(language), language);
      option.lang = language;
      this.#select.append(option);
    }
    this.#select.value = languageOf(locale());
    this.#select.addEventListener("change", () => {
      keep(this.#select.value);
      location.reload();
    });
  }
}

function nameOf(language) {
  return new Intl.DisplayNames(language, { type: "language" }).of(language);
}

/** Private windows of some browsers have no localStorage. Then there is only the browser's language. */
function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function keep(language) {
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // The page that comes speaks the browser's language.
  }
}
