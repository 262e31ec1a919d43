#!/usr/bin/env -S node --
import { tryQuick } from './quick.js';

const argv = process.argv.slice(2);
// No top-level await: it would keep a launcher that replaces this process from being the last thing that happens.
if (!tryQuick(argv)) void import('./main.js').then(async ({ main }) => await main(argv));
