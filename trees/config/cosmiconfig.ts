// A default import is the form of this CommonJS package that means the same in Node and in the bundle.
import module from 'cosmiconfig';

export const { cosmiconfig, defaultLoaders } = module;
