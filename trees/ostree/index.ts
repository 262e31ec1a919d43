/** ostree-ts: a typed, promise-based binding to libostree. */
export { deltaInfo } from './delta.js';
export { DevInoCache } from './dev-ino-cache.js';
export { isOstreeError, OstreeError, ostreeErrorCode } from './errors.js';
export type { RepoLock } from './lock.js';
export { MutableTree } from './mutable-tree.js';
export { Repo } from './repo.js';
export { Transaction } from './transaction.js';
export type * from './types.js';
export { metadataString, variant } from './variant.js';
