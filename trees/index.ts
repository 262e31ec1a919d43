/** Library entry of `pine-trees`: what the CLI is made of. The libostree binding is `pine-trees/ostree`. */

export { type LoadedSettings, type LoadInput, loadSettings, type Origin } from './config/load.js';
export type { Settings, SettingsFile } from './config/schema.js';
export { type ErrorCode, TreesError, type TreesErrorOptions } from './errors.js';
export { type Reporter, silentReporter, type Task } from './reporter.js';
