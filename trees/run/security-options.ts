import { isAbsolute, normalize, resolve } from 'node:path';
import { TreesError, usageError } from '../errors.js';
import type { IdMap } from './plan-format.js';
import type { ProfileReader } from './seccomp/read-profile.js';
import type { DeviceSpec, IdsRequest, SecurityRequest, SharedNamespace } from './security.js';

/** podman's ways to say on the command line what a container may do. */

export interface SecurityOptionsContext {
  /** For the names of files. */
  readonly cwd: string;
  readonly readProfile: ProfileReader;
}

/**
 * `--security-opt NAME[=VALUE]`, each one changing what came before.
 * @throws TreesError `USAGE`, `UNSUPPORTED`
 */
export function parseSecurityOptions(
  texts: readonly string[],
  { cwd, readProfile }: SecurityOptionsContext,
): SecurityRequest {
  const profile = (path: string): SecurityRequest => ({ seccomp: readProfile(resolve(cwd, path)) });
  return texts.reduce<SecurityRequest>((request, text) => ({ ...request, ...parseOne(text, profile, request) }), {});
}

function parseOne(text: string, profile: (path: string) => SecurityRequest, before: SecurityRequest): SecurityRequest {
  const [, name = '', value] = /^([^=:]+)(?:[=:](.*))?$/s.exec(text) ?? [];
  switch (name) {
    case 'no-new-privileges':
      if (![undefined, 'true', 'false'].includes(value)) break;
      return { noNewPrivileges: value !== 'false' };
    case 'seccomp':
      if (value === undefined || value === '') break;
      return value === 'unconfined' ? { seccomp: value } : profile(value);
    case 'mask':
      return { mask: [...(before.mask ?? []), ...paths(text, value)] };
    case 'unmask': {
      if (value?.toLowerCase() === 'all' || before.unmask === 'all') return { unmask: 'all' };
      return { unmask: [...(before.unmask ?? []), ...paths(text, value)] };
    }
    case 'proc-opts': {
      const words = (value ?? '').split(',');
      if (
        !words.every((word) => /^(hidepid=(0|1|2|4|off|noaccess|invisible|ptraceable)|gid=\d+|subset=pid)$/.test(word))
      )
        break;
      return { procOptions: words };
    }
    case 'label':
    case 'apparmor':
      if (value === 'disable' || value === 'unconfined') return {};
      throw new TreesError(
        'UNSUPPORTED',
        `cannot apply --security-opt ${text}: trees sets no SELinux and AppArmor labels`,
        {
          hint: `leave it out, or say ${name}=${name === 'label' ? 'disable' : 'unconfined'}`,
        },
      );
    default:
  }
  throw usageError(
    `Expected --security-opt to be no-new-privileges[=BOOL], seccomp=FILE|unconfined, mask=PATHS, unmask=ALL|PATHS or proc-opts=hidepid=…, got "${text}"`,
  );
}

function paths(text: string, value: string | undefined): string[] {
  const list = (value ?? '')
    .split(':')
    .filter(Boolean)
    .map((path) => normalize(path));
  if (list.length === 0 || !list.every((path) => isAbsolute(path))) {
    throw usageError(`Expected --security-opt ${text} to have absolute paths, separated by ":"`);
  }
  return list;
}

/** `--ipc`, `--uts`, `--cgroupns` and `--pid` `host|private`. */
export function parseNamespaces(modes: Readonly<Record<SharedNamespace, string | undefined>>): SharedNamespace[] {
  return (['ipc', 'uts', 'cgroup', 'pid'] as const).filter((name) => modes[name] === 'host');
}

/**
 * `--device HOST[:CONTAINER][:rwm]`. What may be done with it are the node's own permissions.
 * @throws TreesError `USAGE`
 */
