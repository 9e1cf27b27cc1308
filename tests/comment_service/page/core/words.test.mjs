import assert from "node:assert/strict";
import { test } from "node:test";
import { locale, pickLanguage, setWords, t } from "../../../../comment_service/page/core/words.js";

test("values and numbers are written into the text", () => {
  setWords("de-AT", { hello: "Hallo {name}, {n} Leute", n: "{unknown}" });
  assert.equal(t("hello", { name: "Ann", n: 12345 }), "Hallo Ann, 12\u00a0345 Leute");
  assert.equal(t("n"), "{unknown}");
  assert.equal(locale(), "de-AT");
});

test("a number chooses the plural form of the language", () => {
  const forms = { zero: "zero", one: "one", two: "two", few: "few", many: "many", other: "other" };
  setWords("ar", { x: forms });
  assert.deepEqual([0, 1, 2, 3, 11, 100].map((n) => t("x", { n })), ["zero", "one", "two", "few", "many", "other"]);
  setWords("en", { x: { one: "one", other: "other" } });
  assert.deepEqual([0, 1, 2].map((n) => t("x", { n })), ["other", "one", "other"]);
});

test("what a value contains is not read as a place for another", () => {
  setWords("en", { x: "{a} {b}" });
  assert.equal(t("x", { a: "{b} $& $1", b: "B" }), "{b} $& $1 B");
});

test("a key without a text stands for itself", () => {
  setWords("en", {});
  assert.equal(t("nothing"), "nothing");
});

test("the first wanted language that there is is picked, with its region", () => {
  assert.deepEqual(pickLanguage(["fr-CA", "de-AT", "en"], ["en", "de"]), { language: "de", locale: "de-AT" });
  assert.deepEqual(pickLanguage(["fr"], ["en", "de"]), { language: "en", locale: "en" });
  assert.deepEqual(pickLanguage([], ["en"]), { language: "en", locale: "en" });
});
