// wrap-ansi as a default export, from the fast drop-in (see build.mjs).
export { wrapAnsi as default } from 'fast-wrap-ansi';
