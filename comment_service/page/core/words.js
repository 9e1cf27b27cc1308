/**
 * Every word that the page says, in the reader's language: `t("key", {n: 3})`. The words stand in words/*.json, one
 * file for each language. A value is a text, or, where a number decides, one text for each of the language's plural
 * forms (Intl.PluralRules) of `n`. `{name}` in a text stands for a value; numbers are written as the language does.
 */
let words = {};
let tag = "en";
let plurals = new Intl.PluralRules(tag);
let numbers = new Intl.NumberFormat(tag);

/** The page sets them once, before it shows anything. locale: a tag as "de-AT" */
export function setWords(locale, table) {
  words = table;
  tag = locale;
  plurals = new Intl.PluralRules(locale);
  numbers = new Intl.NumberFormat(locale);
}

/** The text of that key. A key without a text stands for itself, so that it is noticed. */
export function t(key, values = {}) {
  const entry = words[key] ?? key;
  const text = typeof entry === "string" ? entry : entry[plurals.select(values.n)] ?? entry.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? numbers.format(value) : value ?? whole;
  });
}

/** The tag for Intl: of the reader's language, and where it is known of the region. */
export function locale() {
  return tag;
}

/**
 * The first wanted tag whose language there is, as {language, locale}; English if there is none.
 * wanted: tags, the best first, as navigator.languages has them
 */
export function pickLanguage(wanted, available) {
  for (const tag of wanted) {
    const language = languageOf(tag);
    if (available.includes(language)) return { language, locale: tag };
  }
  return { language: "en", locale: "en" };
}

/** "de" of "de-AT" */
export function languageOf(tag) {
  return tag.toLowerCase().split("-")[0];
}
