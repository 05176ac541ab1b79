// Signals to live runs, over both ways in, and what is said of those that are not taken.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, openClient, startEngine } from './engine.mjs';

const timeout = 40_000;
let engine;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(async () => {
  await engine?.end();
});

/** A client of its own, with a run that it has started. */
async function talker(topic, data) {
  const name = `s${(names += 1)}`;
  const token = await engine.clientToken(name);
  const socket = await openClient(engine, token);
  socket.say({ t: 'send', id: 'start', topic, data });
  const { runs } = await socket.next('accepted', { id: 'start' });
  return { name, token, socket, run: runs[0] };
}
const more = (run, id, data) => ({ t: 'signal', id, run, event: 'More', data });
const post = (path, token, body, headers) => call(engine, 'POST', path, { token, body, headers });
const state = async (run, token) => (await call(engine, 'GET', `/v1/runs/${run}`, { token })).json;

function isProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.type, /^application\/problem\+json/);
  assert.equal(answer.json.code, code);
}

test('signals of one socket reach their run in order', { timeout }, async () => {
  const { socket, run } = await talker('talks', { text: 'a', times: 20 });
  for (let n = 1; n <= 20; n += 1) socket.say(more(run, `m${n}`, { text: `${n}` }));
  const answer = await socket.next('delivery', { run, outcome: true });
  assert.equal(answer.data.text, ['a', ...Array.from({ length: 20 }, (_, i) => i + 1)].join(' '));
  const accepted = await socket.next('accepted', { id: 'm1' });
  assert.deepEqual(accepted.runs, [run]);
  assert.equal(accepted.duplicate, false);
  assert.equal(typeof accepted.event, 'string');
  assert.ok(accepted.seq > 0 && accepted.correlation.length > 0);
  socket.end();
});

test('a run that waits says so, and for what', { timeout }, async () => {
  const { socket, run, token } = await talker('talks', { text: 'a' });
  const waiting = await state(run, token);
  assert.equal(waiting.state, 'waiting');
  assert.equal(waiting.step, 'talk/each#1/m');
  assert.ok(waiting.wakes);
  socket.say(more(run, 'm', { text: 'b' }));
  await socket.next('delivery', { run, outcome: true });
  const history = await call(engine, 'GET', `/v1/runs/${run}/history`, { token });
  const record = history.json.items.find((item) => item.kind === 'signal');
  assert.equal(record.data.event, 'More');
  assert.deepEqual(record.data.data, { text: 'b', n: 0 });
  socket.end();
});

test('a repeated id counts once, also when the run has ended', { timeout }, async () => {
  const { socket, run, token } = await talker('talks', { text: 'a', times: 2 });
  const path = `/v1/runs/${run}/signal`;
  const body = { event: 'More', data: { text: 'b' } };
  const first = await post(path, token, body, { 'idempotency-key': 'k' });
  assert.equal(first.status, 202, first.text);
  const again = await post(path, token, body, { 'idempotency-key': 'k' });
  assert.equal(again.status, 200, again.text);
  assert.deepEqual({ ...first.json, duplicate: true }, again.json);
  assert.equal(first.json.run, run);
  assert.equal((await state(run, token)).state, 'waiting');
  assert.equal((await post(path, token, body)).status, 202);
  assert.equal((await socket.next('delivery', { run, outcome: true })).data.text, 'a b b');
  assert.equal((await post(path, token, body, { 'idempotency-key': 'k' })).status, 200);
  isProblem(await post(path, token, body), 404, 'unknown_run');
  socket.say(more(run, 'late', { text: 'x' }));
  assert.equal((await socket.next('rejected', { id: 'late' })).code, 'unknown_run');
  socket.end();
});

