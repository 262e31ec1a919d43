/** Bundles: creating, reading and applying them. */
export { applyBundle } from './apply.js';
export { isRef } from './arguments.js';
export { createBundle } from './create.js';
export { bundleInfo } from './info.js';
export type {
  AppliedBundle,
  ApplyBundleOptions,
  BundleCommit,
  BundleEncoding,
  BundleInfo,
  BundlePart,
  BundleProgress,
  CreateBundleOptions,
  CreatedBundle,
  ExpectedBundle,
} from './types.js';
