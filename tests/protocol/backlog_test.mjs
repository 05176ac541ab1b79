// Clients with much to catch up on: all of it arrives, however large, fast or slow; who takes
// nothing is let go.
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, openClient, startEngine } from './engine.mjs';

const timeout = 90_000;
const kLine = 'x'.repeat(2_500); // 500 of them are more than what a session is given at once
const kLarge = 'y'.repeat(500_000);
const kGiant = 'z'.repeat(3_900_000); // three times this is more than may wait for a socket
const kGiantBytes = 3 * kGiant.length;
const kPauseMs = 1_000;
let engine;
let names = 0;

before(async () => {
  engine = await startEngine({ flow: 'backlog.flow' });
});
after(() => engine?.end());

const deliveries = (who, query) =>
  call(engine, 'GET', `/v1/clients/${who.name}/deliveries${query}`, { token: who.token });

async function newcomer(...scope) {
  const name = `b${(names += 1)}`;
  const words = ['client', ...scope].join(' ');
  const token = await engine.token('--tenant', 't', '--client', name, '--scope', words);
  return { name, token, offset: 0 };
}

/** Publishes, and waits until the client has the last outcome: its offset. */
async function fill(who, topic, { text, times = 1 }, runs, perRun = times + 1) {
  const body = Array.from({ length: runs }, () => ({ text, times }));
  const path = `/v1/topics/${topic}/events`;
  const answer = await call(engine, 'POST', path, { token: who.token, body });
  assert.equal(answer.status, 202, answer.text);
  who.offset += runs * perRun;
  for (;;) {
    const { json } = await deliveries(who, `?after=${who.offset - 1}&limit=1`);
    if (json.items.length > 0) return who.offset;
    await pause(50);
  }
}

async function readSocket(who, count, members = {}) {
  const resume = { epoch: who.epoch, offset: 0 };
  const socket = await openClient(engine, who.token, { resume });
  for (let n = 1; n <= count; n += 1) {
    assert.equal((await socket.next('delivery', members)).offset, n);
  }
  await socket.handled();
  return socket;
}

async function epochOf(who) {
  const socket = await openClient(engine, who.token);
  who.epoch = socket.welcome.epoch;
  socket.end();
}

test('a backlog of many deliveries arrives whole on a socket', { timeout }, async () => {
  const who = await newcomer();
  const count = await fill(who, 'fills', { text: kLine, times: 100 }, 12);
  await epochOf(who);
  (await readSocket(who, count)).end();
});

test('a backlog of many deliveries arrives whole as server-sent events', { timeout }, async () => {
  const who = await newcomer();
  const count = await fill(who, 'fills', { text: kLine, times: 100 }, 12);
  const response = await fetch(`${engine.url}/v1/clients/${who.name}/deliveries?after=0`, {
    headers: { authorization: `Bearer ${who.token}`, accept: 'text/event-stream' },
    signal: AbortSignal.timeout(timeout / 2),
  });
  let last = 0;
  let rest = '';
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('id: ')) continue;
      last += 1;
      assert.equal(line, `id: ${last}`);
    }
    if (last >= count) break;
  }
  assert.equal(last, count);
});

test('a group\'s backlog arrives whole', { timeout }, async () => {
  const who = await newcomer('subscribe:readers');
  await fill(who, 'shouts', { text: kLine, times: 100 }, 12, 1);
  const socket = await openClient(engine, who.token);
  socket.say({ t: 'subscribe', id: 's', group: 'readers', offset: 0 });
  const accepted = await socket.next('accepted', { id: 's' });
  assert.deepEqual([accepted.offset, accepted.recovered], [0, true]);
  for (let n = 1; n <= 1200; n += 1) {
    assert.equal((await socket.next('delivery', { group: 'readers' })).offset, n);
  }
  socket.end();
});

test('who reads is not too slow, however large the backlog', { timeout }, async () => {
  const who = await newcomer();
  const count = await fill(who, 'fills', { text: kLarge, times: 15 }, 2);
  await epochOf(who);
  (await readSocket(who, count)).end();
  // By plain HTTP it comes in pages that are bounded by size, too.
  const offsets = [];
  let pages = 0;
  for (let next = '0'; next !== null; pages += 1) {
    const { json } = await deliveries(who, `?after=${next}&limit=1000`);
    offsets.push(...json.items.map((item) => item.offset));
    next = json.next;
  }
  assert.deepEqual(offsets, Array.from({ length: count }, (_, i) => i + 1));
  assert.ok(pages > 1, `${pages} page`);
});

test('a delivery larger than what may wait reaches a socket live', { timeout }, async () => {
  const who = await newcomer();
  const socket = await openClient(engine, who.token);
  await fill(who, 'giants', { text: kGiant }, 1, 2);
  assert.equal((await socket.next('delivery', { offset: 1 })).data.text.length, kGiantBytes);
  await socket.next('delivery', { offset: 2 });
  await socket.handled();
  socket.end();
});

test('a delivery larger than what may wait reaches one that is slow', { timeout }, async () => {
  const who = await newcomer();
  await fill(who, 'giants', { text: kGiant }, 1, 2);
  await epochOf(who);
  const resume = { epoch: who.epoch, offset: 0 };
  const socket = await openClient(engine, who.token, { resume });
  socket.ws.pause();
  await fill(who, 'fills', { text: kLine, times: 10 }, 1); // and more comes meanwhile
  await pause(kPauseMs);
  socket.ws.resume();
  assert.equal((await socket.next('delivery', { offset: 1 })).data.text.length, kGiantBytes);
  for (let n = 2; n <= who.offset; n += 1) await socket.next('delivery', { offset: n });
  await socket.handled();
  socket.end();
});

test('who takes nothing for long is closed', { timeout }, async () => {
  const closed = async () => {
    const { text } = await call(engine, 'GET', '/metrics');
    return Number(/^sluice_closed_slow_total (\S+)$/m.exec(text)[1]);
  };
  const earlier = await closed();
  const who = await newcomer();
  await fill(who, 'fills', { text: kLarge, times: 15 }, 2);
  const request = get(`${engine.url}/v1/clients/${who.name}/deliveries?after=0`, {
    headers: { authorization: `Bearer ${who.token}`, accept: 'text/event-stream' },
  });
  request.on('error', () => {});
  request.on('response', (response) => {
    response.on('error', () => {});
    response.pause();
  });
  while ((await closed()) === earlier) await pause(500);
  assert.equal(await closed(), earlier + 1);
  request.destroy();
});
