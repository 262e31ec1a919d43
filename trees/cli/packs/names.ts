declare const TREES_PACKS: readonly string[];

/** Names of the packs that this file was built with, the one that is looked into first at the front. */
export const packNames: readonly string[] = TREES_PACKS;
