import { createInterface } from 'node:readline/promises';
import { Client } from '@sluice/client';

const kWidth = 92;
const painted = process.stdout.isTTY;
const colour = (code, text) => (painted ? `\x1b[${code}m${text}\x1b[0m` : text);

function wrapped(text, indent = '  ') {
  let line = '';
  const lines = [];
  for (const word of text.split(/\s+/)) {
    if (line.length + word.length + 1 > kWidth && line) {
      lines.push(line);
      line = '';
    }
    line += line ? ` ${word}` : word;
  }
  return [...lines, line].map((each) => indent + each).join('\n');
}

/** The line in which a stream grows; it is wiped when the answer comes whole. */
const live = {
  text: '',
  show(text) {
    if (!painted) return;
    live.text = text.replace(/\s+/g, ' ');
    process.stdout.write(`\r\x1b[2K${colour(2, `  ${live.text.slice(-kWidth)}`)}`);
  },
  wipe() {
    if (painted && live.text) process.stdout.write('\r\x1b[2K');
    live.text = '';
  },
};

function show({ name, data }) {
  live.wipe();
  if (name === 'Searching') console.log(colour(2, `  … found ${data.sources} passages`));
  if (name === 'Answer') {
    console.log(wrapped(data.text));
    const files = new Set(data.sources.map((source) => source.split(':')[0]));
    console.log(colour(2, `  from ${[...files].join(', ') || 'nothing'}`));
  }
  if (name === 'Refused') console.log(colour(33, `  not answered: ${data.reason}`));
  if (name === 'Failed' || name === 'sluice.failed') {
    console.log(colour(31, `  failed: ${data.reason ?? data.message ?? 'unknown'}`));
  }
}

/** Reads questions from standard input until it ends; each is answered before the next is asked. */
export async function runInteractive({ url, token }) {
  let answered = () => {};
  const client = new Client({
    url,
    token,
    onDelivery: (delivery) => {
      show(delivery);
      if (delivery.outcome) answered();
    },
    onToken: ({ data }) => live.show(live.text + data),
    onStream: ({ status, text }) => {
      if (status === 'reset' || status === 'snapshot') live.show(text ?? '');
    },
  });
  client.on('disconnected', () => console.log(colour(2, '  … connection lost, coming back')));
  try {
    await client.connect();
  } catch (error) {
    console.error(error.message);
    return 3;
  }
  const input = createInterface({ input: process.stdin, output: process.stdout });
  input.setPrompt(colour(1, 'ask> '));
  input.prompt();
  for await (const line of input) {
    if (line.trim()) {
      const answer = new Promise((resolve) => {
        answered = resolve;
      });
      try {
        await client.send('asks', { text: line.trim() });
        await answer;
      } catch (error) {
        console.log(colour(31, `  ${error.code ?? 'error'}: ${error.message}`));
      }
    }
    input.prompt();
  }
  client.close();
  return 0;
}
