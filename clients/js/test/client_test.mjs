import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import { Client, ConnectionClosed, Rejected } from '../index.mjs';
import { FakeEngine, until } from './fake_engine.mjs';

const welcome = {
  session: 's1', client: 'c1', epoch: 'e1', offset: 0, recovered: true,
  limits: { pending: 4, frame_bytes: 65536 },
};
const timeout = 10_000;
let engine;
let client;

beforeEach(async () => {
  engine = await FakeEngine.start();
});
afterEach(() => {
  client?.close();
  engine.stop();
});

/** A client and the engine's side of its first socket. */
async function connected(options = {}, answer = welcome) {
  const backoff = { firstMs: 5, mostMs: 20 };
  client = new Client({ url: engine.url, token: 'T', backoff, ...options });
  client.connect();
  const peer = await engine.peer(answer);
  await until(() => client.live);
  return peer;
}

const delivery = (offset, data = {}) => ({
  t: 'delivery', offset, name: 'Answer', data, run: `r${offset}`, correlation: 'c', causation: 'e',
});

const accept = (peer, id, seq, more = {}) =>
  peer.say({
    t: 'accepted', id, event: `v${seq}`, seq, runs: [], correlation: 'c', duplicate: false, ...more,
  });

test('hello carries the token, and the subprotocol is asked for', { timeout }, async () => {
  const peer = await connected();
  assert.deepEqual(peer.hello, { t: 'hello', token: 'T' });
  assert.equal(peer.request.headers['sec-websocket-protocol'], 'sluice.v1.json');
  assert.equal(peer.request.url, '/v1/ws');
});

test('what was not accepted is sent again under the same id, in order', { timeout }, async () => {
  const first = await connected();
  const sends = [1, 2, 3].map((n) => client.send('asks', { n }));
  const sent = [await first.next('send'), await first.next('send'), await first.next('send')];
  assert.deepEqual(sent.map((frame) => frame.id), ['s1:1', 's1:2', 's1:3']);
  accept(first, 's1:1', 1);
  await sends[0];
  first.drop();

  const second = await engine.peer(welcome);
  assert.equal(second.hello.session, 's1');
  assert.deepEqual(second.hello.resume, { epoch: 'e1', offset: 0 });
  for (const n of [2, 3]) {
    const frame = await second.next('send');
    assert.equal(frame.id, `s1:${n}`);
    assert.deepEqual(frame.data, { n });
    accept(second, frame.id, n, { duplicate: true });
  }
  assert.equal((await sends[1]).duplicate, true);
  assert.equal((await sends[2]).seq, 3);
  assert.equal(client.pending, 0);
});

test('each delivery is handled once, in order, over reconnects', { timeout }, async () => {
  const handled = [];
  const first = await connected({ onDelivery: (d) => handled.push(d.offset) });
  for (const offset of [1, 2, 3]) first.say(delivery(offset));
  await until(() => handled.length === 3);
  first.drop();
  const second = await engine.peer({ ...welcome, offset: 3 });
  assert.deepEqual(second.hello.resume, { epoch: 'e1', offset: 3 });
  // A server that has not seen the acknowledgement may repeat.
  for (const offset of [2, 3, 4, 4, 5]) second.say(delivery(offset));
  await until(() => handled.length === 5);
  assert.deepEqual(handled, [1, 2, 3, 4, 5]);
});

test('acknowledgements are coalesced and cover everything', { timeout }, async () => {
  const peer = await connected({ onDelivery: () => {} });
  for (let offset = 1; offset <= 40; offset += 1) peer.say(delivery(offset));
  let acks = 0;
  for (let acked = 0; acked < 40; acks += 1) acked = (await peer.next('ack')).offset;
  assert.ok(acks <= 10, `${acks} acknowledgements for 40 deliveries`);
});

test('an acknowledgement that may have been lost is given again', { timeout }, async () => {
  const first = await connected({ onDelivery: () => {} });
  first.say(delivery(1));
  await first.next('ack');
  first.drop();
  const second = await engine.peer({ ...welcome, offset: 1 });
  assert.equal((await second.next('ack')).offset, 1);
});

