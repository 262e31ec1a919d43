/** The commands of the producing side, loaded by the registry only when they are called. */
export { key } from './key-commands.js';
export { release } from './release-command.js';
