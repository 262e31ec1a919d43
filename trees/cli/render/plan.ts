import type { ExplainedPlan } from '../../store/install-plan.js';
import { isEnough, type SpaceEstimate } from '../../store/space-estimate.js';
import { formatBytes } from './format.js';

/** What would be fetched and written, as commands with `--dry-run` give it. */
export interface PlanView {
  readonly path: ExplainedPlan;
  readonly space: SpaceEstimate | undefined;
  /** Where it does not fit: bytes that `trees gc` would free. */
  readonly collectible?: number | undefined;
}

/** For `--json`. */
export function planJson({ path, space, collectible }: PlanView) {
  const { nameOf } = path;
  return {
    fetch: path.bytes,
    write: path.writes,
    reason: reasonFor(path),
    bundles: path.edges.map(({ file, from, to, encoding, size, writes }) => ({
      file,
      from,
      to,
      fromName: from === null ? null : nameOf(from),
      toName: nameOf(to),
      encoding,
      size,
      writes,
    })),
    alternatives: path.alternatives.map(({ bytes, reason, edges }) => ({
      fetch: bytes,
      reason,
      bundles: edges.map(({ file }) => file),
    })),
    space: space === undefined ? null : spaceJson(space, collectible),
    fits: space === undefined || isEnough(space),
  };
}

/** For people: indented lines. */
export function planLines({ path, space, collectible }: PlanView): string[] {
  const lines = [
    `  path   ${path.reason}`,
    ...path.edges.map(({ file, size, encoding }) => `         ${file} (${encoding}, ${formatBytes(size)})`),
    `  why    ${why(path)}`,
    ...path.alternatives.map(({ bytes, reason }) => `         instead of ${formatBytes(bytes)}: ${reason}`),
    `  fetch  ${formatBytes(path.bytes)}`,
    `  write  ${formatBytes(path.writes)}`,
  ];
  if (space === undefined) return lines;
  const missing = missingOf(space);
  lines.push(`  disk   ${formatBytes(space.needed)} needed at most, ${formatBytes(space.free)} free`);
  if (missing > 0) {
    const gc = collectible === undefined ? '' : `; trees gc would free ${formatBytes(collectible)}`;
    lines.push(`         this does not fit: ${formatBytes(missing)} are missing${gc}`);
  } else if (!isEnough(space)) {
    const { needed, free } = space.files;
    lines.push(`         this does not fit: about ${needed} files, and there are ${free} free inodes`);
  }
  return lines;
}

function spaceJson(space: SpaceEstimate, collectible: number | undefined) {
  const { needed, free } = space.files;
  return {
    ...space,
    files: { needed, free: free ?? null },
    missing: missingOf(space),
    collectible: collectible ?? null,
  };
}

function missingOf({ needed, free }: SpaceEstimate): number {
  return Math.max(0, needed - free);
}

function reasonFor(path: ExplainedPlan): string {
  return `${path.reason}: ${why(path)}`;
}

function why({ edges, bytes, alternatives }: ExplainedPlan): string {
  if (edges.length === 0) return 'nothing has to be fetched';
  const [next] = alternatives;
  if (next === undefined) return 'the only way that is published';
  return next.bytes < bytes
    ? 'done sooner over this link than fewer bytes that take longer to unpack'
    : `the fewest bytes of all published ways, ${formatBytes(bytes)}; the next best fetches ${formatBytes(next.bytes)}`;
}
