interface Dependent {
  readonly after?: readonly string[] | undefined;
  readonly requires?: readonly string[] | undefined;
  readonly wants?: readonly string[] | undefined;
  readonly main?: boolean | undefined;
  readonly oneshot?: boolean | undefined;
  readonly lazy?: boolean | undefined;
  readonly when?: { readonly source?: string | undefined } | undefined;
  readonly watch?: readonly object[] | undefined;
  readonly listen?: readonly unknown[] | undefined;
  readonly ready?: string | { readonly fd: number } | undefined;
  readonly health?: object | undefined;
}

/** What is wrong with the services, each and with their references to each other, as a sentence; `undefined` if nothing is. */
export function findDependencyProblem(services: Readonly<Record<string, Dependent>>): string | undefined {
  const mains = Object.keys(services).filter((name) => services[name]?.main === true);
  if (mains.length > 1) return `expected one main service at most, got ${mains.join(', ')}`;
  for (const [name, service] of Object.entries(services)) {
    for (const other of references(service)) {
      if (!Object.hasOwn(services, other)) return `service ${name} refers to ${other}, which is not declared`;
      if (other === name) return `service ${name} refers to itself`;
    }
    const problem = findContradiction(service);
    if (problem !== undefined) return `service ${name} ${problem}`;
  }
  const cycle = findCycle(services);
  return cycle === undefined ? undefined : `expected services without a cycle, got ${cycle.join(' → ')}`;
}

function findContradiction(service: Dependent): string | undefined {
  const sockets = service.listen?.length ?? 0;
  if (service.main === true && service.when !== undefined) return 'is the main one and cannot wait for an event';
  if (service.main === true && service.lazy === true) return 'is the main one and cannot be lazy';
  if (service.lazy === true && sockets === 0) return 'is lazy but listens on nothing';
  if (service.lazy === true && service.when !== undefined) return 'is lazy and cannot wait for an event as well';
  if (service.oneshot === true && service.ready !== undefined) return 'is a one-shot: it is ready when it has ended';
  if (service.oneshot === true && service.health !== undefined) return 'is a one-shot and has no health';
  if (service.ready === 'health' && service.health === undefined) return 'is ready by health but has no health check';
  if (typeof service.ready === 'object' && service.ready.fd < 3 + sockets) {
    return `gets its sockets as descriptors 3 to ${2 + sockets}: expected ready.fd to be higher`;
  }
  return undefined;
}

function references(service: Dependent): readonly string[] {
  const watched = (service.watch ?? []).flatMap((watch) =>
    'service' in watch && typeof watch.service === 'string' ? [watch.service] : [],
  );
  const source = service.when?.source;
  return [...dependencies(service), ...watched, ...(source === undefined ? [] : [source])];
}

function dependencies(service: Dependent): readonly string[] {
  return [...(service.after ?? []), ...(service.requires ?? []), ...(service.wants ?? [])];
}

function findCycle(services: Readonly<Record<string, Dependent>>): string[] | undefined {
  const finished = new Set<string>();
  const visit = (name: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name];
    if (finished.has(name)) return undefined;
    for (const next of dependencies(services[name] ?? {})) {
      const cycle = visit(next, [...trail, name]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(name);
    return undefined;
  };
  for (const name of Object.keys(services)) {
    const cycle = visit(name, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
