// Judges what the clients saw. Pure: observations in, faults out. checker_test.mjs plants each.
import { expectedResult } from './work.mjs';

// Kinds with which a step that may not be repeated can end when its worker or the engine dies.
const kUnsure = new Set(['Lost', 'TimedOut', 'Unavailable']);

/**
 * @param clients each `{ name, orderly, sends: [{ n, topic, text, answers: [accepted frame] }],
 *   deliveries: [{ epoch, offset, name, run, outcome, data }], incidents: [text] }`, in the order
 *   in which things happened; `orderly` clients sent each event after the last one was accepted
 * @param charges runs whose unrepeatable step a worker began, one entry for each beginning
 * @returns sentences, none if everything that Sluice promises held
 */
export function faultsOf(clients, charges) {
  const begun = new Map();
  for (const run of charges) begun.set(run, (begun.get(run) ?? 0) + 1);
  const faults = [];
  for (const [run, times] of begun) {
    if (times > 1) faults.push(`run ${run}: the unrepeatable step began ${times} times`);
  }
  for (const client of clients) {
    const add = (text) => faults.push(`${client.name}: ${text}`);
    client.incidents.forEach(add);
    const runs = checkSends(client, add);
    checkNumbers(client, add);
    checkAnswers(client, runs, begun, add);
    checkOrder(client, runs, add);
  }
  return faults;
}

/** Every send was accepted, repeats got the first answer. Returns run -> send. */
function checkSends({ sends }, add) {
  const runs = new Map();
  for (const send of sends) {
    const [first, ...repeats] = send.answers;
    if (!first) {
      add(`event ${send.n} was never accepted`);
      continue;
    }
    if (first.runs.length !== 1) add(`event ${send.n} started ${first.runs.length} runs`);
    for (const repeat of repeats) {
      const same = repeat.event === first.event && String(repeat.runs) === String(first.runs);
      if (!same) add(`a repeat of event ${send.n} was taken for another event`);
    }
    for (const run of first.runs) {
      if (runs.has(run)) add(`events ${runs.get(run).n} and ${send.n} share run ${run}`);
      runs.set(run, send);
    }
  }
  return runs;
}

/** Offsets rise by one within an epoch, and the epoch stays. */
function checkNumbers({ deliveries }, add) {
  deliveries.forEach((delivery, i) => {
    const before = deliveries[i - 1];
    if (before && delivery.epoch !== before.epoch) {
      add(`the epoch changed from ${before.epoch} to ${delivery.epoch}`);
    } else if (before && delivery.offset !== before.offset + 1) {
      add(`offset ${delivery.offset} follows ${before.offset}`);
    }
  });
}

/** Each run began once, was answered once, afterwards, and rightly. */
function checkAnswers({ deliveries }, runs, begun, add) {
  const began = new Map();
  const outcomes = new Map();
  for (const delivery of deliveries) {
    const send = runs.get(delivery.run);
    if (!send) {
      add(`${delivery.name} of run ${delivery.run}, which nobody asked for`);
      continue;
    }
    if (delivery.data.n !== send.n) {
      add(`run ${delivery.run} of event ${send.n} speaks of event ${delivery.data.n}`);
    }
    const seen = delivery.outcome ? outcomes : began;
    seen.set(delivery.run, (seen.get(delivery.run) ?? 0) + 1);
    if (!delivery.outcome) continue;
    if (!began.has(delivery.run)) add(`event ${send.n} was answered before it began`);
    checkOutcome(delivery, send, begun.get(delivery.run) ?? 0, add);
  }
  for (const [run, send] of runs) {
    const times = outcomes.get(run) ?? 0;
    if (times !== 1) add(`event ${send.n} was answered ${times} times (run ${run})`);
    if (began.get(run) !== 1) add(`event ${send.n} began ${began.get(run) ?? 0} times`);
  }
}

function checkOutcome({ name, data }, send, begun, add) {
  if (name === 'Done') {
    const expected = expectedResult(send.topic, send.text);
    if (data.result !== expected) add(`event ${send.n} got ${data.result}, not ${expected}`);
    if (send.topic === 'payments' && begun === 0) add(`event ${send.n} was paid by nobody`);
  } else if (send.topic !== 'payments' || !kUnsure.has(data.kind)) {
    add(`event ${send.n} failed: ${data.kind} ${data.message}`);
  }
}

/** Within a topic, runs begin in the order of seq; an orderly client's seq rise as it sends. */
function checkOrder({ orderly, sends, deliveries }, runs, add) {
  const lastBegun = new Map();
  for (const delivery of deliveries) {
    const send = runs.get(delivery.run);
    if (!send || delivery.outcome) continue;
    const { seq } = send.answers[0];
    if (seq < lastBegun.get(send.topic)) add(`event ${send.n} (seq ${seq}) began out of order`);
    lastBegun.set(send.topic, seq);
  }
  if (!orderly) return;
  const lastSent = new Map();
  for (const send of sends.filter(({ answers }) => answers.length > 0)) {
    const { seq } = send.answers[0];
    if (seq <= lastSent.get(send.topic)) add(`event ${send.n} got seq ${seq}, out of order`);
    lastSent.set(send.topic, seq);
  }
}
