import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ledger } from '../lib/ledger.mjs';
import { moderate } from '../lib/moderation.mjs';
import { HelpCentre } from '../lib/retrieval.mjs';
import { summarise } from '../lib/summary.mjs';

const centre = new HelpCentre(fileURLToPath(new URL('../docs', import.meta.url)));
const promptOf = (question, sources) =>
  `Answer from these sources only:\n${sources.join('\n')}\nQuestion: ${question}`;

// question -> the article that must be among the first three, and what the answer must say
const kAsked = [
  ['Which DNS record does the bare domain need?', 'add-a-custom-domain', /ALIAS|A record/],
  ['What does exit code 137 mean in a build?', 'build-failures', /137 means that it ran out/],
  ['How long may a function run?', 'functions', /10 seconds/],
  ['How do I restore my database?', 'back-up-and-restore-a-database', /[Rr]estore/],
  ['Can functions send mail over port 25?', 'e-mail-and-mx-records', /Port 25 is closed/],
  ['How do I verify the signature of a webhook?', 'webhooks', /HMAC|Signature/],
  ['What does the Business plan cost?', 'plans-and-prices', /79 euros/],
];
for (const [question, article, expected] of kAsked) {
  test(`"${question}" is answered from ${article}`, () => {
    const sources = centre.search(question);
    const files = sources.slice(0, 3).map((source) => source.split(':')[0]);
    assert.ok(files.includes(`${article}.md`), files.join(', '));
    assert.match(summarise(promptOf(question, sources)), expected);
  });
}

test('an answer is made of sentences of its sources and nothing else', () => {
  const bank = readFileSync(new URL('../questions.txt', import.meta.url), 'utf8').split('\n');
  for (const question of bank.filter(Boolean)) {
    const sources = centre.search(question);
    assert.ok(sources.length > 0, question);
    const all = sources.join(' ');
    const answer = summarise(promptOf(question, sources));
    const sentences = answer.split(/(?<=[.!?]) (?=[A-Z])/);
    for (const sentence of sentences) assert.ok(all.includes(sentence), sentence);
  }
});

test('without sources the answer says so', () => {
  assert.match(summarise(promptOf('Is there life on Mars?', [])), /has nothing about this/);
});

test('moderation refuses what it should and nothing of the question bank', () => {
  assert.equal(moderate('Click here to EARN $500 a day').reason, 'advertising');
  assert.equal(moderate('my card is 4111 1111 1111 1111').blocked, true);
  assert.equal(moderate('my order is 4111 1111 1111 1112').blocked, false);
  assert.equal(moderate('you are all idiots').reason, 'abuse');
  assert.equal(moderate('help '.repeat(30)).blocked, true);
  const bank = readFileSync(new URL('../questions.txt', import.meta.url), 'utf8').split('\n');
  for (const question of bank) assert.equal(moderate(question).blocked, false, question);
});

test('a hold is made once per key, and a released one does not come back', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, other] = [new Ledger(folder), new Ledger(folder)];
  const id = one.hold('run/hold', 'c1', 1);
  assert.equal(other.hold('run/hold', 'c1', 1), id);
  assert.deepEqual(one.find(id), { id, key: 'run/hold', client: 'c1', amount: 1, released: false });
  other.release(id);
  other.release(id);
  assert.equal(one.find(id).released, true);
  assert.equal(one.hold('run/hold', 'c1', 1), null);
  one.release('run2/hold'); // the step ended unsure: the release may overtake the hold
  assert.equal(other.hold('run2/hold', 'c2', 1), null);
});
