/** Extended attributes in the order and form that objects hold them. */
import { checkArray, checkBytes, checkObject, invalid } from './arguments.js';

/**
 * Checks attributes and flattens them to name, value, name, value…, sorted by name; names end in NUL, as libostree
 * writes them, so that equal attributes always give equal objects.
 */
export function toNativeXattrs(input: unknown, name: string): Uint8Array[] {
  const entries = checkArray(input ?? [], name).map((item, index) => {
    const xattr = checkObject(item, `${name}[${index}]`);
    const key = checkBytes(xattr['name'], `${name}[${index}].name`);
    if (key.length === 0 || key.includes(0)) throw invalid(`${name}[${index}].name`, 'a name without NUL', key);
    return { key: Buffer.from(key), value: checkBytes(xattr['value'], `${name}[${index}].value`) };
  });
  entries.sort((a, b) => Buffer.compare(a.key, b.key));
  for (const [index, entry] of entries.entries()) {
    if (index > 0 && entries[index - 1]?.key.equals(entry.key) === true) {
      throw new TypeError(
        `Expected ${name} to name each attribute once, got ${JSON.stringify(entry.key.toString())} twice`,
      );
    }
  }
  return entries.flatMap(({ key, value }) => [Buffer.concat([key, Buffer.of(0)]), value]);
}
