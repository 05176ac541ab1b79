#!/usr/bin/env node
// The support example's client: asks questions and shows progress and answers.
//
//   client.mjs [--url URL] [--token TOKEN]              type questions, one a line
//   client.mjs --count N [--each K] --token-command CMD [--report FILE] [--progress FILE]
//              N clients ask K questions each; then proves that each was answered exactly once
//
// SLUICE_URL and SLUICE_CLIENT_TOKEN stand in for the flags. CMD is run with ` --client NAME` added
// and prints that client's token.
import { parseArgs } from 'node:util';
import { runBatch } from './lib/batch.mjs';
import { runInteractive } from './lib/interactive.mjs';

const { env } = process;
const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: env.SLUICE_URL ?? 'http://127.0.0.1:8080' },
    token: { type: 'string', default: env.SLUICE_CLIENT_TOKEN ?? env.SLUICE_TOKEN },
    'token-command': { type: 'string' },
    count: { type: 'string' },
    each: { type: 'string', default: '1' },
    report: { type: 'string' },
    progress: { type: 'string' },
    'within-s': { type: 'string', default: '120' },
  },
});

function usage(text) {
  console.error(text);
  process.exit(2);
}

if (options.count !== undefined) {
  if (!options['token-command']) usage('--count needs --token-command');
  process.exitCode = await runBatch({
    url: options.url,
    tokenCommand: options['token-command'],
    count: Number(options.count),
    each: Number(options.each),
    report: options.report,
    progress: options.progress,
    withinMs: Number(options['within-s']) * 1000,
  });
} else {
  if (!options.token) usage('a client\'s token is missing: --token or SLUICE_CLIENT_TOKEN');
  process.exitCode = await runInteractive({ url: options.url, token: options.token });
}
