import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Engine, freePort } from '../crash/processes.mjs';
import { call, openClient, openEchoWorker, programs, startEngine } from './engine.mjs';

const timeout = 90_000;
let folder;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-process-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program to its end: exit code and both outputs. */
function runs(program, args) {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

test('a port that is taken is named, and nothing is left running', { timeout }, async () => {
  const blocker = createServer();
  blocker.listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port } = blocker.address();
  const data = join(folder, 'data');
  const args = ['dev', '--data', data, '--listen', `127.0.0.1:${port}`];
  const { code, stderr } = await runs(programs.flowd, args);
  blocker.close();
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`${port} of 127.0.0.1 is taken by another program`));
  assert.equal(existsSync(join(data, 'postgres/postmaster.pid')), false);
});

test('a data folder in use is refused', { timeout }, async () => {
  const engine = new Engine({ flowd: programs.flowd, folder, port: await freePort() });
  assert.equal(await engine.start(), true);
  const args = ['dev', '--data', engine.data, '--listen', '127.0.0.1:0'];
  const second = await runs(programs.flowd, args);
  assert.notEqual(second.code, 0);
  assert.match(second.stderr, /data|use|lock/i);
  assert.equal((await call(engine, 'GET', '/readyz')).status, 200);
  await engine.stop();
  assert.deepEqual(engine.faults, []);
});

test('ready is the first line, port 0 picks one, SIGTERM ends with 0', { timeout }, async () => {
  const args = ['dev', '--data', join(folder, 'data'), '--listen', '127.0.0.1:0'];
  const child = spawn(programs.flowd, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [first] = await once(child.stdout, 'data');
  assert.match(String(first), /^ready http:\/\/127\.0\.0\.1:[1-9]\d*\n/);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('wrong usage is exit code 2, an engine that is not there 3', { timeout }, async () => {
  for (const [args, message] of [
    [['dance'], 'there is no command `dance`; `flowd --help` lists them'],
    [[], 'name a command; `flowd --help` shows how it is used'],
    [['token'], '--tenant is missing; `flowd token --help` shows how it is used'],
    [['dev', '--port', '1'],
      'there is no argument `--port`; `flowd dev --help` shows how it is used'],
  ]) {
    const { code, stdout, stderr } = await runs(programs.flowd, args);
    assert.deepEqual([code, stdout, stderr], [2, '', `flowd: ${message}\n`]);
  }
  assert.equal((await runs(programs.flowc, ['dance'])).code, 2);
  const file = join(folder, 'a.flow');
  writeFileSync(file, 'module a\nevent E { n: int }\n');
  const target = ['--engine', 'http://127.0.0.1:1', '--token', 'x'];
  assert.equal((await runs(programs.flowc, ['deploy', file, ...target])).code, 3);
});

test('everything is still there after a restart', { timeout }, async () => {
  const engine = await startEngine();
  const token = await engine.clientToken('c');
  let worker = await openEchoWorker(engine);
  const socket = await openClient(engine, token);
  socket.say({ t: 'send', id: 'a', topic: 'asks', data: { text: 'before' } });
  const accepted = await socket.next('accepted');
  const answer = await socket.next('delivery', { outcome: true });
  worker.end();
  await engine.kill('SIGTERM');
  assert.equal(await engine.start(), true);
  worker = await openEchoWorker(engine);
  const { session, epoch } = socket.welcome;
  const again = await openClient(engine, token, { session, resume: { epoch, offset: 1 } });
  assert.equal(again.welcome.epoch, epoch);
  assert.deepEqual(await again.next('delivery'), answer);
  again.say({ t: 'send', id: 'a', topic: 'asks', data: { text: 'before' } });
  assert.deepEqual(await again.next('accepted'), { ...accepted, duplicate: true });
  worker.end();
  again.end();
  await engine.end();
});

test('PostgreSQL gone: unavailable, and nothing is lost', { timeout }, async () => {
  const engine = await startEngine();
  const token = await engine.clientToken('c');
  const worker = await openEchoWorker(engine);
  const socket = await openClient(engine, token);
  assert.ok(engine.killPostgres('postmaster'));
  const runsAccepted = [];
  for (let n = 1; n <= 20; n += 1) {
    for (;;) {
      socket.say({ t: 'send', id: `n${n}`, topic: 'asks', data: { text: `n${n}` } });
      const answer = await socket.next(['accepted', 'rejected'], { id: `n${n}` });
      if (answer.t === 'accepted') {
        runsAccepted.push(answer.runs[0]);
        break;
      }
      assert.ok(['unavailable', 'busy'].includes(answer.code), JSON.stringify(answer));
      await new Promise((resolve) => setTimeout(resolve, answer.retry_after_ms ?? 100));
    }
  }
  for (const run of runsAccepted) await socket.next('delivery', { run, outcome: true });
  socket.end();
  worker.end();
  await engine.end();
});
