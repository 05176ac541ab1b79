import { terms } from './words.mjs';

const kSentencesMost = 3;
const kRepeatWeight = 0.6;

/** The sources and the question of a prompt as `support.flow` builds it. */
export function readPrompt(prompt) {
  const at = prompt.lastIndexOf('\nQuestion: ');
  const question = at < 0 ? prompt : prompt.slice(at + '\nQuestion: '.length).trim();
  const lines = at < 0 ? [] : prompt.slice(0, at).split('\n').slice(1);
  const sources = lines.map((line) => line.match(/^(\S+\.md): (.+)$/)).filter(Boolean);
  return { question, sources: sources.map(([, file, text]) => ({ file, text })) };
}

function sentencesOf({ file, text }, rank) {
  const sentences = text.match(/[^.!?]+(?:[.!?](?!\s|$)[^.!?]*)*[.!?]*/g) ?? [text];
  return sentences.map((sentence, position) => {
    const words = terms(sentence);
    const unique = new Set(words);
    return { text: sentence.trim(), file, rank, position, words: unique, length: words.length };
  });
}

/**
 * Answers a prompt from its own sources: scores each sentence by the rare words that it shares with
 * the question, prefers early sentences of good sources, and leaves out what repeats.
 */
export function summarise(prompt, most = kSentencesMost) {
  const { question, sources } = readPrompt(prompt);
  const sentences = sources.flatMap(sentencesOf).filter((s) => s.length > 2);
  if (sentences.length === 0) {
    return 'The help centre has nothing about this. Please write to support@tidewater.example.';
  }
  const asked = new Set([...terms(question), ...titleTerms(sources, question)]);
  const frequency = new Map();
  for (const { words } of sentences) {
    for (const word of words) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  for (const sentence of sentences) {
    sentence.score = score(sentence, asked, frequency, sentences.length);
  }
  return choose(sentences, most)
    .sort((a, b) => a.rank - b.rank || a.position - b.position)
    .map((sentence) => sentence.text)
    .join(' ');
}

/** Words of the best source's file name: they name the subject even where the question does not. */
function titleTerms(sources, question) {
  const name = sources[0].file.replace(/\.md$/, '').replaceAll('-', ' ');
  const asked = new Set(terms(question));
  const named = terms(name);
  return named.some((word) => asked.has(word)) ? named : [];
}

function score(sentence, asked, frequency, count) {
  let sum = 0;
  for (const word of sentence.words) {
    if (asked.has(word)) sum += Math.log(1 + count / frequency.get(word));
  }
  const place = 1 / (1 + sentence.rank) + 0.5 / (1 + sentence.position);
  return sum / Math.sqrt(6 + sentence.length) + 0.35 * place;
}

/** Takes the best sentence again and again, each time less fond of what resembles those taken. */
function choose(sentences, most) {
  const chosen = [];
  const left = [...sentences];
  while (chosen.length < most && left.length > 0) {
    const value = (s) => s.score - kRepeatWeight * Math.max(0, ...chosen.map((c) => overlap(s, c)));
    const best = left.reduce((a, b) => (value(b) > value(a) ? b : a));
    if (chosen.length > 0 && value(best) < chosen[0].score * 0.3) break;
    chosen.push(best);
    left.splice(left.indexOf(best), 1);
  }
  return chosen;
}

function overlap(a, b) {
  let shared = 0;
  for (const word of a.words) if (b.words.has(word)) shared += 1;
  return shared / Math.sqrt(a.words.size * b.words.size);
}