test('data is checked with paths, and events by name', { timeout }, async () => {
  const { socket, run, token } = await talker('talks', { text: 'a' });
  const path = `/v1/runs/${run}/signal`;
  const refused = {
    invalid: [more(run, 'x', { text: '' }), '/text'],
    unexpected: [{ ...more(run, 'x', {}), event: 'Stop' }],
    unknown_run: [more('00000000-0000-0000-0000-000000000000', 'x', { text: 'b' })],
  };
  for (const [code, [frame, at]] of Object.entries(refused)) {
    socket.say(frame);
    const rejected = await socket.next('rejected', { id: 'x' });
    assert.equal(rejected.code, code);
    if (at) assert.deepEqual(rejected.errors.map((e) => e.path), [at]);
  }
  const wrong = await post(path, token, { event: 'More', data: { text: 'b', n: 'one' } });
  isProblem(wrong, 422, 'invalid');
  assert.deepEqual(wrong.json.errors.map((e) => e.path), ['/n']);
  isProblem(await post(path, token, { event: 'Nothing', data: {} }), 409, 'unexpected');
  isProblem(await post(path, token, { data: {} }), 400, 'bad_request');
  isProblem(await post(path, engine.tokens.worker, { event: 'More', data: {} }), 403, 'forbidden');
  socket.say(more(run, 'x', { text: 'a rejected id stays free' }));
  assert.equal((await socket.next('accepted', { id: 'x' })).duplicate, false);
  socket.end();
});

test("others' runs are unknown, an operator's token reaches all", { timeout }, async () => {
  const mine = await talker('talks', { text: 'a', times: 2 });
  const other = await talker('talks', { text: 'a' });
  const path = `/v1/runs/${mine.run}/signal`;
  const body = { event: 'More', data: { text: 'b' } };
  isProblem(await post(path, other.token, body), 404, 'unknown_run');
  other.socket.say(more(mine.run, 'x', { text: 'b' }));
  assert.equal((await other.socket.next('rejected', { id: 'x' })).code, 'unknown_run');
  assert.equal((await post(path, engine.tokens.admin, body)).status, 202);
  assert.equal((await post(path, engine.tokens.root, body)).status, 202);
  await mine.socket.next('delivery', { run: mine.run, outcome: true });
  mine.socket.end();
  other.socket.end();
});

test('64 wait, the next is busy, and what is waited for still passes', { timeout }, async () => {
  const { socket, run } = await talker('naps', { text: 'a' });
  for (let n = 1; n <= 64; n += 1) {
    socket.say(more(run, `m${n}`, { text: 'b' }));
    await socket.next('accepted', { id: `m${n}` });
  }
  socket.say(more(run, 'm65', { text: 'b' }));
  const rejected = await socket.next('rejected', { id: 'm65' });
  assert.equal(rejected.code, 'busy');
  assert.ok(rejected.retry_after_ms > 0);
  socket.say({ t: 'signal', id: 'stop', run, event: 'Stop', data: {} });
  assert.equal((await socket.next('delivery', { run, outcome: true })).data.text, 'stopped');
  socket.end();
});

test('a queue of signals outlives the engine', { timeout }, async () => {
  const { socket, run, token } = await talker('talks', { text: 'a', times: 3 });
  socket.say(more(run, 'm1', { text: 'b' }));
  await socket.next('accepted', { id: 'm1' });
  const nap = await talker('naps', { text: 'a' });
  nap.socket.say(more(nap.run, 'm', { text: 'b' }));
  await nap.socket.next('accepted', { id: 'm' });
  await engine.kill();
  assert.ok(await engine.start());
  const path = `/v1/runs/${run}/signal`;
  for (const text of ['c', 'd']) {
    const { status, text: why } = await post(path, token, { event: 'More', data: { text } });
    assert.equal(status, 202, why);
  }
  const row = await (async () => {
    for (;;) {
      const now = await state(run, token);
      if (now.state === 'completed') return now;
      await pause(20);
    }
  })();
  assert.equal(row.outcome.data.text, 'a b c d');
  const again = await post(`/v1/runs/${nap.run}/signal`, nap.token,
    { event: 'More', data: { text: 'b' } }, { 'idempotency-key': 'm' });
  assert.equal(again.status, 200, again.text);
});

test('a cancelled run is answered, and ends in its state', { timeout }, async () => {
  const { socket, run, token } = await talker('naps', { text: 'a' });
  socket.say({ t: 'cancel', id: 'c', run });
  assert.deepEqual((await socket.next('accepted', { id: 'c' })).runs, [run]);
  const answer = await socket.next('delivery', { run, outcome: true });
  assert.deepEqual([answer.name, answer.data], ['Failed', { kind: 'Cancelled' }]);
  assert.equal((await state(run, token)).state, 'cancelled');
  socket.say({ t: 'cancel', id: 'd', run });
  assert.equal((await socket.next('rejected', { id: 'd' })).code, 'unknown_run');
  isProblem(await post(`/v1/runs/${run}/cancel`, token), 404, 'unknown_run');
  socket.end();
});
