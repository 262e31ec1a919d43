import type { BundleEntry } from './schema.js';

/**
 * Bytes of the static delta that one core decodes a second, measured on two cores of 2020: zstd is hardly ever what one
 * waits for, LZMA is as soon as the link is faster than some 20 MB/s.
 */
const DECODE_RATE = { fast: 800e6, small: 90e6 } as const;

/**
 * Seconds until a bundle is applied over a link. Parts are decoded while the rest arrives, so the slower of the two
 * counts.
 * @param bytesPerSecond speed of the link
 */
export function transferSeconds(bundle: BundleEntry, bytesPerSecond: number): number {
  return Math.max(bundle.size / bytesPerSecond, bundle.rawSize / DECODE_RATE[bundle.encoding]);
}

/**
 * Of bundles that lead from the same commit to the same commit (two encodings, or one listed twice) the one that is
 * done sooner if the speed of the link is known, else the one of fewer bytes. Pure; the order of the others stays.
 */
export function pickEncodings<E extends BundleEntry>(
  bundles: readonly E[],
  bytesPerSecond: number | undefined,
): readonly E[] {
  const cost = (bundle: E): number =>
    bytesPerSecond === undefined ? bundle.size : transferSeconds(bundle, bytesPerSecond);
  const best = new Map<string, E>();
  for (const bundle of bundles) {
    const edge = `${bundle.from ?? ''}>${bundle.to}`;
    const known = best.get(edge);
    const difference = known === undefined ? -1 : cost(bundle) - cost(known);
    if (known === undefined || difference < 0 || (difference === 0 && bundle.size < known.size)) best.set(edge, bundle);
  }
  const picked = new Set(best.values());
  return bundles.filter((bundle) => picked.has(bundle));
}