test('a new epoch begins a new numbering', { timeout }, async () => {
  const handled = [];
  const first = await connected({ onDelivery: (d) => handled.push([d.epoch, d.offset]) });
  first.say(delivery(1));
  first.say(delivery(2));
  await until(() => handled.length === 2);
  first.drop();
  const second = await engine.peer({ ...welcome, epoch: 'e2', offset: 0, recovered: false });
  second.say(delivery(1));
  await until(() => handled.length === 3);
  assert.deepEqual(handled, [['e1', 1], ['e1', 2], ['e2', 1]]);
});

test('recovered:false is told to the application', { timeout }, async () => {
  const first = await connected({ onDelivery: () => {} });
  first.drop();
  const lost = once(client, 'lost');
  await engine.peer({ ...welcome, offset: 7, recovered: false });
  assert.deepEqual((await lost)[0], { epoch: 'e1', offset: 7 });
});

test('a hole in the numbering is told', { timeout }, async () => {
  const peer = await connected({ onDelivery: () => {} });
  const gap = once(client, 'gap');
  peer.say(delivery(2));
  assert.equal((await gap)[0].offset, 2);
});

test('busy: the same id goes out again after the pause', { timeout }, async () => {
  const peer = await connected();
  const send = client.send('asks', { n: 1 });
  const { id } = await peer.next('send');
  const refused = Date.now();
  peer.say({ t: 'rejected', id, code: 'busy', message: 'later', retry_after_ms: 80 });
  const again = await peer.next('send');
  assert.equal(again.id, id);
  assert.ok(Date.now() - refused >= 75, 'came back before it was told to');
  accept(peer, id, 1, { runs: ['r'] });
  assert.deepEqual((await send).runs, ['r']);
});

test('a refusal for good reaches the caller with its places', { timeout }, async () => {
  const peer = await connected();
  const send = client.send('asks', { text: 7 });
  const { id } = await peer.next('send');
  const errors = [{ path: '/text', message: 'not a string' }];
  peer.say({ t: 'rejected', id, code: 'invalid', message: 'invalid', errors });
  await assert.rejects(send, (error) => {
    assert.ok(error instanceof Rejected);
    assert.equal(error.code, 'invalid');
    assert.deepEqual(error.errors, errors);
    return true;
  });
});

test('no more than `pending` sends are on the wire', { timeout }, async () => {
  const peer = await connected();
  const sends = Array.from({ length: 10 }, (_, n) => client.send('asks', { n }));
  for (let n = 0; n < 4; n += 1) await peer.next('send');
  peer.say({ t: 'pong' });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(peer.waiting('send').length, 0);
  for (let n = 1; n <= 10; n += 1) {
    accept(peer, `s1:${n}`, n);
  }
  await Promise.all(sends);
});

