// What is said about ended runs of an earlier deployment, whose program is not in memory any more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { call, openClient, openWorker, startEngine } from './engine.mjs';

const timeout = 60_000;
const program = readFileSync(new URL('protocol.flow', import.meta.url), 'utf8');

test('a repeated signal and report get their first answers', { timeout }, async () => {
  const engine = await startEngine();
  const token = await engine.clientToken('c');
  let worker = await openWorker(engine);
  const socket = await openClient(engine, token);
  socket.say({ t: 'send', id: 'a', topic: 'asks', data: { text: 'hello' } });
  const { lease } = await worker.next('task');
  worker.say({ t: 'done', lease, result: 'hello' });
  await worker.next('settled', { lease });
  socket.say({ t: 'send', id: 'b', topic: 'talks', data: { text: 'hello' } });
  const [run] = (await socket.next('accepted', { id: 'b' })).runs;
  socket.say({ t: 'signal', id: 'm', run, event: 'More', data: { text: 'more' } });
  const { event } = await socket.next('accepted', { id: 'm' });
  await socket.next('delivery', { run, outcome: true });
  worker.end();
  socket.end();

  const body = { 'protocol.flow': `${program}\nevent Later {}\n` };
  const { root } = engine.tokens;
  const second = await call(engine, 'POST', '/v1/deployments', { token: root, body });
  assert.equal(second.status, 201, second.text);
  await engine.kill();
  assert.equal(await engine.start(), true);

  worker = await openWorker(engine);
  worker.say({ t: 'done', lease, result: 'hello' });
  await worker.next(['settled', 'stale'], { lease });
  const again = await call(engine, 'POST', `/v1/runs/${run}/signal`, {
    token,
    body: { event: 'More', data: { text: 'more' } },
    headers: { 'idempotency-key': 'm' },
  });
  assert.deepEqual([again.status, again.json.id], [200, event], again.text);
  const wrong = await call(engine, 'POST', `/v1/runs/${run}/signal`, {
    token,
    body: { event: 'Dance', data: {} },
  });
  assert.deepEqual([wrong.status, wrong.json.code], [409, 'unexpected'], wrong.text);
  const { json } = await call(engine, 'GET', '/v1/deployments', { token: root });
  assert.deepEqual(json.items.map((item) => item.active), [false, true]);
  assert.equal((await call(engine, 'GET', '/v1/deployments/1', { token: root })).status, 200);
  assert.equal((await call(engine, 'GET', '/v1/deployments/3', { token: root })).status, 404);
  worker.end();
  await engine.end();
});
