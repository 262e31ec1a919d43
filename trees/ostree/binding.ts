/** The addon, loaded at first use and told about our error class. */
import { loadNative } from '../native-loader.js';
import { OstreeError } from './errors.js';
import type { Native } from './native.js';

let binding: Native | undefined;

/** @throws TreesError `NATIVE_MISSING` when the addon was not built. */
export function loadBinding(): Native {
  if (binding === undefined) {
    binding = loadNative<Native>('ostree');
    binding.initialize(OstreeError);
  }
  return binding;
}
