const scopes = new WeakMap();

/**
 * What a test must put away again, newest first: a service before the broker it talks to.
 * `scoped(t).defer(() => broker.stop())`
 */
export function scoped(t) {
  const known = scopes.get(t);
  if (known) return known;
  const actions = [];
  const scope = { defer: (action) => actions.push(action) };
  scopes.set(t, scope);
  t.after(async () => {
    for (const action of actions.reverse()) await action();
  });
  return scope;
}
