export { Client } from './src/client.mjs';
export { Worker } from './src/worker.mjs';
export { ConnectionClosed, Rejected, TaskFailed } from './src/errors.mjs';
