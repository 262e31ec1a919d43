/** Bundles: creating, reading and applying them. */
export { applyArriving, applyBundle } from './apply.js';
export { applyParts } from './apply-parts.js';
export { isRef } from './arguments.js';
export { createBundle } from './create.js';
export { bundleInfo } from './info.js';
export { inlineParts } from './inline-parts.js';
export type {
  AppliedBundle,
  ApplyArrivingOptions,
  ApplyBundleOptions,
  Arrival,
  BundleCommit,
  BundleEncoding,
  BundleInfo,
  BundlePart,
  BundleProgress,
  CreateBundleOptions,
  CreatedBundle,
  ExpectedBundle,
} from './types.js';
