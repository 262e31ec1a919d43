/** Commit modifiers: from the public options to the flat form that the addon acts on. */
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkObject,
  checkOptionalBoolean,
  checkTreePath,
  checkUint32,
  invalid,
} from './arguments.js';
import type { CacheHandle, Native, NativeModifier } from './native.js';
import type { CommitModifierOptions, EntryInfo, EntryOverride } from './types.js';
import { toNativeXattrs } from './xattrs.js';

const PERMISSIONS = 0o7777;
const KEEP = -1;

export const modifierKeys = [
  'exclude',
  'owner',
  'modeMask',
  'modeSet',
  'overrides',
  'filter',
  'xattrs',
  'skipXattrs',
  'canonicalPermissions',
  'devInoCache',
  'devInoCanonical',
  'consume',
  'generateSizes',
] as const;

export function toNativeModifier(
  native: Native,
  options: CommitModifierOptions,
  devInoCache: CacheHandle | undefined,
): NativeModifier {
  const { excludePaths, excludePatterns } = checkExclude(native, options.exclude);
  const owner = options.owner === undefined ? undefined : checkObject(options.owner, 'options.owner');
  const skipXattrs = checkOptionalBoolean(options.skipXattrs, 'options.skipXattrs');
  if (skipXattrs && options.xattrs !== undefined) {
    throw new TypeError('Expected options.xattrs to be absent with options.skipXattrs, got both');
  }
  return {
    excludePaths,
    excludePatterns,
    uid: owner === undefined ? KEEP : checkUint32(owner['uid'], 'options.owner.uid'),
    gid: owner === undefined ? KEEP : checkUint32(owner['gid'], 'options.owner.gid'),
    modeMask: checkPermissions(options.modeMask ?? PERMISSIONS, 'options.modeMask'),
    modeSet: checkPermissions(options.modeSet ?? 0, 'options.modeSet'),
    overrides: checkOverrides(options.overrides),
    filter: checkFilter(options.filter),
    xattrs: checkXattrCallback(options.xattrs),
    skipXattrs,
    canonicalPermissions: checkOptionalBoolean(options.canonicalPermissions, 'options.canonicalPermissions'),
    devInoCache,
    devInoCanonical: checkOptionalBoolean(options.devInoCanonical, 'options.devInoCanonical'),
    consume: checkOptionalBoolean(options.consume, 'options.consume'),
    generateSizes: checkOptionalBoolean(options.generateSizes, 'options.generateSizes'),
  };
}

function checkPermissions(value: unknown, name: string): number {
  return checkInteger(value, name, 0, PERMISSIONS);
}

function checkExclude(
  native: Native,
  exclude: CommitModifierOptions['exclude'],
): Pick<NativeModifier, 'excludePaths' | 'excludePatterns'> {
  if (exclude !== undefined && !Array.isArray(exclude)) throw invalid('options.exclude', 'an array', exclude);
  const excludePaths: string[] = [];
  const excludePatterns: string[] = [];
  for (const [index, item] of (exclude ?? []).entries()) {
    const name = `options.exclude[${index}]`;
    if (typeof item === 'string') {
      excludePaths.push(checkTreePath(item, name));
    } else if (item instanceof RegExp) {
      if (/[vyd]/.test(item.flags)) throw invalid(name, 'a RegExp without the flags v, y and d', item.flags);
      const complaint = native.checkPattern(item.source, item.flags);
      if (complaint !== undefined) throw invalid(name, `a RegExp that PCRE understands (${complaint})`, item.source);
      excludePatterns.push(item.source, item.flags);
    } else {
      throw invalid(name, 'a path or a RegExp', item);
    }
  }
  return { excludePaths, excludePatterns };
}

function checkOverrides(overrides: CommitModifierOptions['overrides']): Array<string | number> {
  if (overrides === undefined) return [];
  if (!(overrides instanceof Map)) throw invalid('options.overrides', 'a Map', overrides);
  const flat: Array<string | number> = [];
  for (const [path, override] of overrides) {
    const key = checkTreePath(path, 'path of options.overrides');
    flat.push(key, ...checkOverride(override, `options.overrides[${JSON.stringify(key)}]`));
  }
  return flat;
}

/** [mode, uid, gid] */
function checkOverride(value: unknown, name: string): number[] {
  const override = checkObject(value, name);
  const { mode, uid, gid } = override;
  return [
    mode === undefined ? KEEP : checkPermissions(mode, `${name}.mode`),
    uid === undefined ? KEEP : checkUint32(uid, `${name}.uid`),
    gid === undefined ? KEEP : checkUint32(gid, `${name}.gid`),
  ];
}

function checkFilter(filter: CommitModifierOptions['filter']): NativeModifier['filter'] {
  if (filter === undefined) return undefined;
  checkFunction(filter, 'options.filter');
  return (path, info) => {
    const verdict: boolean | EntryOverride = filter(path, info);
    if (typeof verdict === 'object') return [1, ...checkOverride(verdict, `result of options.filter(${path})`)];
    return [checkBoolean(verdict, `result of options.filter(${path})`) ? 1 : 0, KEEP, KEEP, KEEP];
  };
}

function checkXattrCallback(xattrs: CommitModifierOptions['xattrs']): NativeModifier['xattrs'] {
  if (xattrs === undefined) return undefined;
  checkFunction(xattrs, 'options.xattrs');
  return (path: string, info: EntryInfo) => toNativeXattrs(xattrs(path, info), `result of options.xattrs(${path})`);
}
