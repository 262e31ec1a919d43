import { basename } from 'node:path';
import validVersion from 'semver/functions/valid.js';
import validRange from 'semver/ranges/valid.js';
import type { BundleInfo } from '../delta/index.js';
import { TreesError, usageError } from '../errors.js';
import { dateVersion } from '../feed/date-version.js';
import { metadataString } from '../ostree/index.js';
import { isAppName } from './generations.js';
import { commitKey } from './metadata.js';

/** What the commit of a bundle in a file is. */
export type FileIdentity = { readonly name: string; readonly version: string; readonly arch: string } & (
  | { readonly kind: 'base' }
  /** With the base it goes on, as a range. */
  | {
      readonly kind: 'layer';
      readonly summary: string;
      readonly base: { readonly name: string; readonly range: string };
    }
  /** All of an app, with no base: what other tools make. */
  | { readonly kind: 'tree' }
);

export interface IdentityOptions {
  /** For commits that do not say what they are; default `app`. */
  readonly as?: 'app' | 'base' | undefined;
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly arch: string;
}

/**
 * Finds out what a bundle brings: from its commit's metadata if trees made it, else from the options, the name of the
 * file and the commit's date. Pure.
 * @param file path as the user gave it
 * @throws TreesError UNSUPPORTED, LAYER_INVALID, USAGE
 */
export function identify(info: BundleInfo, file: string, options: IdentityOptions): FileIdentity {
  const { metadata } = info.commit;
  const kind = metadataString(metadata, commitKey.kind);
  if (kind === undefined) return identifyForeign(info, file, options);
  if (options.as !== undefined || options.version !== undefined) {
    throw usageError(`Expected neither --as nor --version: ${file} says itself that it is a ${kind}`);
  }
  const text = (key: string): string => metadataString(metadata, key) ?? '';
  const [name, version, arch] = [text(commitKey.name), text(commitKey.version), text(commitKey.arch)];
  if (kind === 'tree') {
    throw new TreesError('UNSUPPORTED', `cannot install ${file}: it holds the composed tree of ${name}`, {
      hint: 'install the bundles of its base and of its layer: the tree is composed from them here',
    });
  }
  if ((kind !== 'base' && kind !== 'layer') || !isAppName(name) || validVersion(version) !== version) {
    throw invalid(file, `${JSON.stringify(kind)} named ${JSON.stringify(name)}, version ${JSON.stringify(version)}`);
  }
  if (arch !== options.arch) {
    throw new TreesError('UNSUPPORTED', `cannot install ${file}: it is for ${arch}, here ${options.arch} is wanted`, {
      hint: 'the setting arch says what is wanted',
      details: { arch },
    });
  }
  if (kind === 'base') return { kind, name, version, arch };
  return { kind, name, version, arch, summary: text(commitKey.summary), base: baseOf(text(commitKey.base), file) };
}

function baseOf(json: string, file: string): { name: string; range: string } {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw invalid(file, `a layer that does not say which base it goes on`);
  }
  const name: unknown = Reflect.get(Object(value), 'name');
  const range: unknown = Reflect.get(Object(value), 'range');
  if (typeof name !== 'string' || !isAppName(name) || typeof range !== 'string' || validRange(range) === null) {
    throw invalid(file, `a layer on base ${JSON.stringify(value)}`);
  }
  return { name, range };
}

function identifyForeign(info: BundleInfo, file: string, options: IdentityOptions): FileIdentity {
  const name = options.name ?? nameOf(file);
  if (name === undefined || !isAppName(name)) {
    throw usageError(
      `Expected --name: the commit in ${file} does not say what it is called`,
      `for example: trees bundle install ${file} --name etcd`,
    );
  }
  const own = metadataString(info.commit.metadata, 'version');
  const version = options.version ?? (own !== undefined && validVersion(own) === own ? own : undefined);
  if (options.version !== undefined && validVersion(options.version) !== options.version) {
    throw usageError(`Expected --version to be a semantic version, got "${options.version}"`, 'for example: 3.5.1');
  }
  return {
    kind: options.as === 'base' ? 'base' : 'tree',
    name,
    version: version ?? dateVersion(info.commit.timestamp),
    arch: options.arch,
  };
}

/** `etcd` of `/path/etcd.tar` and `etcd.delta.zst`; undefined of names that are no names, such as those of commits. */
function nameOf(file: string): string | undefined {
  const name = basename(file).replace(/(?:\.(?:tar|tgz|gz|delta|zst|zstd))+$/, '');
  return isAppName(name) && !/^[0-9a-f]{64}$/.test(name) ? name : undefined;
}

function invalid(file: string, what: string): TreesError {
  return new TreesError('LAYER_INVALID', `cannot install ${file}: its commit says it is ${what}`, {
    hint: 'tell the publisher',
    details: { file },
  });
}
