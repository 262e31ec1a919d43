#!/usr/bin/env -S node --
import { packNames } from './packs/names.js';
import { startCommand } from './packs/start.js';
import { tryQuick } from './quick.js';

/*
 * `dist/cli/bin.js`: what every command pays for, so that next to nothing is in it. Built as CommonJS, as Node loads that
 * without its machinery for modules.
 */
const argv = process.argv.slice(2);
if (!tryQuick(argv)) {
  startCommand(argv, { directory: __dirname, names: packNames, outside: require, load: (id) => import(id) });
}
