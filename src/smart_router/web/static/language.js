// Which language a text's letters belong to, so that fonts and voices suit it. Pure.

// One language stands for a script that several share: Devanagari is read as Hindi.
const SCRIPTS = [
  ["hi", /\p{Script=Devanagari}/gu],
  ["bn", /\p{Script=Bengali}/gu],
  ["pa", /\p{Script=Gurmukhi}/gu],
  ["gu", /\p{Script=Gujarati}/gu],
  ["or", /\p{Script=Oriya}/gu],
  ["ta", /\p{Script=Tamil}/gu],
  ["te", /\p{Script=Telugu}/gu],
  ["kn", /\p{Script=Kannada}/gu],
  ["ml", /\p{Script=Malayalam}/gu],
  ["ur", /\p{Script=Arabic}/gu],
];
const LOOKED_AT = 400; // characters
const LATIN = /\p{Script=Latin}/gu;

/** A language tag where most letters are of one of these scripts, else null: the page's own language will do. */
export function languageOf(text) {
  const begin = text.slice(0, LOOKED_AT);
  const counts = SCRIPTS.map(([language, script]) => [language, begin.match(script)?.length ?? 0]);
  const [language, most] = counts.reduce((best, next) => (next[1] > best[1] ? next : best));
  return most > (begin.match(LATIN)?.length ?? 0) ? language : null;
}
