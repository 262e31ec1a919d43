#!/usr/bin/env -S node --
import { main } from './main.js';

// No top-level await: it would keep a launcher that replaces this process from being the last thing that happens.
void main(process.argv.slice(2));
