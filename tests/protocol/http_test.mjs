import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { call, openEchoWorker, startEngine } from './engine.mjs';

const timeout = 40_000;
let engine;
let worker;
let client;
let root;

before(async () => {
  engine = await startEngine();
  worker = await openEchoWorker(engine);
  client = await engine.clientToken('web');
  root = engine.tokens.root;
});
after(async () => {
  worker?.end();
  await engine?.end();
});

const post = (path, token, body, headers) => call(engine, 'POST', path, { token, body, headers });
const get = (path, token) => call(engine, 'GET', path, { token });
const ask = (text, headers) => post('/v1/topics/asks/events', client, { text }, headers);

function isProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.type, /^application\/problem\+json/);
  assert.equal(answer.json.code, code);
}

async function ended(run, token = client) {
  for (;;) {
    const { json } = await get(`/v1/runs/${run}`, token);
    if (['completed', 'failed', 'cancelled', 'superseded'].includes(json.state)) return json;
  }
}

test('health, readiness and metrics are open', { timeout }, async () => {
  assert.equal((await get('/healthz')).status, 200);
  assert.equal((await get('/readyz')).status, 200);
  const metrics = await get('/metrics');
  assert.equal(metrics.status, 200);
  assert.match(metrics.text, /^# (HELP|TYPE) /m);
});

test('every response carries a correlation id', { timeout }, async () => {
  for (const path of ['/healthz', '/v1/nothing', '/v1/runs']) {
    assert.ok((await get(path, client)).headers.get('x-correlation-id'), path);
  }
});

test('who may do what', { timeout }, async () => {
  isProblem(await get('/v1/runs'), 401, 'unauthorized');
  isProblem(await get('/v1/runs', 'nonsense'), 401, 'unauthorized');
  isProblem(await post('/v1/deployments', client, {}), 403, 'forbidden');
  isProblem(await post('/v1/deployments', engine.tokens.admin, {}), 403, 'forbidden');
  const byWorker = await post('/v1/topics/asks/events', engine.tokens.worker, { text: 'a' });
  isProblem(byWorker, 403, 'forbidden');
});

/** A client's token without `sub`, as somebody else's issuer may sign one. */
function nobodysToken() {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 60;
  const text = `${part({ alg: 'HS256' })}.${part({ tenant: 't', scope: 'client', exp })}`;
  const key = Buffer.from(readFileSync(join(engine.data, 'key'), 'utf8').trim(), 'base64url');
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

test('a client that is nobody reaches no run', { timeout }, async () => {
  const asked = await post('/v1/topics/talks/events', client, { text: 'mine' });
  const [run] = asked.json.runs;
  const token = nobodysToken();
  const signal = { event: 'More', data: { text: 'not mine' } };
  for (const answer of [
    await get('/v1/runs', token),
    await post(`/v1/runs/${run}/signal`, token, signal),
    await post(`/v1/runs/${run}/cancel`, token),
  ]) {
    isProblem(answer, 401, 'unauthorized');
    assert.match(answer.json.detail, /`sub`/);
  }
  const { state } = (await get(`/v1/runs/${run}`, client)).json;
  assert.equal(state, 'waiting');
  assert.equal((await post(`/v1/runs/${run}/cancel`, client)).status, 202);
});

test('publishing one event, and the same again', { timeout }, async () => {
  const first = await ask('one', { 'idempotency-key': 'k1' });
  assert.equal(first.status, 202, first.text);
  assert.equal(first.json.duplicate, false);
  assert.equal(first.json.runs.length, 1);
  const again = await ask('one', { 'idempotency-key': 'k1' });
  assert.equal(again.status, 200);
  assert.deepEqual(again.json, { ...first.json, duplicate: true });
});

test('an event of an older version is upgraded', { timeout }, async () => {
  const old = await post('/v1/topics/asks/events?version=1', client, { question: 'why' });
  assert.equal(old.status, 202, old.text);
  assert.equal((await ended(old.json.runs[0])).outcome.data.text, 'why?');
  const cloud = {
    specversion: '1.0',
    id: 'v1',
    source: 's',
    type: 'Ask',
    dataschema: 'urn:x/ask/v1',
  };
  const one = await call(engine, 'POST', '/v1/topics/asks/events', {
    token: client,
    body: { ...cloud, data: { question: 'how' } },
    headers: { 'content-type': 'application/cloudevents+json' },
  });
  assert.equal(one.status, 202, one.text);
  assert.equal((await ended(one.json.runs[0])).outcome.data.text, 'how?');
  isProblem(await post('/v1/topics/asks/events?version=1', client, { text: 'a' }), 422, 'invalid');
  isProblem(await post('/v1/topics/asks/events', client, { question: 'a' }), 422, 'invalid');
  isProblem(await post('/v1/topics/asks/events?version=3', client, {}), 422, 'invalid');
  isProblem(await post('/v1/topics/asks/events?version=x', client, {}), 400, 'bad_request');
});

test('publishing a batch: each has its own answer', { timeout }, async () => {
  const key = { 'idempotency-key': 'batch' };
  const events = [{ text: 'a' }, { text: '' }, { text: 'c' }];
  const batch = await post('/v1/topics/asks/events', client, events, key);
  assert.equal(batch.json.length, 3, batch.text);
  assert.equal(batch.json[0].duplicate, false);
  assert.equal(batch.json[1].code, 'invalid');
  assert.equal(batch.json[2].duplicate, false);
  const first = await ask('a', { 'idempotency-key': 'batch/0' });
  assert.equal(first.json.duplicate, true);
  assert.equal(first.json.id, batch.json[0].id);
});

test('publishing lines, and CloudEvents', { timeout }, async () => {
  const lines = await call(engine, 'POST', '/v1/topics/asks/events', {
    token: client,
    body: '{"text":"a"}\n{"text":"b"}\n',
    headers: { 'content-type': 'application/x-ndjson' },
  });
  assert.equal(lines.json.length, 2, lines.text);
  const head = { specversion: '1.0', id: 'ce-1', source: '/test', type: 'Ask' };
  const event = { ...head, data: { text: 'a' } };
  const cloud = () => call(engine, 'POST', '/v1/topics/asks/events', {
    token: client,
    body: JSON.stringify(event),
    headers: { 'content-type': 'application/cloudevents+json' },
  });
  const first = await cloud();
  assert.equal(first.status, 202, first.text);
  assert.equal((await cloud()).json.id, first.json.id);
});

test('bad events say where', { timeout }, async () => {
  const invalid = await post('/v1/topics/asks/events', client, { text: 7 });
  isProblem(invalid, 422, 'invalid');
  assert.equal(invalid.json.errors[0].path, '/text');
  const json = { 'content-type': 'application/json' };
  isProblem(await post('/v1/topics/asks/events', client, '{"text":', json), 400, 'invalid');
  isProblem(await post('/v1/topics/nowhere/events', client, { text: 'a' }), 404, 'unknown_topic');
});

test('a flow is started by name, and waited for', { timeout }, async () => {
  const waited = await post('/v1/flows/direct/runs?wait=10s', client, { text: 'straight' });
  assert.equal(waited.status, 200, waited.text);
  assert.deepEqual(waited.json.outcome, { name: 'Answer', data: { text: 'straight' } });
  const started = await post('/v1/flows/direct/runs', client, { text: 'later' });
  assert.equal(started.status, 202);
  assert.equal((await ended(started.json.run)).state, 'completed');
  isProblem(await post('/v1/flows/direct/runs', client, { text: 1 }), 422, 'invalid');
  isProblem(await post('/v1/flows/nowhere/runs', client, {}), 404, 'unknown_flow');
});

test('a run and its history', { timeout }, async () => {
  const { json: sent } = await ask('tell me', { 'idempotency-key': 'history' });
  const [id] = sent.runs;
  const run = await ended(id);
  assert.equal(run.id, id);
  assert.equal(run.flow, 'ask');
  assert.equal(run.client, 'web');
  assert.equal(run.state, 'completed');
  assert.deepEqual(run.outcome, { name: 'Answer', data: { text: 'tell me' } });
  const { json: history } = await get(`/v1/runs/${id}/history`, client);
  const seqs = history.items.map((record) => record.seq);
  assert.ok(seqs.length >= 2);
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
  for (const { time, kind } of history.items) {
    assert.ok(!Number.isNaN(Date.parse(time)));
    assert.ok(kind.length > 0);
  }
});

test('what is not the asker\'s is not there', { timeout }, async () => {
  const { json: sent } = await ask('mine', { 'idempotency-key': 'mine' });
  const other = await engine.clientToken('somebody-else');
  isProblem(await get(`/v1/runs/${sent.runs[0]}`, other), 404, 'unknown_run');
  isProblem(await get('/v1/runs/made-up', client), 404, 'unknown_run');
});

test('lists page', { timeout }, async () => {
  for (let n = 0; n < 3; n += 1) await ended((await ask(`page ${n}`)).json.runs[0]);
  const seen = new Set();
  let cursor = '';
  for (let page = 0; page < 3; page += 1) {
    const { json } = await get(`/v1/runs?limit=1${cursor}`, client);
    assert.equal(json.items.length, 1);
    seen.add(json.items[0].id);
    cursor = `&cursor=${encodeURIComponent(json.next)}`;
  }
  assert.equal(seen.size, 3);
});

test('deliveries are the same by plain HTTP', { timeout }, async () => {
  const token = await engine.clientToken('reader');
  const sent = await post('/v1/topics/asks/events', token, { text: 'read me' });
  await ended(sent.json.runs[0], token);
  const { json } = await get('/v1/clients/reader/deliveries?after=0', token);
  const seen = json.items.map(({ offset, name }) => `${offset} ${name}`);
  assert.deepEqual(seen, ['1 Heard', '2 Answer']);
  const rest = await get('/v1/clients/reader/deliveries?after=1', token);
  assert.deepEqual(rest.json.items.map(({ offset }) => offset), [2]);
});

test('the same deployment again changes nothing', { timeout }, async () => {
  const source = 'module again\nevent E { a: int }\n';
  const before = await get('/v1/deployments', root);
  assert.equal(before.status, 200, before.text);
  const broken = await post('/v1/deployments', root, { 'again.flow': `${source}flow` });
  isProblem(broken, 422, 'compile');
  const [diagnostic] = broken.json.diagnostics;
  assert.match(diagnostic.code, /^E\d{4}$/);
  assert.equal(diagnostic.file, 'again.flow');
  assert.equal(diagnostic.line, 3);
  assert.deepEqual((await get('/v1/deployments', root)).json.items, before.json.items);
});

test('a bad artifact is refused', { timeout }, async () => {
  const headers = { 'content-type': 'application/vnd.sluice.artifact' };
  isProblem(await post('/v1/deployments', root, 'not an artifact', headers), 422, 'bad_artifact');
});
