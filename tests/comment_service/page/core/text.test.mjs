import assert from "node:assert/strict";
import { test } from "node:test";
import { beginningOf, calm, cleanName, cut, isBig, partsOf } from "../../../../comment_service/page/core/text.js";

test("a name keeps its letters and loses what reorders or hides them", () => {
  assert.equal(cleanName("\u202enimda\u202c"), "nimda");
  assert.equal(cleanName("\u2066a\u2069\u200fb\u061cc"), "abc");
  assert.equal(cleanName(" a\n\tb\u2028c "), "a b c");
  assert.equal(cleanName("\u200b\u202e"), "?");
  assert.equal(cleanName("ليلى"), "ليلى");
  assert.equal(cleanName("👩‍🚀"), "👩‍🚀");
});

const link = (text, href = text) => ({ text, href });

test("links are found, without the sentence around them", () => {
  assert.deepEqual(partsOf("see https://a.example/x?y=1, and (http://b.example)."), [
    { text: "see " }, link("https://a.example/x?y=1"), { text: ", and (" }, link("http://b.example", "http://b.example/"),
    { text: ")." },
  ]);
});

test("only the web is linked, and only under its own name", () => {
  for (const text of ["javascript:alert(1)", "data:text/html,x", "https://", "https://bank.example@evil.example/",
    "ftp://a.example", "xhttps:/a"]) {
    assert.deepEqual(partsOf(text), [{ text }]);
  }
});

test("a link ends where the direction is changed", () => {
  assert.deepEqual(partsOf("https://a.example/\u202egpj.exe")[0], link("https://a.example/"));
});

test("mentions are words of their own", () => {
  assert.deepEqual(partsOf("@Ann hi, mail bo@example.org @中村"), [
    { text: "@Ann", mention: "Ann" }, { text: " hi, mail bo@example.org " }, { text: "@中村", mention: "中村" },
  ]);
});

test("the parts together are the message", () => {
  const pieces = ["https://a.example", "@a", " ", "\n", "x", "😀", "http://", "@", ".", "\u202e", "https://x@y"];
  for (let seed = 1; seed < 3000; seed += 1) {
    let state = seed;
    const next = () => (state = (state * 48271) % 2147483647);
    const text = Array.from({ length: next() % 8 }, () => pieces[next() % pieces.length]).join("");
    assert.equal(partsOf(text).map((part) => part.text).join(""), text);
  }
});

test("marks don't heap up", () => {
  assert.equal(calm(`a${"\u0301".repeat(50)}b${"\u0301".repeat(3)}`), `a${"\u0301".repeat(6)}b${"\u0301".repeat(3)}`);
});

test("one to three emoji are big", () => {
  for (const text of ["🔥", "❤️", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "🔥🔥🔥", "🔥 ❤️ 👍🏽"]) assert.ok(isBig(text), text);
  for (const text of ["", "🔥🔥🔥🔥", "a🔥", "1", "#", "©", "1️⃣ x", "x".repeat(900)]) assert.ok(!isBig(text), text);
});

test("a text is never cut within a character", () => {
  assert.equal(cut("ab👩‍👩‍👧‍👦", 5), "ab");
  assert.equal(cut("short", 5), "short");
});

test("long messages have a beginning, short ones don't", () => {
  assert.equal(beginningOf("x".repeat(300)), null);
  assert.equal(beginningOf("x".repeat(400)), "x".repeat(280));
  assert.equal(beginningOf("a\nb\nc\nd\ne\nf"), null);
  assert.equal(beginningOf("a\nb\nc\nd\ne\nf\ng"), "a\nb\nc\nd\ne\nf");
  assert.equal(beginningOf("\n".repeat(498) + "x"), "");
});
