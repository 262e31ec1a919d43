import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { hostEnvironment, ownNamespaces, type ProcessContext, runProcess } from './process.js';

/** A tree under construction: what is below, and the directory that takes the changes. */
export interface BuildTree {
  readonly lower: string;
  readonly upper: string;
  /** overlayfs' own directory, beside `upper`. */
  readonly work: string;
  /** Directory that the image sees, read-only, as `STAGE`. */
  readonly stage: string;
}

export interface ImageStep {
  /** For messages: `install packages`. */
  readonly name: string;
  /** Shell script, run as root with `sh -eu`. */
  readonly script: string;
  readonly network: boolean;
  readonly env: Readonly<Record<string, string>>;
}

/** Where the staged files are inside. Below /run, which is never part of an image. */
export const STAGE = '/run/trees-build';

/** Runs a step on a tree. */
export async function runInImage(context: ProcessContext, tree: BuildTree, step: ImageStep): Promise<void> {
  const merged = join(tree.work, '..', 'merged');
  mkdirSync(merged, { recursive: true });
  const script = `
mount -t overlay overlay -o lowerdir=${tree.lower},upperdir=${tree.upper},workdir=${tree.work},redirect_dir=off,metacopy=off,index=off ${merged}
cd ${merged}
mkdir -p ./run/trees-build
mount --bind ${tree.stage} ./run/trees-build
mount -t proc proc ./proc
mount --rbind /dev ./dev
exec chroot . /bin/sh -euc "$SCRIPT"`;
  await runProcess(context, [...ownNamespaces, 'sh', '-euc', script], {
    step: step.name,
    env: { ...hostEnvironment, ...step.env, SCRIPT: step.script },
  });
}
