/**
 * Where the members of a serialised GVariant tuple are, for reading a few of them without libostree: from commits and
 * deltas of which only a part is here (GVariant Specification 1.0, 2.5).
 */

/** A member of a tuple: its alignment, and its bytes if all values of its type have the same number. */
export interface TupleMember {
  readonly align: number;
  readonly size?: number;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Bytes of a framing offset in a container of so many bytes. */
export function offsetSize(length: number): 1 | 2 | 4 | 8 {
  return length > 0xffffffff ? 8 : length > 0xffff ? 4 : length > 0xff ? 2 : 1;
}

/** Little-endian, as framing offsets are. */
export function readOffset(bytes: Buffer, position: number, size: 1 | 2 | 4 | 8): number {
  return size === 8 ? Number(bytes.readBigUInt64LE(position)) : bytes.readUIntLE(position, size);
}

/**
 * The members' places in a tuple whose end is at hand.
 * @param tail the last bytes of the tuple
 * @param length bytes of the whole tuple; places count from its start
 * @returns undefined if it is no such tuple, or its table is not all in `tail`
 */
export function tupleSpans(tail: Buffer, length: number, members: readonly TupleMember[]): Span[] | undefined {
  const size = offsetSize(length);
  const variable = members.filter((member, at) => member.size === undefined && at < members.length - 1).length;
  const content = length - variable * size;
  if (content < 0 || variable * size > tail.length) return undefined;
  const spans: Span[] = [];
  let position = 0;
  let table = tail.length;
  for (const [at, member] of members.entries()) {
    const start = Math.ceil(position / member.align) * member.align;
    if (member.size !== undefined) position = start + member.size;
    else if (at === members.length - 1) position = content;
    else {
      table -= size;
      position = readOffset(tail, table, size);
    }
    // An empty member may begin, by its alignment, after the end that is given for it.
    if (position > content) return undefined;
    spans.push({ start: Math.min(start, position), end: position });
  }
  return spans;
}

/** The elements of an array whose elements have no fixed size. @returns undefined if it is no such array */
export function arraySpans(bytes: Buffer, align: number): Span[] | undefined {
  if (bytes.length === 0) return [];
  const size = offsetSize(bytes.length);
  const table = readOffset(bytes, bytes.length - size, size);
  const count = (bytes.length - table) / size;
  if (!Number.isInteger(count) || count < 1) return undefined;
  const spans: Span[] = [];
  let position = 0;
  for (let at = 0; at < count; at += 1) {
    const start = Math.ceil(position / align) * align;
    const end = readOffset(bytes, table + at * size, size);
    if (end < start || end > table) return undefined;
    spans.push({ start, end });
    position = end;
  }
  return spans;
}
