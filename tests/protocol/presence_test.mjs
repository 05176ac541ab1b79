// Clients that go away and come back, as their runs are told of it: which sockets count, the grace,
// and what a crash of flowd changes. That somebody is not told is seen when another client, who
// went later, has been.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, openClient, startEngine } from './engine.mjs';

const timeout = 60_000;
const kGraceMs = 1500;
let engine;
let names = 0;

before(async () => {
  process.env.SLUICE_GATEWAY_PRESENCE_GRACE = `${kGraceMs}ms`;
  engine = await startEngine();
});
after(async () => {
  await engine?.end();
});

/** What the run was told of its client, by its history, which needs no socket. */
async function told({ run, token }) {
  const { json, text } = await call(engine, 'GET', `/v1/runs/${run}/history`, { token });
  assert.ok(json, text);
  return json.items.filter((item) => item.kind === 'presence');
}

/** Waits until the run was told that many times; answers the last. */
async function untilTold(client, times) {
  for (;;) {
    const records = await told(client);
    assert.ok(records.length <= times, JSON.stringify(records));
    if (records.length === times) return records.at(-1).data;
    await pause(20);
  }
}

/** A client of its own with one socket, and a run that it has started. */
async function attending(times = 1) {
  const name = `p${(names += 1)}`;
  const token = await engine.clientToken(name);
  const socket = await openClient(engine, token);
  socket.say({ t: 'send', id: 'start', topic: 'attends', data: { text: name, times } });
  const { runs } = await socket.next('accepted', { id: 'start' });
  return { name, token, socket, run: runs[0] };
}

async function close(socket) {
  socket.end();
  await socket.closed;
}

test('the last socket that goes is told, and the first that comes', { timeout }, async () => {
  const client = await attending(2);
  const went = Date.now();
  await close(client.socket);
  const away = await untilTold(client, 1);
  assert.ok(Date.now() - went >= kGraceMs, 'the grace was not waited for');
  assert.equal(away.event, 'sluice.away');
  const since = Date.parse(away.since);
  assert.ok(Math.abs(since - went) < kGraceMs, `${away.since} is not when the socket went`);
  const back = await openClient(engine, client.token);
  const come = await back.next('delivery', { run: client.run, name: 'Come' });
  assert.match(come.data.away, /^\d+(ms|s)$/);
  await close(back);
  await untilTold(client, 3);
  const again = await openClient(engine, client.token);
  const answer = await again.next('delivery', { run: client.run, outcome: true });
  assert.equal(answer.data.text, client.name);
  const events = (await told(client)).map((record) => record.data.event);
  assert.deepEqual(events, ['sluice.away', 'sluice.back', 'sluice.away', 'sluice.back']);
  await close(again);
});

test('a socket or event stream that stays, stays for all of them', { timeout }, async () => {
  const two = await attending();
  const second = await openClient(engine, two.token);
  const streaming = await attending();
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${streaming.token}`, accept: 'text/event-stream' };
  const path = `/v1/clients/${streaming.name}/deliveries`;
  const stream = await fetch(engine.url + path, { headers, signal: stop.signal });
  assert.equal(stream.status, 200);
  const one = await attending();
  await close(two.socket);
  await close(streaming.socket);
  await close(one.socket);
  await untilTold(one, 1);
  assert.deepEqual(await told(two), []);
  assert.deepEqual(await told(streaming), []);
  await close(second);
  stop.abort();
  await untilTold(two, 1);
  await untilTold(streaming, 1);
});

test('whoever is back within the grace was never away', { timeout }, async () => {
  const quick = await attending();
  const slow = await attending();
  await close(quick.socket);
  const again = await openClient(engine, quick.token);
  await close(slow.socket);
  await untilTold(slow, 1);
  assert.deepEqual(await told(quick), []);
  await close(again);
});

test('a client that has no socket is away when its run begins', { timeout }, async () => {
  const name = `p${(names += 1)}`;
  const token = await engine.clientToken(name);
  const body = { text: 'by HTTP' };
  const accepted = await call(engine, 'POST', '/v1/topics/attends/events', { token, body });
  assert.equal(accepted.status, 202, accepted.text);
  const client = { token, run: accepted.json.runs[0] };
  const away = await untilTold(client, 1);
  assert.equal(away.event, 'sluice.away');
  const socket = await openClient(engine, token);
  await socket.next('delivery', { run: client.run, outcome: true });
  await close(socket);
});

test('nobody else says that a client is away', { timeout }, async () => {
  const { socket, run, token } = await attending();
  for (const event of ['Away', 'sluice.away', 'sluice.back']) {
    const data = { client: 'x' };
    socket.say({ t: 'signal', id: event, run, event, data });
    assert.equal((await socket.next('rejected', { id: event })).code, 'unexpected');
    const body = { event, data };
    for (const by of [token, engine.tokens.admin]) {
      const answer = await call(engine, 'POST', `/v1/runs/${run}/signal`, { token: by, body });
      assert.deepEqual([answer.status, answer.json.code], [409, 'unexpected']);
    }
  }
  assert.deepEqual(await told({ run, token }), []);
  await close(socket);
});

test('behind a crash everybody has the grace, and hears nothing again', { timeout }, async () => {
  const loyal = await attending();
  const gone = await attending();
  const lost = await attending();
  await close(gone.socket);
  await untilTold(gone, 1);
  await engine.kill();
  assert.ok(await engine.start());
  const again = await openClient(engine, loyal.token);
  const away = await untilTold(lost, 1);
  assert.equal(away.event, 'sluice.away');
  assert.deepEqual(await told(loyal), []);
  assert.equal((await told(gone)).length, 1);
  const back = await openClient(engine, gone.token);
  const answer = await back.next('delivery', { run: gone.run, outcome: true });
  assert.equal(answer.data.text, gone.name);
  await untilTold(gone, 2);
  await untilTold(lost, 1);
  await close(again);
  await close(back);
});
