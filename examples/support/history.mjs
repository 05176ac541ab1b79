#!/usr/bin/env node
// Prints what happened in a run, one line for each of its records:
//
//   history.mjs RUN [--url URL] [--token TOKEN]
import { parseArgs } from 'node:util';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: 'string', default: process.env.SLUICE_URL ?? 'http://127.0.0.1:8080' },
    token: { type: 'string', default: process.env.SLUICE_TOKEN },
  },
});
const [run] = positionals;
if (!run || !options.token) {
  console.error('usage: history.mjs RUN [--url URL] [--token TOKEN]');
  process.exit(2);
}

const kDataWidth = 60;
const kPagesMost = 100;

async function get(path) {
  const headers = { authorization: `Bearer ${options.token}` };
  const response = await fetch(new URL(path, options.url), { headers });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
  return response.json();
}

async function records() {
  const all = [];
  let cursor = '';
  for (let page = 0; page < kPagesMost; page += 1) {
    const path = `/v1/runs/${encodeURIComponent(run)}/history?limit=1000${cursor}`;
    const { items, next } = await get(path);
    all.push(...items);
    if (!next) break;
    cursor = `&cursor=${encodeURIComponent(next)}`;
  }
  return all;
}

function shortened(data) {
  const text = data === undefined || data === null ? '' : JSON.stringify(data);
  return text.length > kDataWidth ? `${text.slice(0, kDataWidth - 1)}…` : text;
}

const found = await get(`/v1/runs/${encodeURIComponent(run)}`);
console.log(`run ${found.id}  flow ${found.flow}  client ${found.client ?? '-'}  ${found.state}`);
const all = await records();
const began = all.length > 0 ? Date.parse(all[0].time) : 0;
for (const { seq, time, kind, step, attempt, data } of all) {
  const at = `+${String(Date.parse(time) - began)} ms`.padStart(10);
  const where = `${step ?? ''}${attempt ? ` (attempt ${attempt})` : ''}`;
  const head = `${at}  ${String(seq).padStart(6)}  ${kind.padEnd(12)} ${where.padEnd(34)}`;
  console.log(`${head} ${shortened(data)}`);
}
