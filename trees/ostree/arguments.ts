/** Argument checks. Every public method runs its arguments through these; the addon only sees clean values. */
import { resolve } from 'node:path';
import type { Checksum, ObjectType, RepoMode } from './types.js';

const CHECKSUM = /^[0-9a-f]{64}$/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const UINT32_MAX = 0xffff_ffff;

const REPO_MODES: readonly RepoMode[] = ['bare', 'bare-user', 'bare-user-only', 'bare-split-xattrs', 'archive'];
const OBJECT_TYPES: readonly ObjectType[] = ['file', 'dirtree', 'dirmeta', 'commit'];

/** A TypeError of the house wording: `Expected checksum to be 64 lowercase hexadecimal digits, got "abc"`. */
export function invalid(name: string, expected: string, actual: unknown): TypeError {
  return new TypeError(`Expected ${name} to be ${expected}, got ${describe(actual)}`);
}

/** Short, single-line picture of any value for error messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return 'an array';
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === 'string' && name !== 'Object' && name !== '' ? `a ${name}` : 'an object';
}

/** Any string that can cross into C: no NUL, no lone surrogates. */
export function checkString(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalid(name, 'a string', value);
  if (value.includes('\0')) throw invalid(name, 'a string without NUL characters', value);
  if (LONE_SURROGATE.test(value)) throw invalid(name, 'well-formed Unicode', value);
  return value;
}

export function checkNonEmpty(value: unknown, name: string): string {
  const text = checkString(value, name);
  if (text === '') throw invalid(name, 'a non-empty string', text);
  return text;
}

/** A file system path, made absolute against the working directory of this moment. */
export function checkPath(value: unknown, name: string): string {
  return resolve(checkNonEmpty(value, name));
}

/** One path component, as dirtrees hold them. */
export function checkFilename(value: unknown, name: string): string {
  const text = checkNonEmpty(value, name);
  if (text.includes('/') || text === '.' || text === '..') {
    throw invalid(name, 'a file name (no slash, not "." or "..")', text);
  }
  return text;
}

/** An absolute path inside a tree, in normal form: `/`, `/usr/bin`. */
export function checkTreePath(value: unknown, name: string): string {
  const text = checkNonEmpty(value, name);
  if (!text.startsWith('/')) throw invalid(name, 'an absolute path inside the tree', text);
  const parts = text.split('/').filter((part) => part !== '');
  if (parts.some((part) => part === '.' || part === '..')) {
    throw invalid(name, 'a path without "." and ".." components', text);
  }
  return `/${parts.join('/')}`;
}

export function checkChecksum(value: unknown, name: string): Checksum {
  if (typeof value !== 'string' || !CHECKSUM.test(value)) {
    throw invalid(name, '64 lowercase hexadecimal digits', value);
  }
  return value;
}

export function checkOptionalChecksum(value: unknown, name: string): Checksum | undefined {
  return value === undefined ? undefined : checkChecksum(value, name);
}

export function checkOneOf<T extends string>(value: unknown, name: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) {
    throw invalid(name, `one of ${allowed.map((candidate) => JSON.stringify(candidate)).join(', ')}`, value);
  }
  return found;
}

export function checkRepoMode(value: unknown, name: string): RepoMode {
  return checkOneOf(value, name, REPO_MODES);
}

export function checkObjectType(value: unknown, name: string): ObjectType {
  return checkOneOf(value, name, OBJECT_TYPES);
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalid(name, 'a boolean', value);
  return value;
}

export function checkOptionalBoolean(value: unknown, name: string): boolean {
  return value === undefined ? false : checkBoolean(value, name);
}

/** A whole number within bounds. */
export function checkInteger(value: unknown, name: string, minimum: number, maximum: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw invalid(name, `a whole number from ${minimum} to ${maximum}`, value);
  }
  return value;
}

export function checkUint32(value: unknown, name: string): number {
  return checkInteger(value, name, 0, UINT32_MAX);
}

export function checkBytes(value: unknown, name: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalid(name, 'a Uint8Array', value);
  if (typeof SharedArrayBuffer === 'function' && value.buffer instanceof SharedArrayBuffer) {
    throw invalid(name, 'a Uint8Array that is not shared between threads', value);
  }
  return value;
}

export function checkFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalid(name, 'a function', value);
}

export function checkArray(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(name, 'an array', value);
  return value;
}

/** A plain options object; `undefined` stands for none given. Unknown keys are refused, so that typos do not pass. */
export function checkOptions<T extends object>(
  value: T | undefined,
  name: string,
  known: readonly string[],
): Partial<T> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(name, 'an object', value);
  for (const key of Object.keys(value)) {
    if (!known.includes(key))
      throw new TypeError(`Expected ${name} to have only known keys, got ${JSON.stringify(key)}`);
  }
  return value;
}

/** A required object; returns it for property access. */
export function checkObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(name, 'an object', value);
  return Object.fromEntries(Object.entries(value));
}

export function checkSignal(value: unknown, name: string): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw invalid(name, 'an AbortSignal', value);
}
