import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RawSocket, openClient, openEchoWorker, startEngine } from './engine.mjs';

const timeout = 40_000;
process.env.SLUICE_LIMITS_PENDING ??= '64'; // few, so that they fit one read of the socket
let engine;
let worker;
let names = 0;

before(async () => {
  engine = await startEngine();
  worker = await openEchoWorker(engine);
});
after(async () => {
  worker?.end();
  await engine?.end();
});

const newName = () => `c${(names += 1)}`;
const newToken = () => engine.clientToken(newName());
const bare = () => RawSocket.open(engine, '/v1/ws', 'sluice.v1.json');

/** Sends one question and waits for its answer. */
async function ask(socket, id, text) {
  socket.say({ t: 'send', id, topic: 'asks', data: { text } });
  const accepted = await socket.next('accepted', { id });
  const [run] = accepted.runs;
  const answer = await socket.next('delivery', { run, outcome: true });
  return { accepted, answer };
}

test('welcome says who, where and how much', { timeout }, async () => {
  const name = newName();
  const socket = await openClient(engine, await engine.clientToken(name));
  const { client, session, epoch, offset, recovered, limits } = socket.welcome;
  assert.equal(client, name);
  assert.equal(typeof session, 'string');
  assert.equal(typeof epoch, 'string');
  assert.equal(offset, 0);
  assert.equal(recovered, true);
  assert.ok(limits.pending >= 1 && limits.frame_bytes >= 1024);
  socket.end();
});

test('the token may be in the header or in the address', { timeout }, async () => {
  const token = await newToken();
  const byHeader = await RawSocket.open(engine, '/v1/ws', 'sluice.v1.json', {
    authorization: `Bearer ${token}`,
  });
  byHeader.say({ t: 'hello' });
  await byHeader.next('welcome');
  const byAddress = await RawSocket.open(engine, `/v1/ws?access_token=${token}`, 'sluice.v1.json');
  byAddress.say({ t: 'hello' });
  await byAddress.next('welcome');
  byHeader.end();
  byAddress.end();
});

test('an event of an older version is upgraded', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  socket.say({ t: 'send', id: 'a', topic: 'asks', version: 1, data: { question: 'why' } });
  const { runs } = await socket.next('accepted', { id: 'a' });
  const answer = await socket.next('delivery', { run: runs[0], outcome: true });
  assert.equal(answer.data.text, 'why?');
  socket.say({ t: 'send', id: 'b', topic: 'asks', version: 1, data: { text: 'why' } });
  const rejected = await socket.next('rejected', { id: 'b' });
  assert.equal(rejected.code, 'invalid');
  assert.deepEqual(rejected.errors.map((each) => each.path), ['/text', '/question']);
  socket.end();
});

test('an event is accepted, noticed, answered', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  socket.say({ t: 'send', id: 'a', topic: 'asks', data: { text: 'hello' }, correlation: 'talk-1' });
  const accepted = await socket.next('accepted', { id: 'a' });
  assert.equal(accepted.duplicate, false);
  assert.equal(accepted.correlation, 'talk-1');
  assert.equal(accepted.runs.length, 1);
  assert.equal(typeof accepted.event, 'string');
  assert.equal(typeof accepted.seq, 'number');
  const heard = await socket.next('delivery', { name: 'Heard' });
  const answer = await socket.next('delivery', { name: 'Answer' });
  assert.deepEqual(heard.data, { text: 'hello' });
  assert.equal(heard.outcome, undefined);
  assert.deepEqual(answer.data, { text: 'hello' });
  assert.equal(answer.outcome, true);
  assert.deepEqual([heard.offset, answer.offset], [1, 2]);
  for (const delivery of [heard, answer]) {
    assert.equal(delivery.run, accepted.runs[0]);
    assert.equal(delivery.correlation, 'talk-1');
    assert.equal(typeof delivery.causation, 'string');
  }
  socket.end();
});

test('a repeated id gets the first answer, whatever its data', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  const { accepted } = await ask(socket, 'same', 'one');
  socket.say({ t: 'send', id: 'same', topic: 'asks', data: { text: 'two' } });
  const again = await socket.next('accepted', { id: 'same' });
  assert.deepEqual(again, { ...accepted, duplicate: true });
  socket.end();
});

