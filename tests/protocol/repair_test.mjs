// `flowd repair` from outside: what an operator sees and does when a partition has halted.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, openClient, openEchoWorker, openWorker, programs, startEngine } from './engine.mjs';

const timeout = 120_000;
const kPartitions = 8;
const kServesMs = 20_000;

/** Runs flowd to its end: exit code and both outputs. */
function flowd(...args) {
  return new Promise((resolve) => {
    execFile(programs.flowd, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

function psql(engine, sql) {
  const names = process.getuid() === 0 ? ['postgres', 'nobody'] : [process.env.USER];
  const folders = ['17', '16', '15'].map((version) => `/usr/lib/postgresql/${version}/bin`);
  const found = [...folders, '/usr/local/bin', '/usr/bin']
    .map((folder) => join(folder, 'psql'))
    .find((path) => existsSync(path));
  const options = ['-h', join(engine.data, 'postgres'), '-d', 'postgres', '-XAtq', '-c', sql];
  for (const name of names) {
    try {
      const stdio = ['ignore', 'pipe', 'ignore'];
      return execFileSync(found, ['-U', name, ...options], { stdio }).toString().trim();
    } catch (error) {
      if (name === names.at(-1)) throw error;
    }
  }
}

async function metric(engine, name) {
  const { text } = await call(engine, 'GET', '/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Sends until it is accepted, and waits for the outcome: its delivery's offset. */
async function ask(socket, id) {
  socket.say({ t: 'send', id, topic: 'asks', data: { text: id } });
  const accepted = await socket.next('accepted', { id });
  const outcome = await socket.next('delivery', { run: accepted.runs[0], outcome: true });
  return outcome.offset;
}

/** A client of a partition that serves, with a run. */
async function elsewhere(engine) {
  for (let n = 0; n < 100; n += 1) {
    const name = `other${n}`;
    const body = { text: 'well' };
    const token = await engine.clientToken(name);
    const { status } = await call(engine, 'POST', '/v1/topics/asks/events', { token, body });
    if (status === 202) return { name, token };
  }
  throw new Error('no partition serves');
}

test('a halted partition is listed, overridden and serves again', { timeout }, async () => {
  const engine = await startEngine();
  const data = ['--data', engine.data];
  const token = await engine.clientToken('c');
  let worker = await openEchoWorker(engine);
  let socket = await openClient(engine, token);
  await ask(socket, 'one');
  const before = await ask(socket, 'two');

  const well = await flowd('repair', ...data);
  assert.equal(well.code, 0, well.stderr);
  assert.equal(well.stdout.match(/^partition \d: ok, \d+ records folded$/gm).length, kPartitions);

  worker.end();
  worker = await openWorker(engine);
  socket.say({ t: 'send', id: 'held', topic: 'asks', data: { text: 'held' } });
  const { lease } = await worker.next('task');
  worker.end();
  socket.end();
  await engine.kill(); // PostgreSQL outlives it
  const where = "from journal where kind = 1 order by part, seq limit 1";
  const [partition, record] = psql(engine, `select part || ' ' || seq ${where}`).split(' ');
  psql(engine, `update journal set body = '\\x00' where part = ${partition} and seq = ${record}`);

  const named = ['--partition', partition, '--record', record];
  // Nobody runs: it brings PostgreSQL up by itself.
  const halted = await flowd('repair', ...data);
  assert.equal(halted.code, 1, halted.stderr);
  const line = new RegExp(`^partition ${partition}: halted at record ${record}: .*; to do: ` +
    `flowd repair --data \\S+ --partition ${partition} --record ${record} --mode skip`, 'm');
  assert.match(halted.stdout, line);
  assert.equal(halted.stdout.match(/: ok, /g).length, kPartitions - 1);

  assert.equal(await engine.start(), true);
  const ready = await call(engine, 'GET', '/readyz');
  assert.equal(ready.status, 200);
  assert.equal(ready.json.status, 'degraded');
  assert.match(ready.json.why, new RegExp(`record ${record}`));
  assert.equal(await metric(engine, 'sluice_partitions_halted'), 1);
  assert.equal(await metric(engine, 'sluice_partitions_serving'), kPartitions - 1);
  const listed = JSON.parse((await flowd('repair', ...data, '--json')).stdout).partitions;
  assert.deepEqual(listed.map((one) => one.state === 'halted'),
    Array.from({ length: kPartitions }, (_, i) => i === Number(partition)));
  assert.equal(listed[partition].cure, 'skip');

  // A report for it waits; the worker's socket lives on, and so does its other work.
  const reporter = await openWorker(engine, { credit: 1000 });
  reporter.say({ t: 'done', lease, result: 'held' });
  const other = await elsewhere(engine);
  const task = await reporter.next('task', { client: other.name });
  reporter.say({ t: 'done', lease: task.lease, result: 'well' });
  await reporter.next('settled', { lease: task.lease });
  assert.ok(!reporter.unread.some((frame) => frame.lease === lease), 'it was answered too early');

  const wrong = ['--partition', partition, '--record', String(Number(record) + 1), '--why', 'x'];
  const refused = await flowd('repair', ...data, ...wrong);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, new RegExp(`halts at record ${record}`));
  assert.equal(psql(engine, 'select count(*) from v_override'), '0');

  const why = "ticket 4711: 'bad' disk";
  const mended = await flowd('repair', ...data, ...named, '--why', why, '--by', 'ann');
  assert.equal(mended.code, 0, mended.stderr);
  const fate = new RegExp(`^record ${record} \\(event\\) is overridden: it is passed`);
  assert.match(mended.stdout, fate);
  assert.match(mended.stdout, new RegExp(`^partition ${partition}: ok`, 'm'));
  assert.equal(psql(engine, "select operator || ': ' || why from v_override"), `ann: ${why}`);

  const until = Date.now() + kServesMs;
  while ((await call(engine, 'GET', '/readyz')).json.status !== 'serving') {
    assert.ok(Date.now() < until, 'the node does not take the partition up');
    await pause(100);
  }
  assert.equal(await metric(engine, 'sluice_partitions_halted'), 0);
  await reporter.next(['settled', 'stale'], { lease });
  reporter.end();
  worker = await openEchoWorker(engine);
  socket = await openClient(engine, token);
  const third = await ask(socket, 'three');
  assert.ok(third > before, `offset ${third} after ${before}`);
  const again = await flowd('repair', ...data, ...named, '--why', 'once more');
  assert.equal(again.code, 1);
  assert.match(again.stderr, /has not halted/);

  worker.end();
  socket.end();
  await engine.kill();
  assert.equal(await engine.start(), true);
  assert.equal((await call(engine, 'GET', '/readyz')).json.status, 'serving');
  const twice = psql(engine, 'select count(*) from (select 1 from delivery group by part, client,' +
    ' "offset" having count(*) > 1) twice');
  assert.equal(twice, '0');
  await engine.end();
});

test('what cannot be asked for is wrong usage', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-repair-'));
  const why = ['--why', 'because'];
  for (const args of [
    ['--partition', '1'],
    ['--record', '1', ...why],
    ['--partition', '1', '--record', '1'],
    ['--partition', '1', '--record', '1', '--why', '  '],
    ['--partition', '1', '--record', '0', ...why],
    ['--partition', '-1', '--record', '1', ...why],
    ['--partition', 'first', '--record', '1', ...why],
    ['--partition', '1', '--record', '1x', ...why],
    ['--partition', '1', '--record', '1', '--mode', 'forget', ...why],
    ['--mode', 'skip'],
    why,
    ['--data', folder, '--config', join(folder, 'x.toml')],
    ['--config', join(folder, 'missing.toml')],
    ['--dance'],
    ['dance'],
  ]) {
    const { code, stderr, stdout } = await flowd('repair', ...args);
    assert.equal(code, 2, `${args.join(' ')}: ${stdout}${stderr}`);
    assert.notEqual(stderr.trim(), '', args.join(' '));
  }
  const nothing = await flowd('repair', '--data', folder);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /no data directory of `flowd dev`/);
  const help = await flowd('repair', '--help');
  assert.equal(help.code, 0);
  assert.match(help.stdout, /flowd repair --data DIR --partition 3 --record 1207/);
  rmSync(folder, { recursive: true, force: true });
});
