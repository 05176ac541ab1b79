// Words as retrieval and summary see them: lower case, without endings and empty words.

const kStopWords = new Set(
  `a about after again all also am an and any are as at be because been before being both but by
  can cannot could did do does doing don done down during each else few for from further get gets
  got had has have having he her here him his how i if in into is it its itself just me more most my
  need no nor not now of off on once only or other our out over own s same she should so some such
  t than that the their them then there these they this those through to too under until up us very
  was we were what when where which while who whom why will with would you your`.split(/\s+/),
);

/** A rough English stem, so that `domains`, `deploying` and `deployed` meet their word. */
export function stem(word) {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (word.length > 5 && word.endsWith('ing')) return undouble(word.slice(0, -3));
  if (word.length > 4 && word.endsWith('ed')) return undouble(word.slice(0, -2));
  if (word.length > 4 && /(?:s|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  if (word.length > 3 && word.endsWith('s') && !word.endsWith('ss')) return word.slice(0, -1);
  return word.length > 4 && word.endsWith('e') ? word.slice(0, -1) : word;
}

function undouble(word) {
  const doubled = word.length > 3 && word.at(-1) === word.at(-2) && !/[lsz]/.test(word.at(-1));
  return doubled ? word.slice(0, -1) : word.endsWith('e') ? word.slice(0, -1) : word;
}

/** The term under which a word is indexed; null if it is left out. */
export function term(word) {
  const lower = word.toLowerCase();
  return kStopWords.has(lower) ? null : stem(lower);
}

export function words(text) {
  return text.match(/[\p{L}\p{N}_.]*[\p{L}\p{N}]/gu) ?? [];
}

export function terms(text) {
  return words(text).map(term).filter((t) => t !== null);
}