test('a repeat is known on another session of the client', { timeout }, async () => {
  const token = await newToken();
  const one = await openClient(engine, token);
  const { accepted } = await ask(one, 'same', 'one');
  const other = await openClient(engine, token);
  assert.notEqual(other.welcome.session, one.welcome.session);
  other.say({ t: 'send', id: 'same', topic: 'asks', data: { text: 'one' } });
  assert.deepEqual(await other.next('accepted'), { ...accepted, duplicate: true });
  one.end();
  other.end();
});

test('seq rises in the order of sending', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  const count = Math.min(10, socket.welcome.limits.pending);
  for (let n = 0; n < count; n += 1) {
    socket.say({ t: 'send', id: `n${n}`, topic: 'asks', data: { text: `n${n}` } });
  }
  const seqs = [];
  for (let n = 0; n < count; n += 1) {
    seqs.push((await socket.next('accepted', { id: `n${n}` })).seq);
  }
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
  assert.equal(new Set(seqs).size, count);
  socket.end();
});

// what is wrong -> the send, and what the answer must say
const kRejected = {
  'an unknown topic': [{ topic: 'nowhere', data: {} }, { code: 'unknown_topic' }],
  'a missing field': [{ data: {} }, { code: 'invalid', path: '/text' }],
  'a wrong type': [{ data: { text: 7 } }, { code: 'invalid', path: '/text' }],
  'a broken constraint': [{ data: { text: '' } }, { code: 'invalid', path: '/text' }],
  'an unknown field': [{ data: { text: 'a', more: 1 } }, { code: 'invalid', path: '/more' }],
  'a wrong element': [
    { data: { text: 'a', tags: ['b', 3] } }, { code: 'invalid', path: '/tags/1' },
  ],
  'a fraction for an int': [
    { data: { text: 'a', times: 1.5 } }, { code: 'invalid', path: '/times' },
  ],
};
for (const [what, [send, { code, path }]] of Object.entries(kRejected)) {
  test(`rejected: ${what}`, { timeout }, async () => {
    const socket = await openClient(engine, await newToken());
    socket.say({ t: 'send', id: 'x', topic: 'asks', ...send });
    const rejected = await socket.next('rejected', { id: 'x' });
    assert.equal(rejected.code, code);
    assert.ok(rejected.message.length > 0);
    if (path) assert.ok(rejected.errors.some((e) => e.path === path), JSON.stringify(rejected));
    await ask(socket, 'x', 'a rejected id stays free');
    socket.end();
  });
}

for (const [what, data] of Object.entries({
  'duplicate keys': '{"text":"a","text":"b"}',
  'a lone surrogate': '{"text":"\\ud800"}',
  'a number out of range': '{"text":"a","times":9223372036854775808}',
  'U+0000': '{"text":"a\\u0000"}',
})) {
  test(`rejected in the data: ${what}`, { timeout }, async () => {
    const socket = await openClient(engine, await newToken());
    socket.say(`{"t":"send","id":"x","topic":"asks","data":${data}}`);
    assert.equal((await socket.next('rejected', { id: 'x' })).code, 'invalid');
    socket.end();
  });
}

// misuse -> what is said after hello, and the close code
const kMisuse = {
  'an unknown frame': ['{"t":"dance"}', 4400],
  'no JSON': ['hello?', 4400],
  'no object': ['[1]', 4400],
  'a frame without t': ['{"id":"a"}', 4400],
  'a second hello': ['{"t":"hello"}', 4400],
  'an ack of what was never sent': ['{"t":"ack","offset":1000000}', 4400],
};
for (const [what, [frame, code]] of Object.entries(kMisuse)) {
  test(`closed with ${code}: ${what}`, { timeout }, async () => {
    const socket = await openClient(engine, await newToken());
    socket.say(frame);
    assert.equal(await socket.closed, code);
  });
}

test('closed with 4400: a frame before hello', { timeout }, async () => {
  const socket = await bare();
  socket.say({ t: 'send', id: 'a', topic: 'asks', data: { text: 'a' } });
  assert.equal((await socket.next('error')).code !== undefined, true);
  assert.equal(await socket.closed, 4400);
});

