/** What commands print with `--json`, looked into. */

/** At a path in a JSON document; `undefined` where there is nothing. */
export function at(document: unknown, ...path: ReadonlyArray<string | number>): unknown {
  return path.reduce<unknown>((node, key) => Reflect.get(Object(node), key), document);
}