export function parseDevice(text: string): DeviceSpec {
  const [source = '', second = '', third] = text.split(':');
  const target = second === '' || /^[rwm]+$/.test(second) ? source : second;
  const rights = third ?? (/^[rwm]+$/.test(second) ? second : 'rwm');
  if (
    !isAbsolute(source) ||
    !isAbsolute(target) ||
    !/^[rwm]+$/.test(rights) ||
    normalize(target).startsWith('/proc/')
  ) {
    throw usageError(`Expected --device to be HOST[:CONTAINER][:rwm] with absolute paths, got "${text}"`);
  }
  return { source, target };
}

/**
 * `--sysctl NAME=VALUE`
 * @throws TreesError `USAGE`
 */
export function parseSysctls(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, name, value] = /^([^=\0]+)=([^\0]*)$/.exec(text) ?? [];
      if (name === undefined || value === undefined)
        throw usageError(`Expected --sysctl to be NAME=VALUE, got "${text}"`);
      return [name, value];
    }),
  );
}

/**
 * `--userns auto|host|keep-id[:uid=N,gid=N]|INSIDE:OUTSIDE:COUNT`, and `--uidmap`, `--gidmap`.
 * @returns undefined for those that need no ids: `auto` and `host`
 * @throws TreesError `USAGE`
 */
export function parseIds(
  userns: string | undefined,
  uidMaps: readonly string[],
  gidMaps: readonly string[],
): IdsRequest | undefined {
  if (uidMaps.length > 0 || gidMaps.length > 0) {
    if (userns !== undefined) throw usageError('Expected --userns or --uidmap and --gidmap, got both');
    // As podman: one alone counts for both.
    const uid = (uidMaps.length > 0 ? uidMaps : gidMaps).map((text) => parseIdMap(text, '--uidmap'));
    const gid = (gidMaps.length > 0 ? gidMaps : uidMaps).map((text) => parseIdMap(text, '--gidmap'));
    return { kind: 'map', uid: checkMaps(uid, '--uidmap'), gid: checkMaps(gid, '--gidmap') };
  }
  if (userns === undefined || userns === 'auto' || userns === 'host') return undefined;
  const [, options] = /^keep-id(?::(.*))?$/.exec(userns) ?? [undefined, null];
  if (options === null) {
    const maps = checkMaps(
      userns.split(',').map((text) => parseIdMap(text, '--userns')),
      '--userns',
    );
    return { kind: 'map', uid: maps, gid: maps };
  }
  const ids = new Map<string, number>();
  for (const word of options === undefined ? [] : options.split(',')) {
    const [, name, value] = /^(uid|gid)=(\d{1,9})$/.exec(word) ?? [];
    if (name === undefined)
      throw usageError(`Expected options of --userns keep-id to be uid=N and gid=N, got "${word}"`);
    ids.set(name, Number(value));
  }
  return { kind: 'keep-id', uid: ids.get('uid'), gid: ids.get('gid') };
}

const MAX_ID = 0xffff_fffe;

function parseIdMap(text: string, option: string): IdMap {
  const [, inside, outside, count = '1'] = /^(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  const map = { inside: Number(inside), outside: Number(outside), count: Number(count) };
  if (inside === undefined || map.count < 1 || map.inside + map.count > MAX_ID || map.outside + map.count > MAX_ID) {
    const what = option === '--userns' ? 'auto, host, keep-id or INSIDE:OUTSIDE:COUNT' : 'INSIDE:OUTSIDE:COUNT';
    throw usageError(`Expected ${option} to be ${what}, got "${text}"`);
  }
  return map;
}

function checkMaps(maps: readonly IdMap[], option: string): readonly IdMap[] {
  const overlaps = (side: 'inside' | 'outside'): boolean =>
    maps.some((one, index) =>
      maps
        .slice(0, index)
        .some((other) => one[side] < other[side] + other.count && other[side] < one[side] + one.count),
    );
  if (overlaps('inside') || overlaps('outside')) throw usageError(`Expected ranges of ${option} not to overlap`);
  if (!maps.some(({ inside, count }) => inside === 0 && count > 0)) {
    throw usageError(`Expected ${option} to map id 0 of the container: its file systems are made by that`);
  }
  return maps;
}
