// What the help desk does not answer. Each rule looks at the whole text and says why it objects.

const kAbuse = /\b(?:idiots?|morons?|shut up|(?:kill|hurt) (?:you|yourself|him|her|them))\b/i;
const kAdvert = new RegExp(
  '\\b(?:buy now|click here|limited offer|100% free|earn \\$?\\d+|work from home|casino|' +
    'crypto giveaway|seo services)\\b',
  'i',
);

/** A payment card number, told from other digits by its check digit. */
function hasCardNumber(text) {
  for (const [digits] of text.matchAll(/\b(?:\d[ -]?){13,19}\b/g)) {
    const plain = digits.replace(/\D/g, '');
    let sum = 0;
    for (let i = 0; i < plain.length; i += 1) {
      const digit = Number(plain[plain.length - 1 - i]) * (i % 2 === 1 ? 2 : 1);
      sum += digit > 9 ? digit - 9 : digit;
    }
    if (plain.length >= 13 && sum % 10 === 0) return true;
  }
  return false;
}

function isShouting(text) {
  const letters = text.replace(/[^\p{L}]/gu, '');
  return letters.length > 40 && letters.replace(/[^\p{Lu}]/gu, '').length > letters.length * 0.8;
}

const kRules = [
  ['abuse', (text) => kAbuse.test(text)],
  ['advertising', (text) => kAdvert.test(text)],
  ['too many links', (text) => (text.match(/https?:\/\//g) ?? []).length > 3],
  ['a payment card number: never send one', hasCardNumber],
  ['a private key: never send one', (text) => /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)],
  ['shouting', isShouting],
  ['the same again and again', (text) => /(.{2,20}?)\1{9,}/s.test(text)],
];

/** `{ blocked, reason }` for a question. */
export function moderate(text) {
  const broken = kRules.find(([, breaks]) => breaks(text));
  return broken ? { blocked: true, reason: broken[0] } : { blocked: false, reason: '' };
}
