/** Commit metadata keys that `images/` writes and the client reads. All values are strings (GVariant `s`). */
export const commitKey = {
  /** `base`, `layer` or `tree`. */
  kind: 'trees.kind',
  /** Name of the base or app. */
  name: 'trees.name',
  /** Semantic version; also under ostree's own `version` key as upstream writes it. */
  version: 'trees.version',
  /** Architecture as in `uname -m`. */
  arch: 'trees.arch',
  /** One-line description. */
  summary: 'trees.summary',
  /** Layer: JSON `{"name","range","version","commit"}`: the base it was built on. */
  base: 'trees.base',
  /** Layer and tree: JSON of the app's `RunSpec` (see `run/spec.ts`). */
  run: 'trees.run',
  /** Tree: JSON array of the commits it was composed from, base first. */
  composed: 'trees.composed',
} as const;

/** Ref names of DESIGN section 5. */
export const refName = {
  base: (name: string, arch: string, version: string): string => `base/${name}/${arch}/${version}`,
  layer: (app: string, arch: string, version: string): string => `layer/${app}/${arch}/${version}`,
  tree: (app: string, generation: number): string => `tree/${app}/${generation}`,
};
