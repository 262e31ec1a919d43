// A default import is the form of this CommonJS package that means the same in Node and in the bundle.
import module from 'cosmiconfig';

/**
 * Cosmiconfig's readers for data files. Its explorer is not used: before anything else it looks for
 * `.config/config.js` in the working directory and runs it.
 */
const { defaultLoaders } = module;

/** @throws the reader's own error, which says where in the text it stumbled */
export function parseYaml(path: string, text: string): unknown {
  return defaultLoaders['.yaml'](path, text);
}
