import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../../../../comment_service/page/words/", import.meta.url);

const read = (language) => JSON.parse(readFileSync(new URL(`${language}.json`, FOLDER), "utf8"));
const languages = readdirSync(FOLDER).map((name) => name.replace(".json", ""));
const english = read("en");

const placeholders = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
const NUMBERS = Array.from({ length: 1001 }, (_, n) => n);

const formsOf = (entry) => (typeof entry === "string" ? { other: entry } : entry);

test("there are six languages", () => {
  assert.deepEqual(languages.toSorted(), ["ar", "de", "en", "es", "hi", "zh"]);
});

for (const language of languages) {
  const words = read(language);

  test(`${language}: it says what English says`, () => {
    assert.deepEqual(Object.keys(words).toSorted(), Object.keys(english).toSorted());
  });

  test(`${language}: a number decides on the same texts, and there is one for each plural form of the language`, () => {
    const wanted = new Intl.PluralRules(language).resolvedOptions().pluralCategories.toSorted();
    for (const [key, entry] of Object.entries(words)) {
      assert.equal(typeof entry, typeof english[key], key);
      if (typeof entry !== "string") assert.deepEqual(Object.keys(entry).toSorted(), wanted, key);
    }
  });

  test(`${language}: each text has English's places for values; forms of single numbers may say them in words`, () => {
    const rules = new Intl.PluralRules(language);
    const isOfFew = (form) => NUMBERS.filter((n) => rules.select(n) === form).length <= 2;
    for (const [key, entry] of Object.entries(words)) {
      const wanted = placeholders(formsOf(english[key]).other);
      for (const [form, text] of Object.entries(formsOf(entry))) {
        const found = placeholders(text);
        const kept = isOfFew(form) ? wanted.filter((place) => found.includes(place)) : wanted;
        assert.deepEqual(found, kept, `${key}, ${form}`);
      }
    }
  });

  test(`${language}: no text is empty`, () => {
    for (const [key, entry] of Object.entries(words)) {
      for (const text of Object.values(formsOf(entry))) assert.ok(text.trim(), key);
    }
  });

  test(`${language}: its direction is that of its script`, () => {
    const script = new Intl.Locale(language).maximize().script;
    assert.equal(words.direction, script === "Arab" ? "rtl" : "ltr");
  });
}
