/** GVariant values: construction and checks. The mapping to JavaScript is documented at {@link Variant}. */
import { checkArray, checkBytes, checkString, invalid } from './arguments.js';
import type { Metadata, Variant } from './types.js';
import { parseVariantType, restOfSignature, type VariantType } from './variant-type.js';

/** What the addon takes: the checked tree with dictionaries as arrays of pairs. */
export interface NativeVariant {
  readonly type: string;
  readonly value: unknown;
}

const INTEGER_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  y: [0, 0xff],
  n: [-0x8000, 0x7fff],
  q: [0, 0xffff],
  i: [-0x8000_0000, 0x7fff_ffff],
  h: [-0x8000_0000, 0x7fff_ffff],
  u: [0, 0xffff_ffff],
};
const BIG_RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  x: [-(2n ** 63n), 2n ** 63n - 1n],
  t: [0n, 2n ** 64n - 1n],
};
/** GVariant itself stops at 64 levels of containers in variants that arrive from outside. */
const MAX_DEPTH = 64;

/**
 * A GVariant of the given type string, checked.
 *
 * @throws TypeError when `type` is no definite GVariant type, or `value` does not fit it.
 */
export function variant(type: string, value: unknown): Variant {
  toNativeVariant({ type, value }, 'value');
  return { type, value };
}

/** Checks a variant and returns it in the addon's form. */
export function toNativeVariant(input: unknown, name: string, depth = 0): NativeVariant {
  if (depth > MAX_DEPTH) throw invalid(name, `nested at most ${MAX_DEPTH} deep`, input);
  if (typeof input !== 'object' || input === null || !('type' in input) || !('value' in input)) {
    throw invalid(name, 'a Variant ({type, value})', input);
  }
  const type = checkString(input.type, `${name}.type`);
  return { type, value: convert(parseVariantType(type, `${name}.type`), input.value, name, depth) };
}

/** Checks metadata (`a{sv}`) and returns it as pairs, in the order of its keys. */
export function toNativeMetadata(
  input: unknown,
  name: string,
  depth = 0,
): ReadonlyArray<readonly [string, NativeVariant]> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalid(name, 'an object of Variants', input);
  }
  return Object.entries(input).map(([key, value]) => [
    checkString(key, `key of ${name}`),
    toNativeVariant(value, `${name}[${JSON.stringify(key)}]`, depth + 1),
  ]);
}

function convert(type: VariantType, value: unknown, name: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw invalid(name, `nested at most ${MAX_DEPTH} deep`, value);
  switch (type.kind) {
    case 'basic':
      return convertBasic(type.code, value, name);
    case 'variant':
      return toNativeVariant(value, name, depth + 1);
    case 'bytes':
      return checkBytes(value, name);
    case 'vardict':
      return toNativeMetadata(value, name, depth);
    case 'array':
      return checkArray(value, name).map((item, index) => convert(type.item, item, `${name}[${index}]`, depth + 1));
    case 'maybe':
      return value === undefined || value === null ? undefined : convert(type.item, value, name, depth + 1);
    case 'tuple': {
      const items = checkArray(value, name);
      if (items.length !== type.items.length) throw invalid(name, `an array of ${type.items.length} values`, value);
      return type.items.map((item, index) => convert(item, items[index], `${name}[${index}]`, depth + 1));
    }
  }
}

function convertBasic(code: string, value: unknown, name: string): unknown {
  if (code === 's') return checkString(value, name);
  if (code === 'o') return checkMatch(value, name, /^\/$|^(\/[A-Za-z0-9_]+)+$/, 'a D-Bus object path');
  if (code === 'g') {
    const signature = checkString(value, name);
    for (let rest = signature; rest !== ''; ) rest = restOfSignature(rest, name);
    return signature;
  }
  if (code === 'b') {
    if (typeof value !== 'boolean') throw invalid(name, 'a boolean', value);
    return value;
  }
  if (code === 'd') {
    if (typeof value !== 'number') throw invalid(name, 'a number', value);
    return value;
  }
  const big = BIG_RANGES[code];
  if (big !== undefined) {
    if (typeof value !== 'bigint' || value < big[0] || value > big[1]) {
      throw invalid(name, `a bigint from ${big[0]} to ${big[1]}`, value);
    }
    return value;
  }
  const [minimum, maximum] = INTEGER_RANGES[code] ?? [0, -1];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw invalid(name, `a whole number from ${minimum} to ${maximum}`, value);
  }
  return value;
}

function checkMatch(value: unknown, name: string, pattern: RegExp, expected: string): string {
  const text = checkString(value, name);
  if (!pattern.test(text)) throw invalid(name, expected, text);
  return text;
}

/** Reads a string entry of metadata; `undefined` when it is missing or of another type. */
export function metadataString(metadata: Metadata | undefined, key: string): string | undefined {
  const entry = metadata === undefined || !Object.hasOwn(metadata, key) ? undefined : metadata[key];
  return entry?.type === 's' && typeof entry.value === 'string' ? entry.value : undefined;
}
