import { TreesError } from '../trees/errors.js';

/**
 * How versions of packages become the semantic versions of bases and apps.
 *
 * 1. Of `EPOCH:UPSTREAM-REVISION` (Debian) or `UPSTREAM-rN` (Alpine) only the upstream version is looked at; suffixes
 *    that say how it was packaged (`+dfsg`, `+ds1`, `~dfsg`) are cut off. The original project's tags `YY.MM-X` are read
 *    the same way.
 * 2. Its first three numbers are major, minor and patch; missing ones are 0; a fourth and later ones are dropped.
 * 3. To the patch number the date of the newest package in the image is appended as six digits, YYMMDD (UTC):
 *    `patch × 1 000 000 + YYMMDD`. So etcd `3.4.23-4+b4` of 2023-05-21 is `3.4.23230521`, and Debian 12.11 with its
 *    newest package of 2025-05-20 is `12.11.250520`.
 * 4. An upstream pre-release (`1.3.0~rc1`) stays one: `1.3.0-rc1.YYMMDD`.
 *
 * Why: revisions are how distributions ship security fixes, so two of them must be two versions, and the later one must
 * be greater. As a pre-release (`3.4.23-4`) no range such as `^3` would match it; as build metadata (`3.4.23+4`) it would
 * not order, and `+` cannot be in a ref. The date also grows when only a dependency inside the layer was
 * updated, which the app's own revision would not show. What it costs: ranges can tell minor versions apart, not
 * upstream patch versions (`~3.4` and `^3.4` mean what they say; `3.4.23` alone matches nothing).
 *
 * A version that is already taken by a build with other inputs is not used again: the next free patch number is
 * (`nextFree`), so a later build is always greater than an earlier one in the same repository.
 */

/** What may be a version in an index and a component of a ref. */
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?$/;
const DATE_RANGE = 1_000_000;
const PRERELEASE = /~(alpha|beta|pre|rc|dev|git|svn|a|b)[.~-]?(\d+)?/i;

/**
 * @param version as the package manager or a file of the image says it
 * @param date of the newest input, in seconds since the epoch
 * @throws TreesError `BUILD_FAILED` when there is no number in it
 */
export function toSemver(version: string, date: number): string {
  const upstream = upstreamVersion(version);
  const numbers = /\d+(?:\.\d+)*/.exec(upstream)?.[0].split('.').map(Number);
  if (numbers === undefined) {
    throw new TreesError('BUILD_FAILED', `cannot make a semantic version of "${version}": it has no number`, {
      hint: 'give the version in the definition: version: {fixed: X.Y.Z}',
    });
  }
  const [major = 0, minor = 0, patch = 0] = numbers;
  const pre = PRERELEASE.exec(upstream);
  if (pre !== null) {
    const label = `${(pre[1] ?? '').toLowerCase()}${Number(pre[2] ?? 0)}`;
    return `${major}.${minor}.${patch}-${label}.${yymmdd(date)}`;
  }
  const dated = patch * DATE_RANGE + yymmdd(date);
  if (!Number.isSafeInteger(dated) || !Number.isSafeInteger(major) || !Number.isSafeInteger(minor)) {
    throw new TreesError('BUILD_FAILED', `cannot make a semantic version of "${version}": a number is too large`, {
      hint: 'give the version in the definition: version: {fixed: X.Y.Z}',
    });
  }
  return `${major}.${minor}.${dated}`;
}

/** Without epoch, Debian revision, Alpine release and the suffixes of repackaging. */
function upstreamVersion(version: string): string {
  return version
    .trim()
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace(/[+~.](dfsg|ds|repack|really)[.\d]*.*$/i, '');
}

/** Digits of the UTC date as a number; 0 before 2000, so that an unknown date orders first. */
function yymmdd(seconds: number): number {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  if (year < 2000 || year > 2099) return 0;
  return (year - 2000) * 10_000 + (date.getUTCMonth() + 1) * 100 + date.getUTCDate();
}

/** Compares two of our versions as semver does. Build metadata does not occur. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  for (const index of [0, 1, 2] as const) {
    if (left.numbers[index] !== right.numbers[index]) return left.numbers[index] - right.numbers[index];
  }
  if (left.pre === right.pre) return 0;
  if (left.pre === undefined) return 1;
  if (right.pre === undefined) return -1;
  return left.pre.localeCompare(right.pre, 'en', { numeric: true });
}

/**
 * The version to use for a build whose computed version `wanted` is: itself when it is greater than all of `taken`
 * that share its major and minor number and its upstream patch, else the least one above those.
 */
export function nextFree(wanted: string, taken: readonly string[]): string {
  const { numbers, pre } = parse(wanted);
  if (pre !== undefined) {
    let candidate = wanted;
    for (let count = 1; taken.includes(candidate); count++) candidate = `${wanted}.${count}`;
    return candidate;
  }
  const [major, minor, patch] = numbers;
  const upstream = Math.floor(patch / DATE_RANGE);
  const highest = taken
    .map(parse)
    .filter((one) => one.pre === undefined && one.numbers[0] === major && one.numbers[1] === minor)
    .map((one) => one.numbers[2])
    .filter((other) => Math.floor(other / DATE_RANGE) === upstream)
    .reduce((max, other) => Math.max(max, other), -1);
  return `${major}.${minor}.${Math.max(patch, highest + 1)}`;
}

function parse(version: string): { numbers: readonly [number, number, number]; pre: string | undefined } {
  const match = SEMVER.exec(version);
  if (match === null) throw new Error(`Expected version to be X.Y.Z, got ${version}`);
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], pre: match[4] };
}
