import compare from 'semver/functions/rcompare.js';
import { planPath } from '../trees/feed/path.js';
import type { BundleEntry, Channel } from '../trees/feed/schema.js';
import { type Content, isStable } from './content.js';
import { createWays } from './ways.js';

/** A bundle that may be worth publishing. */
export interface Edge {
  readonly from: string | null;
  readonly to: string;
  /** What `to` is, for names and messages. */
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  /** Published whatever it costs: without it `to` could not be reached. */
  readonly required: boolean;
  /** What whoever would use it has anyway: the alternative starts from there. */
  readonly have: readonly string[];
}

interface Versioned {
  readonly version: string;
  readonly arch: string;
  readonly commit: string;
  readonly channel?: Channel | undefined;
}

/** What people are brought to: the newest version and the newest release, of all channels and of `stable`. */
function targets<V extends Versioned>(sorted: readonly V[]): V[] {
  const stable = sorted.filter(isStable);
  const release = ({ version }: V): boolean => !version.includes('-');
  const newest = [sorted[0], sorted.find(release), stable[0], stable.find(release)];
  return [...new Set(newest.filter((version) => version !== undefined))];
}

interface Line<V extends Versioned> {
  readonly name: string;
  readonly versions: readonly V[];
  /** Commits that equal versions had before, so that those who have them are not left behind. */
  readonly replaced: readonly string[];
  /** What a user of this version has as well. */
  readonly beside: (version: V) => readonly string[];
  /** How many versions before a target get a way to it. */
  readonly back: number;
}

function edgesOfLine<V extends Versioned>({ name, versions, replaced, beside, back }: Line<V>): Edge[] {
  const sorted = versions.toSorted((a, b) => compare(a.version, b.version));
  return targets(sorted).flatMap((target) => {
    const { version, arch, commit: to } = target;
    const edge = (from: string | null, have: readonly string[]): Edge => {
      return { from, to, name, version, arch, required: from === null, have };
    };
    const next = sorted.indexOf(target) + 1;
    const older = sorted.slice(next, next + back).map(({ commit }) => commit);
    // Nearest first: a farther one is only worth it if it beats the chain through the nearer ones.
    const previous = [...replaced, ...older].filter((commit) => commit !== to);
    return [
      edge(null, []),
      ...beside(target).map((commit) => edge(commit, [commit])),
      ...previous.map((commit) => edge(commit, [commit, ...beside(target)])),
    ];
  });
}

function byArch<V extends Versioned>(versions: readonly V[]): V[][] {
  const arches = [...new Set(versions.map(({ arch }) => arch))];
  return arches.map((arch) => versions.filter((version) => version.arch === arch));
}

/** Commits that the previous content had for these versions and the next one has not. */
function replacedCommits(previous: readonly Versioned[], next: readonly Versioned[]): string[] {
  return previous
    .filter((old) =>
      next.some((now) => now.version === old.version && now.arch === old.arch && now.commit !== old.commit),
    )
    .map(({ commit }) => commit);
}

/** Versions that nothing published leads to: each then needs a bundle of its own. */
function unreachable(content: Content, edges: readonly Edge[], existing: readonly BundleEntry[]): Edge[] {
  const covered = new Set(edges.map(({ to }) => to));
  const ways = createWays(existing);
  const missing: Edge[] = [];
  for (const group of [content.bases, content.apps]) {
    for (const [name, { versions }] of Object.entries(group)) {
      for (const { version, arch, commit: to } of versions) {
        if (covered.has(to) || ways.isReachable(to)) continue;
        missing.push({ from: null, to, name, version, arch, required: true, have: [] });
      }
    }
  }
  return missing;
}

/**
 * The bundles to consider for an index, in the order in which to decide: nothing → each version that has no other way,
 * nothing → newest, base → newest layer, previous versions → newest.
 * @param options.existing bundles that are published already and stay
 * @param options.back how many versions before the newest get a way to it
 */
export function considerEdges(
  content: Content,
  previous: Content | undefined,
  { existing, back }: { readonly existing: readonly BundleEntry[]; readonly back: number },
): Edge[] {
  const edges: Edge[] = [];
  for (const [name, { versions }] of Object.entries(content.bases)) {
    const replaced = replacedCommits(previous?.bases[name]?.versions ?? [], versions);
    for (const line of byArch(versions))
      edges.push(...edgesOfLine({ name, versions: line, replaced, beside: () => [], back }));
  }
  for (const [name, { versions }] of Object.entries(content.apps)) {
    const replaced = replacedCommits(previous?.apps[name]?.versions ?? [], versions);
    for (const line of byArch(versions)) {
      const beside = ({ arch, base }: (typeof versions)[number]): string[] => {
        const bases = content.bases[base.name]?.versions ?? [];
        const tested = bases.find((candidate) => candidate.arch === arch && candidate.version === base.tested);
        return tested === undefined ? [] : [tested.commit];
      };
      edges.push(...edgesOfLine({ name, versions: line, replaced, beside, back }));
    }
  }
  return [...unreachable(content, edges, existing), ...edges];
}

/** An optional bundle has to save this share of what its user would fetch without it. */
const WORTHWHILE_SAVING = 0.4;

/** Whether a bundle of `size` bytes is worth publishing beside the others. */
export function isWorthwhile(edge: Edge, size: number, others: readonly BundleEntry[]): boolean {
  if (edge.required) return true;
  const alternative = planPath(
    others.filter((other) => other.from !== edge.from || other.to !== edge.to),
    new Set(edge.have),
    edge.to,
  );
  return alternative === undefined || size <= alternative.bytes * (1 - WORTHWHILE_SAVING);
}