test('slow stops sending until ok', { timeout }, async () => {
  const peer = await connected();
  peer.say({ t: 'slow', pending: 9, retry_after_ms: 60_000 });
  peer.say({ t: 'delivery', ...delivery(1) });
  await once(client, 'delivery');
  const send = client.send('asks', { n: 1 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(peer.waiting('send').length, 0);
  peer.say({ t: 'ok' });
  const { id } = await peer.next('send');
  accept(peer, id, 1);
  await send;
});

for (const code of [4400, 4401, 4409, 4413, 1002, 1007]) {
  test(`close ${code} is final and fails what is under way`, { timeout }, async () => {
    const peer = await connected();
    const send = client.send('asks', {});
    await peer.next('send');
    peer.close(code, 'no');
    await assert.rejects(send, (error) => error instanceof ConnectionClosed && error.code === code);
  });
}

for (const code of [4001, 4008, 1012, 1006]) {
  test(`close ${code} is followed by a new socket with a fresh token`, { timeout }, async () => {
    let tokens = 0;
    const peer = await connected({ token: () => `T${(tokens += 1)}` });
    if (code === 1006) peer.drop();
    else peer.close(code);
    const second = await engine.peer(welcome);
    assert.equal(second.hello.token, 'T2');
  });
}

test('a token is renewed on the live socket before it ends', { timeout }, async () => {
  const exp = Date.now() / 1000 + 0.3;
  const claims = Buffer.from(JSON.stringify({ exp })).toString('base64url');
  const peer = await connected({ token: () => `h.${claims}.s` });
  assert.equal((await peer.next('refresh')).token, `h.${claims}.s`);
});

test('a handler that fails gets the same delivery again, first', { timeout }, async () => {
  const handled = [];
  const warnings = [];
  let failures = 0;
  const onDelivery = (d) => {
    if (d.offset === 1 && (failures += 1) === 1) throw new Error('disk full');
    handled.push(d.offset);
  };
  const peer = await connected({ onDelivery, warn: (text) => warnings.push(text) });
  peer.say(delivery(1));
  peer.say(delivery(2));
  await until(() => handled.length === 2);
  assert.deepEqual(handled, [1, 2]);
  assert.equal(failures, 2);
  assert.match(warnings.join(), /^sluice client: the handler of deliveries failed.*disk full/);
});

test('state lets a new process go on', { timeout }, async () => {
  const peer = await connected({ onDelivery: () => {} });
  peer.say(delivery(1));
  await peer.next('ack');
  const { state } = client;
  client.close();
  assert.deepEqual(state, { session: 's1', resume: { epoch: 'e1', offset: 1 }, nextSend: 1 });
  const second = await connected({ ...state });
  assert.deepEqual(second.hello, { t: 'hello', session: 's1', resume: state.resume, token: 'T' });
});

test('a group goes on behind its last delivery after a reconnect', { timeout }, async () => {
  const first = await connected();
  const heard = [];
  const subscribed = client.subscribe('reviewers', (frame) => heard.push(frame.offset));
  const asked = await first.next('subscribe');
  assert.deepEqual([asked.group, asked.offset], ['reviewers', undefined]);
  first.say({ t: 'accepted', id: asked.id, group: 'reviewers', offset: 7 });
  // With the answer in one packet, before the promise has told anyone.
  for (const offset of [8, 9, 9]) first.say({ ...delivery(offset), group: 'reviewers' });
  assert.equal((await subscribed).offset, 7);
  await until(() => heard.length === 2);
  assert.deepEqual(heard, [8, 9]);
  assert.deepEqual(first.waiting('ack'), []);
  first.drop();

  const second = await engine.peer(welcome);
  const { group, offset } = await second.next('subscribe');
  assert.deepEqual([group, offset], ['reviewers', 9]);
  const left = client.unsubscribe('reviewers');
  second.say({ t: 'accepted', id: (await second.next('unsubscribe')).id, group: 'reviewers' });
  await left;
});

test('a stream has its pieces in order and one end, whatever happens', { timeout }, async () => {
  const told = [];
  const onToken = (piece) => told.push(`${piece.attempt}:${piece.data}`);
  const onStream = (change) => told.push(change.lost ? 'lost' : change.status);
  const peer = await connected({ onToken, onStream, tokenMs: 100, onDelivery: () => {} });
  assert.equal(peer.hello.token_ms, 100);
  const stream = (attempt, status, more = {}) => ({
    t: 'stream', run: 'r', step: 'f/s', attempt, status, ...more,
  });
  const piece = (attempt, n, data) => ({ t: 'token', run: 'r', step: 'f/s', attempt, n, data });
  peer.say(stream(1, 'open'));
  peer.say(piece(1, 0, 'a'));
  peer.say(stream(2, 'reset'));
  peer.say(piece(1, 1, 'b')); // of an attempt that is over
  peer.say(piece(2, 0, 'c'));
  await until(() => told.at(-1) === '2:c');
  peer.drop();
  const second = await engine.peer(welcome);
  second.say(stream(2, 'snapshot', { text: 'cd' }));
  second.say(piece(2, 0, 'e'));
  await until(() => told.at(-1) === '2:e');
  second.drop();
  const third = await engine.peer(welcome); // the end was on the way when the socket died
  third.say({ ...delivery(1), run: 'r', outcome: true });
  third.say(stream(2, 'complete'));
  third.say(piece(2, 1, 'f'));
  third.say({ t: 'run', run: 'r', state: 'completed' });
  await once(client, 'run');
  assert.deepEqual(told, ['open', '1:a', 'reset', '2:c', 'snapshot', '2:e', 'lost']);
  // An end that the engine tells again, as it does after a lost socket, is told here once.
  third.say(stream(1, 'open', { step: 'f/t' }));
  for (let n = 0; n < 2; n += 1) third.say(stream(1, 'failed', { step: 'f/t' }));
  third.say({ t: 'run', run: 'r', state: 'completed' });
  await once(client, 'run');
  assert.deepEqual(told.slice(7), ['open', 'failed']);
});
