/** Parser of GVariant type strings (https://docs.gtk.org/glib/struct.VariantType.html), definite types only. */
import { invalid } from './arguments.js';

export type VariantType =
  | { readonly kind: 'basic'; readonly code: string }
  | { readonly kind: 'variant' }
  /** `ay` */
  | { readonly kind: 'bytes' }
  /** `a{sv}` */
  | { readonly kind: 'vardict' }
  | { readonly kind: 'array' | 'maybe'; readonly item: VariantType }
  /** Tuples and dictionary entries. */
  | { readonly kind: 'tuple'; readonly items: readonly VariantType[] };

const BASIC = 'bynqiuxthdsog';
const MAX_DEPTH = 64;

/** Parses one complete type. @throws TypeError naming `name` when it is not one. */
export function parseVariantType(type: string, name: string): VariantType {
  const [parsed, end] = parse(type, 0, name, 0);
  if (end !== type.length) throw invalid(name, 'a single complete GVariant type', type);
  return parsed;
}

/** What follows the first complete type of a signature. */
export function restOfSignature(signature: string, name: string): string {
  return signature.slice(parse(signature, 0, name, 0)[1]);
}

function parse(type: string, start: number, name: string, depth: number): [VariantType, number] {
  const code = type.charAt(start);
  if (code === '' || depth > MAX_DEPTH) throw invalid(name, 'a GVariant type', type);
  if (BASIC.includes(code)) return [{ kind: 'basic', code }, start + 1];
  if (code === 'v') return [{ kind: 'variant' }, start + 1];
  if (code === 'a' || code === 'm') {
    const [item, end] = parse(type, start + 1, name, depth + 1);
    const inner = type.slice(start + 1, end);
    if (code === 'm') return [{ kind: 'maybe', item }, end];
    if (inner === 'y') return [{ kind: 'bytes' }, end];
    if (inner === '{sv}') return [{ kind: 'vardict' }, end];
    return [{ kind: 'array', item }, end];
  }
  if (code === '(') {
    const items: VariantType[] = [];
    let position = start + 1;
    while (type.charAt(position) !== ')') {
      const [item, end] = parse(type, position, name, depth + 1);
      items.push(item);
      position = end;
    }
    return [{ kind: 'tuple', items }, position + 1];
  }
  if (code === '{') {
    const [key, afterKey] = parse(type, start + 1, name, depth + 1);
    const [value, end] = parse(type, afterKey, name, depth + 1);
    if (key.kind !== 'basic' || type.charAt(end) !== '}') throw invalid(name, 'a GVariant type', type);
    return [{ kind: 'tuple', items: [key, value] }, end + 1];
  }
  throw invalid(name, 'a GVariant type', type);
}