test('closed with 4401: a token that nobody signed', { timeout }, async () => {
  const token = await newToken();
  for (const bad of ['', 'nonsense', `${token.slice(0, -6)}AAAAAA`]) {
    const socket = await bare();
    socket.say({ t: 'hello', token: bad });
    assert.equal(await socket.closed, 4401);
  }
});

test('closed with 4408: no hello in time', { timeout }, async () => {
  const socket = await bare();
  assert.equal(await socket.closed, 4408);
});

test('closed with 4413: a frame beyond the limit, and never truncated', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  const text = 'x'.repeat(socket.welcome.limits.frame_bytes);
  socket.say({ t: 'send', id: 'big', topic: 'asks', data: { text } });
  assert.equal(await socket.closed, 4413);
});

test('closed with 4409: a newer socket of the same session', { timeout }, async () => {
  const token = await newToken();
  const old = await openClient(engine, token);
  const young = await openClient(engine, token, { session: old.welcome.session });
  assert.equal(young.welcome.session, old.welcome.session);
  assert.equal(await old.closed, 4409);
  await ask(young, 'a', 'still here');
  young.end();
});

test('resume: what was missed follows, and nothing else', { timeout }, async () => {
  const token = await newToken();
  const first = await openClient(engine, token);
  await ask(first, 'a', 'one');
  const { answer } = await ask(first, 'b', 'two');
  assert.equal(answer.offset, 4);
  first.end();
  const resume = { epoch: first.welcome.epoch, offset: 3 };
  const second = await openClient(engine, token, { resume });
  assert.equal(second.welcome.offset, 3);
  assert.equal(second.welcome.recovered, true);
  assert.deepEqual(await second.next('delivery'), answer);
  await second.handled();
  assert.deepEqual(second.unread, []);
  second.end();
});

test('resume beyond what there is: recovered is false', { timeout }, async () => {
  const token = await newToken();
  const first = await openClient(engine, token);
  const resume = { epoch: first.welcome.epoch, offset: 999 };
  const second = await openClient(engine, token, { resume });
  assert.equal(second.welcome.recovered, false);
  first.end();
  second.end();
});

test('a session without resume goes on after its acknowledgement', { timeout }, async () => {
  const token = await newToken();
  const first = await openClient(engine, token);
  const { session } = first.welcome;
  await ask(first, 'a', 'one');
  await ask(first, 'b', 'two');
  first.say({ t: 'ack', offset: 2 });
  await first.handled();
  first.end();
  const second = await openClient(engine, token, { session });
  assert.equal(second.welcome.offset, 2);
  assert.equal((await second.next('delivery')).offset, 3);
  assert.equal((await second.next('delivery')).offset, 4);
  second.end();
});

test('a new session begins after the newest delivery', { timeout }, async () => {
  const token = await newToken();
  const first = await openClient(engine, token);
  await ask(first, 'a', 'one');
  const second = await openClient(engine, token);
  assert.equal(second.welcome.offset, 2);
  const { answer } = await ask(second, 'b', 'two');
  assert.equal((await first.next('delivery', { run: answer.run, outcome: true })).offset, 4);
  first.end();
  second.end();
});

test('`slow` is followed by `ok`, also if all that waited is rejected', { timeout }, async () => {
  const socket = await openClient(engine, await newToken());
  const { accepted } = await ask(socket, 'a', 'one'); // its run has ended: no cancel is accepted
  const [run] = accepted.runs;
  const count = Math.ceil(socket.welcome.limits.pending * 0.9);
  socket.ws._socket.cork(); // in one piece, so that they are there before the first answer is
  for (let n = 0; n < count; n += 1) socket.say({ t: 'cancel', id: `c${n}`, run });
  socket.ws._socket.uncork();
  const slow = await socket.next('slow');
  assert.ok(slow.pending > 0 && slow.retry_after_ms > 0);
  await socket.next('ok');
  for (let n = 0; n < count; n += 1) await socket.next('rejected', { id: `c${n}` });
  socket.end();
});
